package cached_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var (
	second      = coherence.Policy{Freshness: time.Second, Local: true}
	localBound  = time.Second + coherence.Allowance
	wholeMinute = coherence.Policy{Freshness: time.Minute, Local: true}
)

// newNear returns a process with a local cache.
func newNear(t *testing.T, policy coherence.Policy) *instance {
	m := memory.New(weekly, memory.Options{})
	first := &instance{t: t, memory: m, store: fault.Wrap(m)}
	return first.near(policy, localBytes)
}

// near returns another process, with a local cache, over the same store.
func (i *instance) near(policy coherence.Policy, bytes int) *instance {
	peer := *i
	peer.store = fault.Wrap(i.memory)
	peer.Store = cached.NewLocal(peer.store, bytes,
		cached.Options{Policy: policy, Expiry: weekly})
	i.t.Cleanup(peer.Close)
	return &peer
}

func (i *instance) gone(what string, id store.ID) {
	i.t.Helper()
	if _, err := i.Load(i.t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
		i.t.Errorf("%s: served, error %v", what, err)
	}
	i.store.Forget()
}

func TestLocalHitCostsNoCallOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, second)
		expect(t, "name", i.Name(), "local, memory")
		id := i.cached("s")
		for range 100 {
			rec := i.load(id, "")
			expect(t, "data", string(rec.Data), `{"n":0}`)
			expect(t, "user", rec.UserID, "ann")
		}
		stats := i.Metrics()
		expect(t, "hits", stats.Hits, 100)
		expect(t, "misses", stats.Misses, 1)
		expect(t, "fills", stats.Fills, 1)
		expect(t, "sessions", stats.Sessions, 1)
		expect(t, "bound", stats.MaxExposure, localBound)
	})
}

// What this process revokes it does not serve again, at once and with room for
// one id. Others serve it for the bound at most.
func TestLocalRevokes(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*instance, store.ID) (store.Revocation, error){
		"a session": func(i *instance, id store.ID) (store.Revocation, error) {
			return i.Delete(ctx, id)
		},
		"a handle": func(i *instance, id store.ID) (store.Revocation, error) {
			_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann", Handle: id.Handle()})
			return r, err
		},
		"a user": func(i *instance, _ store.ID) (store.Revocation, error) {
			_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann"})
			return r, err
		},
		"a user, whose sessions another instance has ended": func(
			i *instance, id store.ID,
		) (store.Revocation, error) {
			if _, err := i.memory.Delete(ctx, id); err != nil {
				return store.Revocation{}, err
			}
			_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann"})
			return r, err
		},
		"all": func(i *instance, _ store.ID) (store.Revocation, error) {
			_, r, err := i.Revoke(ctx, store.Selection{All: true})
			return r, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newNear(t, second)
				i.LimitEnded(1)
				peer := i.near(second, localBytes)
				id := i.cached("s")
				peer.load(id, "load")
				r, err := end(i, id)
				expect(t, "error", err, nil)
				r.Count = 0
				expect(t, "promise", r, store.Revocation{
					Committed: true, CacheAcked: true, MaxExposure: localBound,
				})
				i.gone("here", id)
				peer.load(id, "")
				time.Sleep(localBound)
				i.gone("here, later", id)
				peer.gone("elsewhere, after the bound", id)
			})
		})
	}
}

// loadAround calls f while a load has read its record and waits for the reply.
func (i *instance) loadAround(id store.ID, f func()) {
	i.t.Helper()
	read, reply, served := make(chan struct{}), make(chan struct{}), make(chan error)
	i.store.Inject(fault.Rule{When: fault.After, Do: func(context.Context, *fault.Call) error {
		close(read)
		<-reply
		return nil
	}}, store.OpLoad)
	go func() {
		_, err := i.Load(i.t.Context(), id, 0)
		served <- err
	}()
	<-read
	f()
	i.store.Up()
	close(reply)
	expect(i.t, "a load that began before", <-served, nil)
}

// A record that arrives after the end of its session is not served.
func TestLocalTombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, wholeMinute)
		id := i.create("s").ID
		i.loadAround(id, func() {
			_, err := i.Delete(t.Context(), id)
			expect(t, "error", err, nil)
		})
		i.gone("after its end", id)
		time.Sleep(59 * time.Second)
		i.gone("a minute later", id)
	})
}

// A watermark needs no list, and does not keep what is read after the revoke
// out of the cache. It covers what was read before and arrives later.
func TestLocalWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i := newNear(t, wholeMinute)
		for n := range 3 {
			i.cached(fmt.Sprint(n))
		}
		spared, late := i.cached("spared"), i.create("late").ID
		i.loadAround(late, func() {
			_, _, err := i.Revoke(ctx, store.Selection{UserID: "ann", Except: spared})
			expect(t, "error", err, nil)
		})
		i.gone("the record that came after the revoke", late)
		i.load(spared, "load")
		i.load(spared, "load") // within the allowance, as it was read
		time.Sleep(2 * coherence.Allowance)
		i.load(spared, "load")
		i.load(spared, "")
		if tombstones := i.Metrics().Tombstones; tombstones < 3 {
			t.Errorf("%d entries were covered, want 3 or more", tombstones)
		}
	})
}

// A pending login belongs to its user.
func TestLocalWatermarkOfAPendingLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i := newNear(t, second)
		rec, err := i.Create(ctx, store.Draft{ID: idOf("p"), PendingUserID: "ann"})
		expect(t, "error", err, nil)
		i.store.Forget()
		i.load(rec.ID, "load")
		i.load(rec.ID, "")
		if _, err := i.memory.Delete(ctx, rec.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err = i.Revoke(ctx, store.Selection{UserID: "ann"})
		expect(t, "error", err, nil)
		i.gone("after the revoke", rec.ID)
	})
}

// A revoke while the clock is unknown covers all that was read before the next
// reply.
func TestLocalRevokeWithoutTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i := newNear(t, wholeMinute)
		id := i.cached("s")
		var asleep time.Duration
		start := time.Now()
		i.SetClocks(func() coherence.Instant {
			now := time.Since(start)
			return coherence.Instant{Mono: now, Wall: now + asleep}
		})
		i.cached("t")
		asleep = time.Second
		if _, err := i.memory.Delete(ctx, id); err != nil { // by another instance
			t.Fatal(err)
		}
		_, _, err := i.Revoke(ctx, store.Selection{UserID: "ann"})
		expect(t, "error", err, nil)
		i.create("clock")
		i.gone("after the clock is known", id)
		time.Sleep(2 * coherence.Allowance)
		later := i.create("later").ID
		i.load(later, "load")
		i.load(later, "")
	})
}

// A save is seen here at once. Elsewhere it is seen by a client that asks, and
// by all after the freshness. It demands no minimum version.
func TestLocalSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, second)
		peer := i.near(second, localBytes)
		id := i.cached("s")
		peer.load(id, "load")
		expect(t, "minimum version", i.set(id, "1").MinVersion, 0)
		expect(t, "here", string(i.load(id, "").Data), `{"n":1}`)
		expect(t, "elsewhere", string(peer.load(id, "").Data), `{"n":0}`)
		rec, err := peer.Load(t.Context(), id, math.MaxInt64)
		expect(t, "error", err, nil)
		expect(t, "elsewhere, asked", string(rec.Data), `{"n":1}`)
		peer.store.Forget()
		expect(t, "then for all", string(peer.load(id, "").Data), `{"n":1}`)
		i.set(id, "2")
		time.Sleep(localBound)
		expect(t, "after the freshness", string(peer.load(id, "load").Data), `{"n":2}`)
	})
}

// A session in use is read again before it is stale, and others are not. The
// loads of many run together.
func TestLocalRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, second)
		used, unused := i.cached("used"), i.cached("unused")
		refreshed := 0
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			refreshed += len(i.store.Forget())
			i.load(used, "")
		}
		if refreshed < 10 || refreshed > 20 {
			t.Errorf("%d loads in 10 s, want one in each second half of a second", refreshed)
		}
		i.load(unused, "load")
		time.Sleep(time.Minute)
		i.store.Forget()
		i.load(used, "load")
		if _, err := i.memory.Delete(t.Context(), used); err != nil { // by another instance
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		i.load(used, "") // is still fresh
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		i.gone("after it was read again", used)
	})
}

// While Postgres is unavailable nothing is read again, and the grace counts.
func TestLocalGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, second)
		policy, unavailable := second, false
		policy.Grace = time.Minute
		c := cached.NewLocal(i.store, localBytes, cached.Options{
			Policy: policy, Expiry: weekly, Unavailable: func() bool { return unavailable },
		})
		t.Cleanup(c.Close)
		i.Store = c
		id := i.cached("s")
		unavailable = true
		time.Sleep(59 * time.Second)
		i.load(id, "")
		time.Sleep(time.Second)
		expect(t, "calls", asked(i.store), "")
		time.Sleep(2 * time.Second)
		i.load(id, "load")
		r, err := i.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "promise", r.MaxExposure, localBound+time.Minute)
	})
}

// Records that were served are not changed by later saves, and what a caller
// appends is its own. A session of a megabyte is not kept.
func TestLocalRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newNear(t, second)
		id := i.cached("s")
		one := i.load(id, "")
		_ = append(one.Data, "more"...)
		i.set(id, "1")
		expect(t, "the first", string(one.Data), `{"n":0}`)
		expect(t, "the second", string(i.load(id, "").Data), `{"n":1}`)

		i.set(id, `"`+strings.Repeat("x", localBytes)+`"`)
		i.load(id, "load")
		i.load(id, "load")
	})
}

// Many goroutines load, save and end the same sessions. A session that has
// ended is not served again. Run with -race.
func TestLocalManyAtOnce(t *testing.T) {
	i := newNear(t, coherence.Policy{Freshness: 20 * time.Millisecond, Local: true})
	ids := make([]store.ID, 50)
	for n := range ids {
		ids[n] = i.create(fmt.Sprint(n)).ID
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for round := range 200 {
				id := ids[(n*31+round)%len(ids)]
				rec, err := i.Load(t.Context(), id, 0)
				if err == nil && !json.Valid(rec.Data) {
					t.Errorf("data %q", rec.Data)
				}
				set := map[string]json.RawMessage{"n": json.RawMessage(fmt.Sprint(round))}
				if round%10 == n {
					_, _ = i.Save(t.Context(), id, store.Change{Set: set})
				}
				if n == 0 && round%20 == 0 {
					if _, err := i.Delete(t.Context(), id); err != nil {
						t.Error(err)
					}
					_, err := i.Load(t.Context(), id, 0)
					if !errors.Is(err, store.ErrNotFound) {
						t.Errorf("served after its end: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
}
