package sessionstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var weekly = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

// instance is one process with a cached store, over a store and a cache that it shares with others.
type instance struct {
	*sessionstore.Cached
	t     *testing.T
	store *spyStore
	cache *slotCache
}

func newInstance(t *testing.T, policy coherence.Policy, expiry store.Expiry) *instance {
	return instanceOver(t, &spyStore{Store: sessionstore.NewMem(expiry, 0)}, newSlotCache(), policy, expiry)
}

func instanceOver(t *testing.T, store *spyStore, cache *slotCache, policy coherence.Policy, expiry store.Expiry) *instance {
	i := &instance{t: t, store: store, cache: cache, Cached: sessionstore.NewCached(store, cache, policy, expiry)}
	t.Cleanup(i.Close)
	return i
}

// beside is another process over the same store and cache, which knows Postgres's time.
func (i *instance) beside(policy coherence.Policy) *instance {
	i.t.Helper()
	peer := instanceOver(i.t, i.store, i.cache, policy, weekly)
	peer.create("clock of the peer")
	return peer
}

func idOf(name string) store.ID { return sha256.Sum256([]byte(name)) }

func (i *instance) create(name string) store.Record {
	i.t.Helper()
	rec, err := i.Create(i.t.Context(), store.Draft{ID: idOf(name), UserID: "ann", Data: json.RawMessage(`{"n":0}`)})
	if err != nil {
		i.t.Fatalf("create: %v", err)
	}
	i.store.asked()
	return rec
}

// cached is a session that the cache has.
func (i *instance) cached(name string) store.ID {
	i.t.Helper()
	rec := i.create(name)
	i.load(rec.ID, "Load")
	return rec.ID
}

// load loads, and says what the store is to be asked.
func (i *instance) load(id store.ID, asked string) store.Record {
	i.t.Helper()
	rec, err := i.Load(i.t.Context(), id, 0)
	if err != nil {
		i.t.Errorf("load: %v", err)
	}
	synctest.Wait() // for the fill
	expect(i.t, "the store was asked", i.store.asked(), asked)
	return rec
}

func (i *instance) set(id store.ID, value string) store.Record {
	i.t.Helper()
	rec, err := i.Save(i.t.Context(), id, store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage(value)}})
	if err != nil {
		i.t.Fatalf("save: %v", err)
	}
	i.store.asked()
	return rec
}

func TestCachedHitCostsNoCallOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		for range 100 {
			rec := i.load(id, "")
			expect(t, "data", string(rec.Data), `{"n":0}`)
			expect(t, "user", rec.UserID, "ann")
		}
		peer := i.beside(halfMinute)
		peer.load(id, "")
		stats := i.CacheStats()
		expect(t, "hits", stats.Hits, 100)
		expect(t, "misses", stats.Misses, 1)
		expect(t, "fills", stats.Fills, 1)
	})
}

func TestCachedEntryIsServedForTheFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		time.Sleep(29 * time.Second)
		rec := i.load(id, "")
		if late := rec.AnsweredAt.Sub(rec.ValidatedAt); late < 29*time.Second || late > 30*time.Second {
			t.Errorf("answered %v after it was read, want 29 s and a little", late)
		}
		time.Sleep(time.Second)
		i.load(id, "Load")
		i.load(id, "")
		expect(t, "stale", i.CacheStats().Stale, 1)
	})
}

func TestCachedStrictAsksTheCacheNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, coherence.Policy{}, weekly)
		id := i.cached("s")
		rec := i.set(id, "1")
		i.load(id, "Load")
		expect(t, "calls of the cache", strings.Join(i.cache.calls, " "), "")
		expect(t, "floor", rec.Floor, 0)
	})
}

// What has expired in the cache may have been extended since.
func TestCachedExpiredEntryAsksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: 10 * time.Second, Absolute: time.Hour}
		i := newInstance(t, halfMinute, expiry)
		id := i.cached("s")
		time.Sleep(9 * time.Second)
		if err := i.store.Store.Touch(t.Context(), []store.Touch{{ID: id}}); err != nil { // another instance
			t.Error(err)
		}
		time.Sleep(3 * time.Second)
		i.load(id, "Load")
		expect(t, "expired", i.CacheStats().Expired, 1)

		time.Sleep(12 * time.Second)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("an expired session: %v", err)
		}
	})
}

func TestCachedServesNothingWithoutPostgresTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		peer := instanceOver(t, i.store, i.cache, halfMinute, weekly)
		peer.load(id, "Load")
		peer.load(id, "")
		expect(t, "unclear", peer.CacheStats().Unclear, 1)
	})
}

// The cache missed a save: whoever has seen it asks for more than the cache has.
func TestCachedBelowTheFloorAsksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		peer := i.beside(halfMinute)
		id := i.cached("s")
		i.cache.on("Fill", failing)
		rec := i.set(id, "1")
		expect(t, "floor", rec.Floor, 2)
		i.cache.up()

		seen, err := peer.Load(t.Context(), id, rec.Floor)
		if err != nil || string(seen.Data) != `{"n":1}` {
			t.Errorf("with the floor: %s, %v", seen.Data, err)
		}
		expect(t, "the store was asked", peer.store.asked(), "Load")
		expect(t, "behind", peer.CacheStats().Behind, 1)
		synctest.Wait()
		expect(t, "afterwards the cache has", string(peer.load(id, "").Data), `{"n":1}`)
	})
}

// Three ways in which a save does not get into the cache, and one in which it does.
func TestCachedSaveHasAFloorUnlessTheCacheHasIt(t *testing.T) {
	for name, test := range map[string]struct {
		fill  func(context.Context) error
		waits time.Duration // of the store, in a save
		floor int64
		after time.Duration
	}{
		"taken":                      {},
		"failed":                     {fill: failing, floor: 2},
		"refused and buried":         {fill: func(context.Context) error { return errRefused }},
		"blocked":                    {fill: blocked, floor: 2, after: 250 * time.Millisecond},
		"stale when it comes to it":  {waits: 31 * time.Second, floor: 2, after: 31 * time.Second},
		"taken though it took long":  {waits: 20 * time.Second, after: 20 * time.Second},
		"blocked and has left later": {fill: func(ctx context.Context) error { _ = blocked(ctx); return nil }, after: 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				id := i.cached("s")
				i.cache.on("Fill", test.fill)
				slow := &slowStore{Store: i.store, answer: test.waits}
				saver := sessionstore.NewCached(slow, i.cache, halfMinute, weekly)
				began := time.Now()
				rec, err := saver.Save(t.Context(), id, store.Change{Removed: []string{"n"}})
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "floor", rec.Floor, test.floor)
				expect(t, "it took", time.Since(began), test.after)
			})
		})
	}
}

// slowStore answers a save late, with the time at which it was made.
type slowStore struct {
	store.Store
	answer time.Duration
}

func (s *slowStore) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := s.Store.Save(ctx, id, c)
	time.Sleep(s.answer)
	return rec, err
}

// While the cache says nothing, nothing is known of what it holds: a fill could put an older version beside a newer one.
func TestCachedFillsNothingAfterASilentCacheOrATombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.on("Get", failing)
		i.load(rec.ID, "Load")
		expect(t, "calls of the cache", strings.Join(i.cache.calls, " "), "Get")
		expect(t, "unanswered", i.CacheStats().Unanswered, 1)

		i.cache.up()
		i.cache.calls = nil
		if err := i.cache.PutTombstones(t.Context(), time.Minute, sessionstore.CacheID(rec.ID)); err != nil {
			t.Error(err)
		}
		i.load(rec.ID, "Load") // a tombstone on a session that lives costs a query and nothing else
		expect(t, "calls of the cache", strings.Join(i.cache.calls, " "), "PutTombstones Get")
		expect(t, "buried", i.CacheStats().Buried, 1)
	})
}

// A filler stops between its read and its fill; the session is revoked meanwhile and the tombstone is lost with all
// that Redis has. What the filler puts there then is served for what is left of its freshness, and not a moment longer.
func TestCachedStoppedFillerIsBoundByTheFreshness(t *testing.T) {
	for _, stopped := range []time.Duration{0, time.Second, 29 * time.Second, 31 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			i := newInstance(t, halfMinute, weekly)
			rec := i.create("s")
			i.cache.on("Fill", func(context.Context) error { time.Sleep(stopped); return nil })
			read := time.Now()
			if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
				t.Error(err)
			}
			if r, err := i.Delete(t.Context(), rec.ID); err != nil || !r.Committed {
				t.Errorf("%+v, %v", r, err)
			}
			i.cache.flush()
			peer := i.beside(halfMinute)
			for time.Since(read) < stopped+time.Minute {
				rec, err := peer.Load(t.Context(), rec.ID, 0)
				age := time.Since(read)
				if err == nil && (age > 30*time.Second || !rec.ValidatedAt.Equal(read)) {
					t.Fatalf("stopped for %v: still served %v after it was read", stopped, age)
				}
				time.Sleep(100 * time.Millisecond)
				peer.store.asked()
			}
		})
	}
}

func TestCachedLoadsShareNoData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		one, two := i.load(id, ""), i.load(id, "")
		clear(one.Data)
		_ = append(two.Data[:len(two.Data):cap(two.Data)], "more"...)
		expect(t, "the second", string(two.Data), `{"n":0}`)
		expect(t, "the third", string(i.load(id, "").Data), `{"n":0}`)
	})
}

// A cache that takes no writes costs a save its time limit, and nothing else.
func TestCachedHangingFillFailsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.on("Fill", blocked)
		began := time.Now()
		saved, err := i.Save(t.Context(), rec.ID, store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage("1")}})
		expect(t, "error", err, error(nil))
		expect(t, "floor", saved.Floor, saved.Version)
		expect(t, "it took", time.Since(began), 250*time.Millisecond)
	})
}

func TestCachedCloseWaitsForFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.on("Fill", blocked)
		if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
			t.Error(err)
		}
		i.Close()
		expect(t, "fills that ended", i.CacheStats().FillsFailed, 1)
		if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
			t.Error(err)
		}
		i.Close()
		expect(t, "fills after the end", i.CacheStats().FillsFailed, 1)
	})
}

// When the store can't be reached either, a cache that was left for it is worth waiting for.
func TestCachedWaitsForTheCacheWhenTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("a")
		i.cache.on("Get", failing)
		i.store.down("Load")
		if rec, err := i.Load(t.Context(), id, 0); err != nil || rec.UserID != "ann" {
			t.Errorf("with a cache that answers late: %v", err)
		}
		i.cache.on("Await", failing)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("with none: %v", err)
		}
		time.Sleep(halfMinute.Freshness + time.Second)
		i.cache.on("Await", nil)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("with what is fresh no longer: %v", err)
		}
	})
}
