package sessionstore_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// One instance is cut off from Postgres and makes a session. Another one does
// not find it, and leaves its cookie alone for five minutes.
func TestASessionOfAnotherInstancesEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut := newSiteOver(t, newSpy(o))
		peer := newSiteOver(t, newSpy(o.Rows))
		o.Away()
		b := &jar{t, cut, map[string]string{}}
		_, set := b.get(stores)
		expect(t, "cookies set", set, sent)
		made := b.copied()
		made.site = peer

		there, events := made.copied(), ""
		user, held := "?", false
		_, set = there.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			user, held = s.UserID(), s.Withheld()
			peer.check(s.Set("n", 1))
			peer.check(s.Save(r.Context()))
			expect(t, "the value in the request", s.Has("n"), true)
		})
		events = peer.seen()
		expect(t, "user", user, "")
		expect(t, "withheld", held, true)
		expect(t, "cookies set by the other instance", set, "")
		expect(t, "events", events, "session not found")
		expect(t, "rows", peer.store.rows(), 0)

		overridden := made.copied()
		_, set = overridden.get(logIn)
		expect(t, "cookies of a login there", set, sent)
		expect(t, "the login", overridden.who(), "ann")

		late := made.copied()
		time.Sleep(5*time.Minute + time.Second)
		_, set = late.get(stores)
		expect(t, "cookies set later", set, sent)

		// When Postgres is back the cookie is good everywhere, and stays.
		o.Back()
		_, set = made.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			expect(t, "restored", s.Has("seen"), true)
			peer.check(s.Set("more", 1))
		})
		expect(t, "cookies of a save after it", set, "")
		_, set = made.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			peer.check(s.RememberMe(true))
		})
		expect(t, "cookies of another reason", set, sent)

		// That one is no emergency's any more.
		peer.revoke(made.cookies[cookieName])
		_, set = made.get(stores)
		expect(t, "cookies after a revoke", set, sent)
	})
}

// The page that fetches a withheld cookie is for links of other sites. Here the
// cookie came, and a browser without Referer would get that page again and
// again.
func TestServeWithheldOfAnotherInstancesEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
		o.Away()
		_, cookie := cut.visit("", stores)
		served, held := true, false
		_, _ = visitAs(peer.serve(func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			held, served = s.Withheld(), sessionstore.ServeWithheld(w, r)
		}), navigating, cookie)
		expect(t, "withheld", held, true)
		expect(t, "served", served, false)
		o.Back()
	})
}

// A logout there clears the cookie, and the session is not restored. A second
// click does not undo that.
func TestALogoutOfAnotherInstancesEmergency(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			o.Away()
			b := &jar{t, cut, map[string]string{}}
			_, _ = b.get(logIn)
			stolen := b.copied()
			if late {
				o.Back()
			}
			b.site = peer
			second := b.copied()
			status, set := b.get(func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				logOut(w, r, s)
				_, _ = second.get(logOut)
			})
			expect(t, "status", status, http.StatusOK)
			expect(t, "cookies set", set, "-"+sent)
			_, _ = second.get(logOut)
			if !late {
				o.Back()
			}
			expect(t, "the token", stolen.who(), "")
			stolen.site = peer
			expect(t, "the token elsewhere", stolen.who(), "")
		})
	}
}

// The instance is cut off for longer than the idle timeout, and the session is
// in use there.
func TestALogoutOfAnotherInstancesLongEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}
		config := func(c *sessionstore.Config) {
			c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute
		}
		o := outagetest.New(t, halfMinute, expiry)
		defer o.End()
		cut := newSiteOver(t, newSpy(o), config)
		peer := newSiteOver(t, newSpy(o.Rows), config)
		o.Away()
		b := &jar{t, cut, map[string]string{}}
		_, _ = b.get(logIn)
		stolen := b.copied()
		b.site = peer
		_, _ = b.get(logOut)
		for range 4 {
			time.Sleep(20 * time.Minute)
			expect(t, "the token, where the logout is unknown", stolen.who(), "ann")
		}
		if _, _, err := o.Rows.Prune(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		o.Back()
		expect(t, "the token", stolen.who(), "")
	})
}

// The same beside a dead cookie of another spelling, which comes first.
func TestASessionOfAnotherInstancesEmergencyBesideADeadCookie(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			dead := peer.user("ann")
			peer.revoke(dead)
			o.Away()
			b := &jar{t, cut, map[string]string{}}
			_, _ = b.get(logIn)
			resp, _ := visit(peer.serve(func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				expect(t, "withheld", s.Withheld(), true)
				if stores(w, r, s); leaves {
					logOut(w, r, s)
				}
			}), dead, b.cookies[cookieName])
			expect(t, "cookies set", len(resp.Cookies()), map[bool]int{true: 1}[leaves])
			o.Back()
			expect(t, "afterwards", b.who(), map[bool]string{false: "ann"}[leaves])
		})
	}
}

// A logout there ends the streams of the instance that has the session, when
// Postgres is back. Without it they stay.
func TestAStreamOfASessionLoggedOutElsewhereInAnEmergency(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			o.Away()
			b := &jar{t, cut, map[string]string{}}
			_, _ = b.get(logIn)
			tab, out := b.copied(), b.copied()
			out.site = peer
			_, _ = tab.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				stream, cancel := s.Watch(r.Context())
				defer cancel()
				if leaves {
					_, _ = out.get(logOut)
				}
				time.Sleep(5 * time.Second)
				expect(t, "in the emergency", stream.Err(), nil)
				o.Back()
				time.Sleep(5 * time.Second)
				expect(t, "ended", stream.Err() != nil, leaves)
				peer.revoke(b.cookies[cookieName])
				time.Sleep(5 * time.Second)
				expect(t, "ended by a revoke", stream.Err() != nil, true)
			})
		})
	}
}

// The cookie of an emergency stays as it is while the emergency lasts, also
// beside a minimum version that a cache would want.
func TestAnEmergencysCookieIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		site := newSiteOver(t, newSpy(o))
		o.Away()
		b := &jar{t, site, map[string]string{}}
		_, _ = b.get(stores)
		for range 3 {
			time.Sleep(time.Minute)
			_, set := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				site.check(s.Set("n", time.Now()))
			})
			expect(t, "cookies set", set, "")
		}
		_, set := b.get(logIn)
		expect(t, "cookies of a login", set, sent)
		expect(t, "the login", b.who(), "ann")
		o.Back()
	})
}
