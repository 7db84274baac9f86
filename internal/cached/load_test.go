package cached_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

func TestHitCostsNoCallOfTheStore(t *testing.T) {
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
		stats := i.Metrics()
		expect(t, "hits", stats.Hits, 100)
		expect(t, "misses", stats.Misses, 1)
		expect(t, "fills", stats.Fills, 1)
	})
}

func TestEntryIsServedForTheFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		time.Sleep(29 * time.Second)
		rec := i.load(id, "")
		if late := rec.AnsweredAt.Sub(rec.ValidatedAt); late < 29*time.Second ||
			late > 30*time.Second {
			t.Errorf("answered %v after it was read, want 29 s and a little", late)
		}
		time.Sleep(time.Second)
		i.load(id, "load")
		i.load(id, "")
		expect(t, "stale", i.Metrics().Stale, 1)
	})
}

func TestStrictAsksTheCacheNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, coherence.Policy{}, weekly)
		id := i.cached("s")
		rec := i.set(id, "1")
		i.load(id, "load")
		expect(t, "calls of the cache", asked(i.cache), "")
		expect(t, "minimum version", rec.MinVersion, 0)
	})
}

// A touch may have extended a session that has expired in the cache.
func TestExpiredEntryAsksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: 10 * time.Second, Absolute: time.Hour}
		i := newInstance(t, halfMinute, expiry)
		id := i.cached("s")
		time.Sleep(9 * time.Second)
		err := i.memory.Touch(t.Context(),
			[]store.Touch{{ID: id}})
		if err != nil { // another instance
			t.Error(err)
		}
		time.Sleep(3 * time.Second)
		i.load(id, "load")
		expect(t, "expired", i.Metrics().Expired, 1)

		time.Sleep(12 * time.Second)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an expired session: %v", err)
		}
	})
}

func TestServesNothingWithoutPostgresTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		peer := i.another(halfMinute, weekly)
		peer.load(id, "load")
		peer.load(id, "")
		expect(t, "clock unknown", peer.Metrics().ClockUnknown, 1)
	})
}

// The cache missed a save. A client that has seen it demands a higher version
// than that of the entry.
func TestBelowTheMinimumVersionAsksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		peer := i.beside(halfMinute)
		id := i.cached("s")
		i.cache.Down(cachetest.OpFill)
		rec := i.set(id, "1")
		expect(t, "minimum version", rec.MinVersion, 2)
		i.cache.Up()

		seen, err := peer.Load(t.Context(), id, rec.MinVersion)
		if err != nil || string(seen.Data) != `{"n":1}` {
			t.Errorf("with the minimum version: %s, %v", seen.Data, err)
		}
		expect(t, "the store was asked", asked(peer.store), "load")
		expect(t, "below minimum", peer.Metrics().BelowMinimum, 1)
		synctest.Wait()
		expect(t, "afterwards the cache has", string(peer.load(id, "").Data), `{"n":1}`)
	})
}

// Three saves that do not reach the cache, and one that does.
func TestSaveHasAMinimumVersionUnlessCached(t *testing.T) {
	for name, test := range map[string]struct {
		fill       *fault.Rule
		waits      time.Duration // of the store, in a save
		minVersion int64
		after      time.Duration
	}{
		"taken":                     {},
		"failed":                    {fill: failing, minVersion: 2},
		"refused, with a tombstone": {fill: &fault.Rule{Err: cachetest.ErrRefused}},
		"blocked":                   {fill: blocked, minVersion: 2, after: 250 * time.Millisecond},
		"stale when it comes to it": {
			waits: 31 * time.Second, minVersion: 2, after: 31 * time.Second,
		},
		"taken though it took long":  {waits: 20 * time.Second, after: 20 * time.Second},
		"blocked and has left later": {fill: leftLater, after: 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				id := i.cached("s")
				if test.fill != nil {
					i.cache.Inject(*test.fill, cachetest.OpFill)
				}
				i.store.Inject(fault.Rule{When: fault.After, Do: sleep(test.waits)}, store.OpSave)
				saver := cached.New(i.store, i.cache,
					cached.Options{Policy: halfMinute, Expiry: weekly})
				began := time.Now()
				rec, err := saver.Save(t.Context(), id, store.Change{Removed: []string{"n"}})
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "minimum version", rec.MinVersion, test.minVersion)
				expect(t, "it took", time.Since(began), test.after)
			})
		})
	}
}

// After a timeout the cache may have a newer entry, so a load does not fill.
func TestFillsNothingAfterATimeoutOrATombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.Down(cachetest.OpGet)
		i.load(rec.ID, "load")
		expect(t, "calls of the cache", asked(i.cache), "get")
		expect(t, "unavailable", i.Metrics().Unavailable, 1)

		i.cache.Up()
		if err := i.cache.PutTombstones(t.Context(), time.Minute, cache.ID(rec.ID)); err != nil {
			t.Error(err)
		}
		i.load(rec.ID, "load") // a tombstone on a session that lives costs a query and nothing else
		expect(t, "calls of the cache", asked(i.cache), "tombstone get")
		expect(t, "tombstones", i.Metrics().Tombstones, 1)
	})
}

// A process stops between its read and its fill. Meanwhile the session is
// revoked, and Redis loses all it has. The entry of the late fill is served for
// the rest of its freshness and not longer.
func TestStoppedFillerIsBoundByTheFreshness(t *testing.T) {
	for _, stopped := range []time.Duration{
		0, time.Second, 29 * time.Second, 31 * time.Second, time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			i := newInstance(t, halfMinute, weekly)
			rec := i.create("s")
			i.cache.Inject(fault.Rule{Do: sleep(stopped)}, cachetest.OpFill)
			read := time.Now()
			if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
				t.Error(err)
			}
			if r, err := i.Delete(t.Context(), rec.ID); err != nil || !r.Committed {
				t.Errorf("%+v, %v", r, err)
			}
			i.cache.Flush()
			peer := i.beside(halfMinute)
			for time.Since(read) < stopped+time.Minute {
				rec, err := peer.Load(t.Context(), rec.ID, 0)
				age := time.Since(read)
				if err == nil && (age > 30*time.Second || !rec.ValidatedAt.Equal(read)) {
					t.Fatalf("stopped for %v: still served %v after it was read", stopped, age)
				}
				time.Sleep(100 * time.Millisecond)
				asked(peer.store)
			}
		})
	}
}

func TestLoadsShareNoData(t *testing.T) {
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

// A cache that accepts no writes delays a save by its timeout, and nothing
// else.
func TestHangingFillFailsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.Inject(fault.Rule{When: fault.Hang}, cachetest.OpFill)
		began := time.Now()
		saved, err := i.Save(t.Context(), rec.ID,
			store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage("1")}})
		expect(t, "error", err, error(nil))
		expect(t, "minimum version", saved.MinVersion, saved.Version)
		expect(t, "it took", time.Since(began), 250*time.Millisecond)
	})
}

func TestCloseWaitsForFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		i.cache.Inject(fault.Rule{When: fault.Hang}, cachetest.OpFill)
		if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
			t.Error(err)
		}
		i.Close()
		expect(t, "fills that ended", i.Metrics().FillsFailed, 1)
		if _, err := i.Load(t.Context(), rec.ID, 0); err != nil {
			t.Error(err)
		}
		i.Close()
		expect(t, "fills after the end", i.Metrics().FillsFailed, 1)
	})
}

// After a timeout of the cache and an outage of the store, a load waits for the
// cache again.
func TestWaitsForTheCacheInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("a")
		i.cache.Down(cachetest.OpGet)
		i.store.Down(store.OpLoad)
		if rec, err := i.Load(t.Context(), id, 0); err != nil || rec.UserID != "ann" {
			t.Errorf("with a cache that answers late: %v", err)
		}
		silent := i.cache.Down(cachetest.OpAwait)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("with none: %v", err)
		}
		time.Sleep(halfMinute.Freshness + time.Second)
		silent.Release()
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("with what is fresh no longer: %v", err)
		}
	})
}

// Alive asks the store even if the cache has an entry.
func TestAliveAsksTheTruth(t *testing.T) {
	inner := newInstance(t, halfMinute, weekly)
	rec, err := inner.Create(t.Context(), store.Draft{ID: store.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Save(t.Context(), rec.ID, store.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := inner.memory.Delete(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Load(t.Context(), rec.ID, 0); err != nil {
		t.Fatal("the cache does not have it, so this shows nothing: ", err)
	}
	alive, ended, err := inner.Alive(t.Context(), []store.ID{rec.ID})
	expect(t, "alive, ended", fmt.Sprint(len(alive), len(ended), err), "0 1 <nil>")
}

// A deadline that another instance has moved counts where the entry says so. An
// older entry is served for its freshness, as after any other save.
func TestAShorterLifetimeIsServedForTheFreshnessAtMost(t *testing.T) {
	for name, missed := range map[string]bool{"the cache has it": false, "it missed it": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				peer := i.beside(halfMinute)
				id := i.cached("s")
				if missed {
					i.cache.Down(cachetest.OpFill)
				}
				_, err := i.Save(t.Context(), id, store.Change{Lifetime: 10 * time.Second})
				expect(t, "error", err, nil)
				i.cache.Up()
				i.store.Forget()
				time.Sleep(11 * time.Second)
				_, err = peer.Load(t.Context(), id, 0)
				expect(t, "served after the deadline", err == nil, missed)
				time.Sleep(19 * time.Second)
				_, err = peer.Load(t.Context(), id, 0)
				expect(t, "served after the freshness", err == nil, false)
			})
		})
	}
}
