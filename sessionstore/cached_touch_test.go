package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func touchOf(id store.ID) []store.Touch { return []store.Touch{{ID: id}} }

// What the cache has goes on saying that a touch is due until it is read anew.
func TestCachedTouchTellsTheStoreWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		one, two := i.create("one").ID, i.create("two").ID
		touch := func(what string, touches []store.Touch, asked string) {
			t.Helper()
			expect(t, what, i.Touch(t.Context(), touches), nil)
			synctest.Wait()
			expect(t, what, i.store.asked(), asked)
		}
		touch("the first", touchOf(one), "Touch")
		time.Sleep(59 * time.Second)
		touch("one within the interval", touchOf(one), "")
		touch("another session", append(touchOf(one), touchOf(two)...), "Touch")
		expect(t, "only that", len(i.store.touched[len(i.store.touched)-1]), 1)
		time.Sleep(time.Second)
		touch("after the interval", touchOf(one), "Touch")

		client := sessionstore.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "browser"}
		touch("a client that is new", []store.Touch{{ID: one, Client: client}}, "Touch Load") // for the cache
		touch("a client that was told", []store.Touch{{ID: one, Client: client}}, "")
		touch("a part of it", []store.Touch{{ID: one, Client: sessionstore.Client{UserAgent: "browser"}}}, "")
		client.UserAgent = "another browser"
		touch("one more client", []store.Touch{{ID: one, Client: client}}, "Touch Load")

		time.Sleep(time.Hour)
		i.store.down("Touch")
		if err := i.Touch(t.Context(), touchOf(one)); err == nil {
			t.Error("no error from a store that is down")
		}
		i.store.up()
		i.store.asked()
		touch("one that failed", touchOf(one), "Touch")
	})
}

// A touch counts from when the store was asked: what it waited for the answer must not lengthen the interval.
func TestCachedTouchCountsFromBeforeItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.create("s").ID
		i.store.on("Touch", func(context.Context) error { time.Sleep(10 * time.Second); return nil })
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		i.store.up()
		i.store.asked()
		time.Sleep(50 * time.Second)
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		expect(t, "a minute after the first", i.store.asked(), "Touch")
	})
}

// Suspended, or set: a touch that may be long ago by either clock is due.
func TestCachedTouchTrustsNeitherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.create("s").ID
		var now coherence.Instant
		i.SetClocks(func() coherence.Instant { return now })
		for _, step := range []struct {
			what       string
			mono, wall time.Duration
			asked      string
		}{
			{"first", 0, 0, "Touch"},
			{"at once", time.Second, time.Second, ""},
			{"suspended", time.Second, time.Hour, "Touch"},
			{"set back", time.Second, -time.Hour, "Touch"},
			{"only the wall clock stands still", time.Minute, 0, "Touch"},
		} {
			now.Mono += step.mono
			now.Wall += step.wall
			expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
			expect(t, step.what, i.store.asked(), step.asked)
		}
	})
}

// visitedThroughHits is a session that is used every pause, and then once more after the longest time that may pass
// between two uses. It says how many of them were hits of the cache.
func visitedThroughHits(t *testing.T, expiry store.Expiry, pause time.Duration, visits int, cached bool) (hits int64) {
	store := &spyStore{Store: sessionstore.NewMem(expiry, 0)}
	front := &spyStore{Store: store}
	stats := func() int64 { return 0 }
	if cached {
		c := sessionstore.NewCached(store, newSlotCache(), halfMinute, expiry)
		t.Cleanup(c.Close)
		front.Store, stats = c, func() int64 { return c.CacheStats().Hits }
	}
	site := newSiteOver(t, front, func(c *sessionstore.Config) { c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute })
	cookie := site.newcomer()
	for n := range visits {
		time.Sleep(pause)
		if got := site.look(cookie); got != "user=" {
			t.Fatalf("use %d, every %v, with an idle timeout of %v, cached %v: %s", n, pause, expiry.Idle, cached, got)
		}
	}
	time.Sleep(time.Second) // for the touch to be written
	// A use within the touch interval of the last is not noted, with and without a cache.
	time.Sleep(expiry.Idle - expiry.TouchInterval() - time.Second)
	expect(t, "after nearly the idle timeout", site.look(cookie), "user=")
	time.Sleep(time.Second) // for that touch
	time.Sleep(expiry.Idle + expiry.Resolution())
	expect(t, "after more than the idle timeout", site.look(cookie), "nobody")
	expect(t, "error", site.m.Close(), nil)
	return stats()
}

func TestCachedSessionInUseLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, idle := range []time.Duration{10 * time.Second, 20 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
			expiry := store.Expiry{Idle: idle, Absolute: 1000 * time.Hour}
			for _, pause := range []time.Duration{idle / 40, idle / 13, idle / 3, idle * 9 / 10} {
				visitedThroughHits(t, expiry, pause, 120, false)
				hits := visitedThroughHits(t, expiry, pause, 120, true)
				if pause < min(10*time.Second, idle/2) && hits < 20 {
					t.Errorf("idle %v, used every %v: %d hits, too few for this test to say anything", idle, pause, hits)
				}
			}
		}
	})
}

// The time of an answer is that of the answer, not of the entry: else a use would look like one of the time before it,
// and so would the age of a persistent cookie.
func TestCachedAnswerSaysWhatTimeItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: 100 * time.Second, Absolute: time.Hour} // a touch every 10 s
		store := &spyStore{Store: sessionstore.NewMem(expiry, 0)}
		c := sessionstore.NewCached(store, newSlotCache(), halfMinute, expiry)
		t.Cleanup(c.Close)
		site := newSiteOver(t, &spyStore{Store: c}, func(c *sessionstore.Config) { c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute })
		cookie := site.newcomer()
		site.look(cookie)
		synctest.Wait()
		time.Sleep(11 * time.Second)
		store.asked()
		_, _ = site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
			rec, _ := sess.Record()
			expect(t, "read", time.Since(rec.ValidatedAt), 11*time.Second)
		})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "the use of a hit is noted", store.asked(), "Touch")
		expect(t, "error", site.m.Close(), nil)
	})
}

// Nothing is served while it is not clear what time it is in Postgres.
func TestCachedClocks(t *testing.T) {
	for name, test := range map[string]struct {
		mono, wall time.Duration
		asked      string
	}{
		"run together":       {10 * time.Second, 10 * time.Second, ""},
		"suspended":          {time.Second, time.Hour, "Load"},
		"suspended briefly":  {time.Second, 1500 * time.Millisecond, "Load"},
		"set forward":        {time.Second, 20 * time.Second, "Load"},
		"set back":           {time.Second, -time.Hour, "Load"},
		"corrected a little": {time.Second, 1010 * time.Millisecond, ""},
		"past the freshness": {31 * time.Second, 31 * time.Second, "Load"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				start := time.Now()
				var stood, set time.Duration
				i.SetClocks(func() coherence.Instant {
					return coherence.Instant{Mono: time.Since(start) - stood, Wall: time.Since(start) + set}
				})
				id := i.cached("s")
				time.Sleep(max(test.mono, test.wall)) // what really passes
				stood, set = time.Since(start)-test.mono, test.wall-time.Since(start)
				i.load(id, test.asked)
				i.load(id, "") // with a new sample it is clear again
			})
		})
	}
}

// A time of package time holds both clocks, and Sub prefers the monotonic one. To see that the wall clock is compared, a
// time is needed on which they differ, and only the runtime makes those: this test writes into one.
func TestInstantReadsBothClocks(t *testing.T) {
	start := time.Now()
	now := start
	*(*int64)(unsafe.Add(unsafe.Pointer(&now), unsafe.Sizeof(uint64(0)))) += int64(time.Hour) // its monotonic reading
	if now.Sub(start) != time.Hour || now.Round(0).Sub(start.Round(0)) != 0 {
		t.Skip("package time keeps its readings elsewhere now")
	}
	at := sessionstore.InstantAt(start, now)
	expect(t, "monotonic", at.Mono, time.Hour)
	expect(t, "wall", at.Wall, 0)
	later := sessionstore.InstantAt(start, start.Add(time.Second))
	expect(t, "both", later, coherence.Instant{Mono: time.Second, Wall: time.Second})
}

// A session that ended by a revoke is not brought back by a touch that was passed over.
func TestCachedTouchRevivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		_, err := i.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("after the touch: %v", err)
		}
	})
}
