package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

const (
	day     = 24 * time.Hour
	halfDay = 12 * time.Hour
)

// logInFor is a page that logs ada in, with a cookie that outlives the browser.
func (s *site) logInFor(options ...sessionstore.LoginOption) page {
	return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Login(r.Context(), "ada", options...), sess.RememberMe(true))
	}
}

// expireIn is a page that calls ExpireIn.
func (s *site) expireIn(d time.Duration) page {
	return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.ExpireIn(r.Context(), d))
	}
}

// lives checks a page's Set-Cookie and the deadline that the session has then,
// both from now on. It returns the cookie. An age of 0 is no Max-Age, and a
// negative one no Set-Cookie.
func (s *site) lives(what, cookie string, p page, maxAge, want time.Duration) string {
	s.t.Helper()
	resp, after := s.visit(cookie, p)
	got := -time.Second
	if c, ok := sessionCookie(resp); ok {
		got = time.Duration(c.MaxAge) * time.Second
	}
	expect(s.t, what+": Max-Age", got, maxAge)
	s.visit(after, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		info, ok := sess.Info()
		expect(s.t, what+": is stored", ok, true)
		expect(s.t, what+": lifetime", info.AbsoluteExpiresAt.Sub(info.ReadAt), want)
	})
	return after
}

func TestALoginHasALifetimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		rotate := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Rotate(r.Context()))
		}
		stepUp := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.StepUp(r.Context(), 2, "totp"))
		}
		short := site.logInFor(sessionstore.WithLifetime(halfDay))
		cookie := site.lives("a first login", "", short, halfDay, halfDay)
		time.Sleep(time.Hour)
		cookie = site.lives("a rotation", cookie, rotate, 11*time.Hour, 11*time.Hour)
		cookie = site.lives("a step-up", cookie, stepUp, 11*time.Hour, 11*time.Hour)
		cookie = site.lives("another login", cookie, short, halfDay, halfDay)
		cookie = site.lives("one without it", cookie, site.logInFor(), 30*day, 30*day)
		cookie = site.lives("a longer one than the absolute timeout", cookie,
			site.logInFor(sessionstore.WithLifetime(400*day)), 30*day, 30*day)

		cookie = site.lives("half a day", cookie, short, halfDay, halfDay)
		time.Sleep(halfDay - time.Second)
		expect(t, "before its end", site.look(cookie), "user=ada")
		time.Sleep(time.Second)
		expect(t, "after its end", site.look(cookie), "no session")
		site.check(site.m.Close())
	})
}

func TestALifetimeEndsTheStatusToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		_, cookie := site.visit("", site.logInFor(sessionstore.WithLifetime(time.Hour)))
		const want = `{"session":true,"logged_in":true,` +
			`"expires_in_seconds":3600,"absolute_expires_in_seconds":3600}`
		expect(t, "status", site.status(site.m.StatusHandler(), cookie), want)
		infos, err := site.m.List(t.Context(), "ada", sessionstore.Page{})
		site.check(err)
		expect(t, "in the list", infos[0].AbsoluteExpiresAt.Sub(infos[0].ReadAt), time.Hour)
		site.check(site.m.Close())
	})
}

func TestTheSecondFactorHasTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.begun("ada")
		cookie = site.lives("the second factor", cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.CompleteLogin(r.Context(), sessionstore.WithLifetime(halfDay)))
		}, 0, halfDay)
		site.lives("both in one request", cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.BeginLogin(r.Context(), "bob"))
			site.check(s.CompleteLogin(r.Context(), sessionstore.WithLifetime(time.Hour)))
		}, 0, time.Hour)
		site.check(site.m.Close())
	})
}

// A profile that is stricter than the lifetime counts.
func TestALifetimeIsWithinTheProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSiteOver(t, newSpy(newMemory(store.Expiry{
			Idle: 10 * time.Minute, Absolute: halfDay,
		})), func(cfg *sessionstore.Config) { cfg.Profile = sessionstore.AAL3 })
		cookie := site.lives("AAL3", "",
			site.logInFor(sessionstore.WithLifetime(30*day)), 0, halfDay)
		time.Sleep(5 * time.Minute)
		site.lives("later", cookie, site.expireIn(day), -time.Second, halfDay-5*time.Minute)
		site.check(site.m.Close())
	})
}

func TestExpireInMovesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.lives("the login", "", site.logInFor(), 30*day, 30*day)
		time.Sleep(day)
		is := site.lives("shorter", cookie, site.expireIn(time.Hour), time.Hour, time.Hour)
		expect(t, "the cookie", is, cookie)
		is = site.lives("longer", is, site.expireIn(2*day), 2*day, 2*day)
		is = site.lives("the longest", is, site.expireIn(400*day), 29*day, 29*day)
		is = site.lives("with a new token", is, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Rotate(r.Context()))
			site.expireIn(2*day)(w, r, s)
		}, 2*day, 2*day)
		is = site.lives("a value", is, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("k", 1))
		}, -time.Second, 2*day)
		is = site.lives("no longer than the browser", is, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.RememberMe(false))
			site.expireIn(day)(w, r, s)
		}, 0, day)
		site.lives("without a Max-Age", is, site.expireIn(time.Second), -time.Second, time.Second)
		time.Sleep(time.Second)
		expect(t, "after its end", site.look(is), "no session")
		site.check(site.m.Close())
	})
}

// The last call counts, and a login begins anew.
func TestTheLastLifetimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		forADay := site.logInFor(sessionstore.WithLifetime(day))
		shorter, without := site.expireIn(halfDay), site.logInFor()
		for name, tt := range map[string]struct {
			pages []page
			want  time.Duration
		}{
			"ExpireIn after a login":       {[]page{forADay, shorter}, halfDay},
			"a login after ExpireIn":       {[]page{shorter, forADay}, day},
			"a login without one after it": {[]page{shorter, without}, 30 * day},
			"another login":                {[]page{forADay, without}, 30 * day},
		} {
			for from, cookie := range map[string]string{
				"a visitor": "", "a session": site.newcomer(), "a user": site.user("ada"),
			} {
				site.lives(name+" of "+from, cookie, func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					for _, p := range tt.pages {
						p(w, r, s)
					}
				}, tt.want, tt.want)
			}
		}
		site.check(site.m.Close())
	})
}

func TestExpireInOfNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		resp, cookie := site.visit("", site.expireIn(time.Hour))
		expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
		expect(t, "calls of the store", site.store.asked(), "")
		site.lives("one that begins", cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.expireIn(time.Hour)(w, r, s)
			site.check(s.Set("k", 1))
		}, 0, time.Hour)
		site.check(site.m.Close())
	})
}

func TestDiscardTakesBackALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		site.lives("Discard", cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.expireIn(time.Hour)(w, r, s)
			s.Discard()
		}, -time.Second, 30*day)
		site.lives("an error", cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.expireIn(time.Hour)(w, r, s)
			w.WriteHeader(http.StatusInternalServerError)
		}, -time.Second, 30*day)
		expect(t, "events", site.seen(), "session changes discarded")
		site.check(site.m.Close())
	})
}

// A login whose reply was lost has its lifetime once.
func TestALifetimeIsKeptWhenTheReplyIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		lost := site.store.Inject(fault.Rule{When: fault.After, Err: errLost}, store.OpRotate)
		down := site.store.Inject(fault.Rule{Err: errLost}, store.OpSave)
		site.lives("the login", cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.logInFor(sessionstore.WithLifetime(halfDay))(w, r, s)
			if err := s.Save(r.Context()); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("Save: %v", err)
			}
			lost.Release()
			down.Release()
		}, halfDay, halfDay)
		site.check(site.m.Close())
	})
}

func TestLifetimesThatAreRefused(t *testing.T) {
	site := newSite(t)
	site.visit(site.begun("ada"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		refused := func(what string, err error) {
			t.Helper()
			var bad *sessionstore.ValueError
			if !errors.As(err, &bad) || bad.Key != "lifetime" ||
				!strings.Contains(err.Error(), "lifetime") {
				t.Errorf("%s: %v, want a *ValueError of the lifetime", what, err)
			}
		}
		ctx := r.Context()
		for _, d := range []time.Duration{
			0, -time.Hour, 30, 43200, time.Second - 1, -1 << 63,
		} {
			option := sessionstore.WithLifetime(d)
			refused("Login "+d.String(), s.Login(ctx, "ada", option))
			refused("CompleteLogin "+d.String(), s.CompleteLogin(ctx, option))
			refused("ExpireIn "+d.String(), s.ExpireIn(ctx, d))
		}
		refused("BeginLogin", s.BeginLogin(ctx, "ada", sessionstore.WithLifetime(time.Hour)))
		expect(t, "pending", s.PendingUserID(), "ada")
		expect(t, "user", s.UserID(), "")
	})
	expect(t, "calls of the store", site.store.asked(), "load")
}

// A response that was sent before the deadline moved writes the cookie of a
// session that is there only.
func TestALateResponseThatMovedTheDeadlineSetsNoCookie(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit("", site.logInFor())
	b := site.browser(cookie)
	slow := b.copied()
	_, set := slow.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.ExpireIn(context.WithoutCancel(r.Context()), time.Hour), s.Save(r.Context()))
		_, _ = b.get(logIn)
	})
	expect(t, "cookies set by the slow one", set, "")
	expect(t, "the browser", b.who(), "ann")
}
