package cached_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// By the entry in the cache a touch is due until it is read again.
func TestTouchSendsWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		one, two := i.create("one").ID, i.create("two").ID
		sent := 0
		touch := func(what string, touches []store.Touch, calls string) {
			t.Helper()
			expect(t, what, i.Touch(t.Context(), touches), nil)
			synctest.Wait()
			if noted := i.store.Calls(); len(noted) > 0 {
				sent = len(noted[0].Touches)
			}
			expect(t, what, asked(i.store), calls)
		}
		touch("the first", touchOf(one), "touch")
		time.Sleep(59 * time.Second)
		touch("one within the interval", touchOf(one), "")
		touch("another session", append(touchOf(one), touchOf(two)...), "touch")
		expect(t, "only that", sent, 1)
		time.Sleep(time.Second)
		touch("after the interval", touchOf(one), "touch")

		client := store.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "browser"}
		touch("a client that is new", []store.Touch{{ID: one, Client: client}},
			"touch load") // for the cache
		touch("a client that was sent", []store.Touch{{ID: one, Client: client}}, "")
		touch("a part of it", []store.Touch{{ID: one, Client: store.Client{UserAgent: "browser"}}},
			"")
		client.UserAgent = "another browser"
		touch("one more client", []store.Touch{{ID: one, Client: client}}, "touch load")

		time.Sleep(time.Hour)
		i.store.Down(store.OpTouch)
		if err := i.Touch(t.Context(), touchOf(one)); err == nil {
			t.Error("no error from a store that is down")
		}
		i.store.Up()
		asked(i.store)
		touch("one that failed", touchOf(one), "touch")
	})
}

// The interval of a touch begins with its call: a slow reply must not lengthen
// it.
func TestTouchCountsFromBeforeItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.create("s").ID
		i.store.Inject(fault.Rule{Do: sleep(10 * time.Second)}, store.OpTouch)
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		i.store.Up()
		asked(i.store)
		time.Sleep(50 * time.Second)
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		expect(t, "a minute after the first", asked(i.store), "touch")
	})
}

// A touch is due if the interval has passed by either clock: the machine may
// have been suspended, or its clock set.
func TestTouchTrustsNeitherClock(t *testing.T) {
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
			{"first", 0, 0, "touch"},
			{"at once", time.Second, time.Second, ""},
			{"suspended", time.Second, time.Hour, "touch"},
			{"set back", time.Second, -time.Hour, "touch"},
			{"only the wall clock stands still", time.Minute, 0, "touch"},
		} {
			now.Mono += step.mono
			now.Wall += step.wall
			expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
			expect(t, step.what, asked(i.store), step.asked)
		}
	})
}

// Nothing is served without a bound of Postgres's clock.
func TestClocks(t *testing.T) {
	for name, test := range map[string]struct {
		mono, wall time.Duration
		asked      string
	}{
		"run together":       {10 * time.Second, 10 * time.Second, ""},
		"suspended":          {time.Second, time.Hour, "load"},
		"suspended briefly":  {time.Second, 1500 * time.Millisecond, "load"},
		"set forward":        {time.Second, 20 * time.Second, "load"},
		"set back":           {time.Second, -time.Hour, "load"},
		"corrected a little": {time.Second, 1010 * time.Millisecond, ""},
		"past the freshness": {31 * time.Second, 31 * time.Second, "load"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				start := time.Now()
				var stood, set time.Duration
				i.SetClocks(func() coherence.Instant {
					elapsed := time.Since(start)
					return coherence.Instant{Mono: elapsed - stood, Wall: elapsed + set}
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

// A touch that is dropped revives no revoked session.
func TestTouchRevivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		_, err := i.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "error", i.Touch(t.Context(), touchOf(id)), nil)
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after the touch: %v", err)
		}
	})
}
