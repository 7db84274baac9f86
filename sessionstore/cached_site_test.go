package sessionstore_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// twoSites are two instances of an application over one database and one Redis,
// to which the first can't write.
func twoSites(t *testing.T, policy coherence.Policy) (first, second *site, rows *spy) {
	rows = newSpy(newMemory(weekly))
	whole := cachetest.New()
	readOnly := whole.Peer()
	readOnly.Down(cachetest.OpFill, cachetest.OpPutTombstones)
	over := func(c cached.Cache) *site {
		front := cached.New(rows, c, cached.Options{Policy: policy, Expiry: weekly})
		t.Cleanup(front.Close)
		return newSiteOver(t, newSpy(front))
	}
	return over(readOnly), over(whole), rows
}

// A client reads its own writes on every instance, also when the cache does not
// hear of one: the cookie says what the client has seen.
func TestCachedClientSeesItsOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, rows := twoSites(t, halfMinute)
		cookie := second.newcomer("before")
		for range 2 { // to know Postgres's time, and for the fill
			second.look(cookie)
			synctest.Wait()
		}
		rows.asked()
		expect(t, "the second serves", second.look(cookie, "before", "after"), "user= before")
		expect(t, "from the cache", rows.asked(), "")

		resp, seen := first.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			first.check(s.Set("after", true))
		})
		if _, ok := sessionCookie(resp); !ok || seen == cookie {
			t.Fatal("the write was not acknowledged by the cache, and no cookie tells")
		}
		rows.asked()
		// Another tab still has the old cookie, and what it does there puts the
		// old entry under no suspicion.
		expect(t, "without the minimum version", second.look(cookie, "before", "after"),
			"user= before")
		expect(t, "from the cache", rows.asked(), "")
		expect(t, "with it", second.look(seen, "before", "after"), "user= before after")
		expect(t, "from the store", rows.asked(), "load")
		synctest.Wait()
		expect(t, "and then", second.look(seen, "before", "after"), "user= before after")
		expect(t, "from the cache", rows.asked(), "")
		expect(t, "for everybody", second.look(cookie, "before", "after"), "user= before after")

		// What the cache has acknowledged needs no cookie, and one that has a
		// minimum version keeps it.
		resp, _ = second.visit(seen, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			second.check(s.Set("more", true))
		})
		if c, ok := sessionCookie(resp); ok {
			t.Errorf("a cookie for a write that the cache knows: %v", c)
		}
	})
}

// The minimum version survives that other things are said in the cookie, and
// goes with the session.
func TestCachedFloorGoesWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, rows := twoSites(t, halfMinute)
		cookie := first.newcomer()
		second.look(cookie)
		synctest.Wait()
		_, cookie = first.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			first.check(s.Set("seen", true))
		})
		_, cookie = first.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			first.check(s.RememberMe(true))
		})
		expect(t, "remembered, and with the minimum version", second.look(cookie, "seen"),
			"user= seen")
		synctest.Wait()

		_, renewed := first.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			first.check(s.Login(r.Context(), "ann"))
		})
		expect(t, "logged in", second.look(renewed, "seen"), "user=ann seen")
		synctest.Wait()
		rows.asked()
		expect(t, "again", second.look(renewed, "seen"), "user=ann seen")
		expect(t, "from the cache", rows.asked(), "")
	})
}

// The cookie from before a login or logout is served by an instance whose cache
// lacks the tombstone, for the freshness at most.
func TestCachedLogoutIsBoundByTheFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, _ := twoSites(t, halfMinute)
		cookie := first.user("ann")
		second.look(cookie)
		synctest.Wait()
		first.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			first.check(s.Logout(r.Context()))
		})
		r := first.event(sessionstore.EventLogout).Revocation
		expect(t, "the event says so", r, sessionstore.Revocation{
			Committed: true, MaxExposure: 30*time.Second + coherence.Allowance,
		})
		expect(t, "where it was done, at once", first.look(cookie), "nobody")
		expect(t, "elsewhere, while it is fresh", second.look(cookie), "user=ann")
		time.Sleep(30 * time.Second)
		expect(t, "after the freshness", second.look(cookie), "nobody")
		expect(t, "after the freshness", first.look(cookie), "nobody")
	})
}

// What the cache says of where a session was used from is read anew when that
// changes: one move is one suspicion, not one with each request while the entry
// is fresh.
func TestCachedSuspicionIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := newSpy(newMemory(weekly))
		c := cached.New(rows, cachetest.New(), cached.Options{Policy: halfMinute, Expiry: weekly})
		t.Cleanup(c.Close)
		site := newSiteOver(t, newSpy(c),
			func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = false })
		cookie := site.userAt(home, laptop)
		for range 2 { // to know Postgres's time, and for the fill
			site.sees(cookie, home, laptop)
			synctest.Wait()
		}
		rows.asked()
		site.sees(cookie, home, laptop)
		expect(t, "from the cache", rows.asked(), "")
		site.seen()

		site.sees(cookie, cafe, phone)
		expect(t, "the move", site.seen(), "session suspicious")
		time.Sleep(time.Second) // for the touch to be written
		synctest.Wait()
		expect(t, "calls of the store", rows.asked(), "touch load")
		for range 5 {
			site.sees(cookie, cafe, phone)
			time.Sleep(time.Second)
		}
		expect(t, "and then", site.seen(), "")
		expect(t, "from the cache", rows.asked(), "")
	})
}

// visitedThroughHits is a session that is used every pause, and then once more
// after the longest time that may pass between two uses. It says how many of
// them were hits of the cache.
func visitedThroughHits(
	t *testing.T, expiry store.Expiry, pause time.Duration, visits int, inFront bool,
) (hits int64) {
	inner := store.Store(newMemory(expiry))
	stats := func() int64 { return 0 }
	if inFront {
		c := cached.New(inner, cachetest.New(), cached.Options{Policy: halfMinute, Expiry: expiry})
		t.Cleanup(c.Close)
		inner, stats = c, func() int64 { return c.Metrics().Hits }
	}
	site := newSiteOver(t, newSpy(inner), func(c *sessionstore.Config) {
		c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute
	})
	cookie := site.newcomer()
	for n := range visits {
		time.Sleep(pause)
		if got := site.look(cookie); got != "user=" {
			t.Fatalf("use %d, every %v, with an idle timeout of %v, cached %v: %s", n, pause,
				expiry.Idle, inFront, got)
		}
	}
	time.Sleep(time.Second) // for the touch to be written
	// A use within the touch interval of the last is not noted, with and
	// without a cache.
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
		for _, idle := range []time.Duration{
			10 * time.Second, 20 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
		} {
			expiry := store.Expiry{Idle: idle, Absolute: 1000 * time.Hour}
			for _, pause := range []time.Duration{idle / 40, idle / 13, idle / 3, idle * 9 / 10} {
				visitedThroughHits(t, expiry, pause, 120, false)
				hits := visitedThroughHits(t, expiry, pause, 120, true)
				if pause < min(10*time.Second, idle/2) && hits < 20 {
					t.Errorf(
						"idle %v, used every %v: %d hits, too few for this test to say anything",
						idle, pause, hits,
					)
				}
			}
		}
	})
}

// The time of an answer is that of the answer, not of the entry: else a use
// would look like one of the time before it, and so would the age of a
// persistent cookie.
func TestCachedAnswerSaysWhatTimeItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: 100 * time.Second, Absolute: time.Hour} // a touch every 10 s
		rows := newSpy(newMemory(expiry))
		c := cached.New(rows, cachetest.New(), cached.Options{Policy: halfMinute, Expiry: expiry})
		t.Cleanup(c.Close)
		site := newSiteOver(t, newSpy(c), func(c *sessionstore.Config) {
			c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute
		})
		cookie := site.newcomer()
		site.look(cookie)
		synctest.Wait()
		time.Sleep(11 * time.Second)
		rows.asked()
		_, _ = site.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session,
		) {
			rec, _ := sess.Record()
			expect(t, "read", time.Since(rec.ValidatedAt), 11*time.Second)
		})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "the use of a hit is noted", rows.asked(), "touch")
		expect(t, "error", site.m.Close(), nil)
	})
}
