package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// One instance has no connection to Postgres and makes a session. Another
// instance does not find it and leaves its cookie alone for five minutes.
func TestSessionOfAnotherEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut := newSiteOver(t, newSpy(o))
		peer := newSiteOver(t, newSpy(o.Rows))
		o.BeginOutage()
		b := cut.browser("")
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

		// When Postgres is available again, every instance finds the session
		// and the cookie stays.
		o.EndOutage()
		_, set = made.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			expect(t, "restored", s.Has("seen"), true)
			peer.check(s.Set("more", 1))
		})
		expect(t, "cookies of a save after it", set, "")
		_, set = made.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			peer.check(s.RememberMe(true))
		})
		expect(t, "cookies of another reason", set, sent)

		// That cookie is no longer of an emergency.
		peer.revoke(made.cookies[cookieName])
		_, set = made.get(stores)
		expect(t, "cookies after a revoke", set, sent)
	})
}

// The page that fetches a withheld cookie is for links from other sites. Here
// the cookie was sent, so the page would repeat for ever in a browser without
// Referer.
func TestServeWithheldInAnotherEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
		o.BeginOutage()
		_, cookie := cut.visit("", stores)
		served, held := true, false
		_, _ = visitAs(peer.serve(func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			held, served = s.Withheld(), sessionstore.ServeWithheld(w, r)
		}), navigating, cookie)
		expect(t, "withheld", held, true)
		expect(t, "served", served, false)
		o.EndOutage()
	})
}

// A logout on another instance clears the cookie, and the session is not
// restored. A second logout does not undo that.
func TestLogoutInAnotherEmergency(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			o.BeginOutage()
			b := cut.browser("")
			_, _ = b.get(logIn)
			stolen := b.copied()
			if late {
				o.EndOutage()
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
				o.EndOutage()
			}
			expect(t, "the token", stolen.who(), "")
			stolen.site = peer
			expect(t, "the token elsewhere", stolen.who(), "")
		})
	}
}

// The second click of a logout on another instance can't read the row that the
// first one has created. It fails, and leaves that row: the session is not
// restored.
func TestSecondLogoutInAnotherEmergencyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
		o.BeginOutage()
		b := cut.browser("")
		_, _ = b.get(logIn)
		stolen, second := b.copied(), b.copied()
		b.site, second.site = peer, peer
		status, set := second.get(func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			first, _ := b.get(logOut)
			expect(t, "status of the first logout", first, http.StatusOK)
			peer.store.Down(store.OpLoad)
			logOut(w, r, s)
		})
		expect(t, "status of the second", status, http.StatusServiceUnavailable)
		expect(t, "cookies set by the second", set, "")
		peer.store.Up()
		o.EndOutage()
		expect(t, "the token", stolen.who(), "")
		stolen.site = peer
		expect(t, "the token elsewhere", stolen.who(), "")
	})
}

// The instance of the logout has lost Postgres too. What it holds in memory
// can't keep the other one from restoring the session, so the logout fails, and
// one that comes later succeeds.
func TestLogoutInAnotherEmergencyDuringAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		link := fault.Wrap(o.Rows)
		chain := outagetest.Wire(link, nil, halfMinute, weekly, nil)
		defer func() { _ = chain.Close() }()
		cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(chain.Store))
		o.BeginOutage()
		b := cut.browser("")
		_, _ = b.get(logIn)
		stolen := b.copied()
		b.site = peer
		first, second := b.copied(), b.copied()
		leave := func(b *browser) (int, string) {
			return b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				expect(t, "withheld", s.Withheld(), true)
				if link.Down(); b == first {
					for range 4 {
						_, _ = chain.Stats(t.Context(), false)
						time.Sleep(time.Second / 2)
					}
				}
				expect(t, "an emergency", chain.Detector.Unavailable(), true)
				logOut(w, r, s)
			})
		}
		for _, tab := range []*browser{first, second} {
			status, set := leave(tab)
			expect(t, "status", status, http.StatusServiceUnavailable)
			expect(t, "cookies set", set, "")
		}
		link.Up()
		time.Sleep(3 * time.Second)
		status, set := first.get(logOut)
		expect(t, "status afterwards", status, http.StatusOK)
		expect(t, "cookies set afterwards", set, "-"+sent)
		o.EndOutage()
		expect(t, "the token", stolen.who(), "")
		stolen.site = peer
		expect(t, "the token elsewhere", stolen.who(), "")
	})
}

// The emergency outlasts the idle timeout, and the session is in use in it.
func TestLogoutInAnotherLongEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}
		config := func(c *sessionstore.Config) {
			c.IdleTimeout, c.AbsoluteTimeout = expiry.Idle, expiry.Absolute
		}
		o := outagetest.New(t, halfMinute, expiry)
		defer o.End()
		cut := newSiteOver(t, newSpy(o), config)
		peer := newSiteOver(t, newSpy(o.Rows), config)
		o.BeginOutage()
		b := cut.browser("")
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
		o.EndOutage()
		expect(t, "the token", stolen.who(), "")
	})
}

// The same, with the cookie of an ended session under another spelling first.
func TestSessionOfAnotherEmergencyWithOldCookie(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			ended := peer.user("ann")
			peer.revoke(ended)
			o.BeginOutage()
			b := cut.browser("")
			_, _ = b.get(logIn)
			resp, _ := visit(peer.serve(func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				expect(t, "withheld", s.Withheld(), true)
				if stores(w, r, s); leaves {
					logOut(w, r, s)
				}
			}), ended, b.cookies[cookieName])
			expect(t, "cookies set", len(resp.Cookies()), map[bool]int{true: 1}[leaves])
			o.EndOutage()
			expect(t, "afterwards", b.who(), map[bool]string{false: "ann"}[leaves])
		})
	}
}

// The browser sends several cookies: of two sessions of another instance's
// emergency, with one of Postgres or with too many others. A logout ends all.
func TestLogoutOfSeveralInAnotherEmergency(t *testing.T) {
	for _, others := range []string{"", "user", "a b c d e f g h"} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			cookies := strings.Fields(others)
			if others == "user" {
				cookies[0] = peer.user("bob")
			}
			o.BeginOutage()
			first, second := cut.user("ann"), cut.user("ann")
			resp, _ := visit(peer.serve(logOut), append(cookies, first, second)...)
			expect(t, "status", resp.StatusCode, http.StatusOK)
			o.EndOutage()
			expect(t, others+", the first", cut.look(first), "no session")
			expect(t, others+", the second", cut.look(second), "no session")
			if others == "user" {
				expect(t, "that of Postgres", peer.look(cookies[0]), "no session")
			}
		})
	}
}

// Too many cookies at the instance of the emergency: a logout there ends the
// session that it has in memory.
func TestLogoutWithTooManyCookiesInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		site := newSiteOver(t, newSpy(o))
		o.BeginOutage()
		mine := site.user("ann")
		resp, _ := visit(site.serve(logOut), append(strings.Split("abcdefgh", ""), mine)...)
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "the session", site.look(mine), "no session")
		o.EndOutage()
		expect(t, "the session afterwards", site.look(mine), "no session")
	})
}

// A stranger has collected cookies whose sessions have ended. In an emergency
// none of them is known to have, and each would be a revoke in the journal. A
// user's session in memory ends beside them.
func TestLogoutOfUnknownCookiesInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		site := newSiteOver(t, newSpy(o))
		var cookies []string
		for range 30 {
			ended := site.newcomer()
			site.revoke(ended)
			cookies = append(cookies, ended)
		}
		alive := site.user("bob")
		o.BeginOutage()
		resp, _ := visit(site.serve(logOut), append(cookies, alive, site.user("ann"))...)
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "cookies set", len(resp.Cookies()), 0)
		expect(t, "the emergency", o.Metrics(), store.EmergencyStats{Since: o.Metrics().Since})
		o.EndOutage()
		resp, _ = visit(site.serve(logOut), append(cookies, alive)...)
		expect(t, "status afterwards", resp.StatusCode, http.StatusOK)
		expect(t, "the session afterwards", site.look(alive), "no session")
	})
}

// A logout on another instance ends the streams of the instance with the
// session, once Postgres is available. Without the logout they stay open.
func TestStreamAfterLogoutInAnotherEmergency(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
			o.BeginOutage()
			b := cut.browser("")
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
				o.EndOutage()
				time.Sleep(5 * time.Second)
				expect(t, "ended", stream.Err() != nil, leaves)
				peer.revoke(b.cookies[cookieName])
				time.Sleep(5 * time.Second)
				expect(t, "ended by a revoke", stream.Err() != nil, true)
			})
		})
	}
}

// The instance with the stream learns that a row is there and can't read it:
// the session was restored, or logged out elsewhere. The stream ends after the
// time for which it stays open without an answer.
func TestStreamWhoseRowCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut := newSiteOver(t, newSpy(o))
		o.BeginOutage()
		b := cut.browser("")
		_, _ = b.get(logIn)
		_, _ = b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			stream, cancel := s.Watch(r.Context())
			defer cancel()
			cut.store.Down(store.OpLoad)
			o.EndOutage()
			time.Sleep(20 * time.Second)
			expect(t, "ended early", stream.Err(), nil)
			time.Sleep(12 * time.Second)
			expect(t, "ended", errors.Is(context.Cause(stream), sessionstore.ErrUnavailable), true)
			cut.store.Up()
		})
	})
}

// The cookie of an emergency stays the same while the emergency lasts, also
// with a minimum version that a cache would demand.
func TestEmergencyCookieIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		site := newSiteOver(t, newSpy(o))
		o.BeginOutage()
		b := site.browser("")
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
		o.EndOutage()
	})
}
