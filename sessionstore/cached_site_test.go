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

// twoSites returns two instances of an application over one database and one
// Redis. The first can't write to Redis.
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

// A client reads its own writes on every instance, also when Redis misses one:
// the cookie carries the minimum version.
func TestClientReadsItsOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, rows := twoSites(t, halfMinute)
		cookie := second.newcomer("before")
		for range 2 { // the clock of Postgres, and then the fill
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
			t.Fatal("no acknowledgement of the cache and no minimum version in the cookie")
		}
		rows.asked()
		// Another tab still has the old cookie. Its request reads the old entry
		// and changes nothing else.
		expect(t, "without the minimum version", second.look(cookie, "before", "after"),
			"user= before")
		expect(t, "from the cache", rows.asked(), "")
		expect(t, "with it", second.look(seen, "before", "after"), "user= before after")
		expect(t, "from the store", rows.asked(), "load")
		synctest.Wait()
		expect(t, "and then", second.look(seen, "before", "after"), "user= before after")
		expect(t, "from the cache", rows.asked(), "")
		expect(t, "for every cookie", second.look(cookie, "before", "after"), "user= before after")

		// An acknowledged save sends no cookie. A cookie with a minimum version
		// keeps it.
		resp, _ = second.visit(seen, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			second.check(s.Set("more", true))
		})
		if c, ok := sessionCookie(resp); ok {
			t.Errorf("a cookie for an acknowledged save: %v", c)
		}
	})
}

// The minimum version stays when other fields of the cookie change, and ends
// with the session.
func TestMinimumVersionEndsWithTheToken(t *testing.T) {
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

// An instance whose cache lacks the tombstone serves the cookie from before a
// login or logout, for the freshness at most.
func TestLogoutIsBoundByFreshness(t *testing.T) {
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
		expect(t, "on the same instance", first.look(cookie), "no session")
		expect(t, "elsewhere, while it is fresh", second.look(cookie), "user=ann")
		time.Sleep(30 * time.Second)
		expect(t, "after the freshness", second.look(cookie), "no session")
		expect(t, "after the freshness", first.look(cookie), "no session")
	})
}

// A cached client is read anew when the client changes: one change is one
// suspicion, not one for each request while the entry is fresh.
func TestCachedSuspicionIsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := newSpy(newMemory(weekly))
		c := cached.New(rows, cachetest.New(), cached.Options{Policy: halfMinute, Expiry: weekly})
		t.Cleanup(c.Close)
		site := newSiteOver(t, newSpy(c),
			func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = false })
		cookie := site.userAt(home, laptop)
		for range 2 { // the clock of Postgres, and then the fill
			site.sees(cookie, home, laptop)
			synctest.Wait()
		}
		rows.asked()
		site.sees(cookie, home, laptop)
		expect(t, "from the cache", rows.asked(), "")
		site.seen()

		site.sees(cookie, cafe, phone)
		expect(t, "the move", site.seen(), "session suspicious")
		time.Sleep(time.Second) // the touch is written
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

// visitedThroughHits uses a session once every pause, and then once more after
// the longest time that may pass between two uses. It returns how many of them
// were hits of the cache.
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
	time.Sleep(time.Second) // the touch is written
	// A use within the touch interval of the last one is not written, with and
	// without a cache.
	time.Sleep(expiry.Idle - expiry.TouchInterval() - time.Second)
	expect(t, "after nearly the idle timeout", site.look(cookie), "user=")
	time.Sleep(time.Second) // that touch is written
	time.Sleep(expiry.Idle + expiry.Resolution())
	expect(t, "after more than the idle timeout", site.look(cookie), "no session")
	expect(t, "error", site.m.Close(), nil)
	return stats()
}

func TestCachedSessionInUseStaysAlive(t *testing.T) {
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

// The time of a cached answer is that of the answer, not of the entry.
// Otherwise a use and the age of a persistent cookie would count from an
// earlier time.
func TestCachedAnswerHasItsOwnTime(t *testing.T) {
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
