package sessionstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// byPassword is the login option of most tests.
var byPassword = sessionstore.AuthenticatedBy(1, "password")

// names returns methods without their times, such as "password 1, totp 2".
func names(methods []sessionstore.Method) string {
	var all []string
	for _, m := range methods {
		all = append(all, fmt.Sprintf("%s %d", m.Name, m.Level))
	}
	return strings.Join(all, ", ")
}

// how returns the user of a session, its level and its methods.
func how(s *sessionstore.Session) string {
	return fmt.Sprintf("%s, level %d: %s", s.UserID(), s.Level(), names(s.Methods()))
}

// lookHow is how the next request of a browser sees its session.
func (s *site) lookHow(cookie string) (is string) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		is = how(sess)
	})
	return is
}

// loginID is that of a cookie's session.
func (s *site) loginID(cookie string) (id string) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		id = sess.LoginID()
	})
	return id
}

// by is a page that logs ada in.
func (s *site) by(options ...sessionstore.LoginOption) page {
	return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Login(r.Context(), "ada", options...))
	}
}

func TestHowAUserLoggedIn(t *testing.T) {
	totp := sessionstore.AuthenticatedBy(2, "totp")
	for _, tt := range []struct {
		name    string
		options []sessionstore.LoginOption
		want    string
	}{
		{"nothing is said", nil, "ada, level 0: "},
		{"one method", []sessionstore.LoginOption{byPassword}, "ada, level 1: password 1"},
		{
			"two of one level",
			[]sessionstore.LoginOption{sessionstore.AuthenticatedBy(2, "a", "b")},
			"ada, level 2: a 2, b 2",
		},
		{
			"two of two levels",
			[]sessionstore.LoginOption{byPassword, totp},
			"ada, level 2: password 1, totp 2",
		},
		{
			"the same name twice: the later one counts",
			[]sessionstore.LoginOption{byPassword, sessionstore.AuthenticatedBy(3, "password")},
			"ada, level 3: password 3",
		},
		{
			"beside another option",
			[]sessionstore.LoginOption{sessionstore.DropValues, byPassword},
			"ada, level 1: password 1",
		},
	} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keeping the token: %t", tt.name, keep), func(t *testing.T) {
				site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
				for _, cookie := range []string{"", site.newcomer(), site.user("bob")} {
					id := ""
					_, cookie := site.visit(cookie, func(
						w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
					) {
						site.by(tt.options...)(w, r, s)
						expect(t, "at once", how(s), tt.want)
						id = s.LoginID()
						site.check(s.Save(r.Context()))
						expect(t, "after a save", how(s), tt.want)
					})
					expect(t, "afterwards", site.lookHow(cookie), tt.want)
					expect(t, "its id", site.loginID(cookie), id)
					expect(t, "a UUID", len(id), 36)
					e := site.event(sessionstore.EventLogin)
					said := fmt.Sprintf("%s, level %d: %s", e.UserID, e.Level, names(e.Methods))
					expect(t, "the event", said, tt.want)
					expect(t, "id in the event", e.LoginID, id)
					site.visit(cookie, func(
						_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
					) {
						i, _ := s.Info()
						said := fmt.Sprintf("%s, level %d: %s", i.UserID, i.Level, names(i.Methods))
						expect(t, "Info", said, tt.want)
						expect(t, "id in Info", i.LoginID, id)
					})
					site.seen()
				}
			})
		}
	}
}

// A level is kept over no login, and an id names one.
func TestALoginReplacesTheOneBefore(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit("", site.by(byPassword, sessionstore.AuthenticatedBy(3, "passkey")))
	first := site.loginID(cookie)
	_, cookie = site.visit(cookie, func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.by(byPassword)(w, r, s)
		expect(t, "at once", how(s), "ada, level 1: password 1")
		expect(t, "another id at once", s.LoginID() != first, true)
	})
	expect(t, "afterwards", site.lookHow(cookie), "ada, level 1: password 1")
	expect(t, "another id", site.loginID(cookie) != first, true)
	_, cookie = site.visit(cookie, site.login("bob"))
	expect(t, "bob", site.lookHow(cookie), "bob, level 0: ")
}

func TestARotationKeepsTheLogin(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit("", site.by(byPassword))
	id := site.loginID(cookie)
	_, cookie = site.visit(cookie, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Rotate(r.Context()))
		site.check(s.Set("cart", 1))
	})
	expect(t, "afterwards", site.lookHow(cookie), "ada, level 1: password 1")
	expect(t, "the id", site.loginID(cookie), id)
}

// Without a user there is no login.
func TestNoLogin(t *testing.T) {
	site := newSite(t)
	for what, cookie := range map[string]string{"a visitor": "", "with values": site.newcomer()} {
		expect(t, what, site.lookHow(cookie), ", level 0: ")
		expect(t, what+": id", site.loginID(cookie), "")
	}
	site.visit(site.user("ada"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Logout(r.Context()))
		expect(t, "after a logout", how(s)+s.LoginID(), ", level 0: ")
		site.by(byPassword)(nil, r, s)
		s.Discard()
		expect(t, "after Discard", how(s)+s.LoginID(), ", level 0: ")
	})
}

func TestLoginOptionsThatAreInvalid(t *testing.T) {
	site := newSite(t)
	tags := make([]sessionstore.Tag, store.MaxTags+1)
	for i := range tags {
		tags[i] = sessionstore.NewTag("sid", fmt.Sprint(i))
	}
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	for _, tt := range []struct {
		key, problem string
		option       sessionstore.LoginOption
	}{
		{"level", "between 0 and 99", sessionstore.AuthenticatedBy(-1, "password")},
		{"level", "between 0 and 99", sessionstore.AuthenticatedBy(100, "password")},
		{"method", "is missing", sessionstore.AuthenticatedBy(1)},
		{"method", "empty name", sessionstore.AuthenticatedBy(1, "password", "")},
		{"method", "32 bytes", sessionstore.AuthenticatedBy(1, strings.Repeat("x", 33))},
		{"method", "another character", sessionstore.AuthenticatedBy(1, "Password")},
		{"method", "another character", sessionstore.AuthenticatedBy(1, "one time")},
		{"method", "another character", sessionstore.AuthenticatedBy(1, "clé")},
		{"method", "more than 8", sessionstore.AuthenticatedBy(1, many...)},
		{"tag", "zero Tag", sessionstore.WithTags(sessionstore.Tag{})},
		{"tag", "more than 8", sessionstore.WithTags(tags...)},
	} {
		site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			err := s.Login(r.Context(), "ada", byPassword, tt.option)
			var bad *sessionstore.ValueError
			if !errors.As(err, &bad) || bad.Key != tt.key ||
				!strings.Contains(bad.Problem, tt.problem) {
				t.Errorf("Login: %v, want a *ValueError of %q: %s", err, tt.key, tt.problem)
			}
			expect(t, "user", s.UserID(), "")
		})
	}
	expect(t, "calls of the store", site.store.asked(), "")

	most := []sessionstore.LoginOption{
		sessionstore.AuthenticatedBy(0, many[:7]...),
		sessionstore.AuthenticatedBy(99, strings.Repeat("z", 30)+"-9"),
		sessionstore.WithTags(tags[1:]...), sessionstore.WithTags(tags[1]),
	}
	_, cookie := site.visit("", site.by(most...))
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "the most there can be", fmt.Sprint(s.Level(), len(s.Methods())), "99 8")
	})
}

// The store finds a session by the tags of its login.
func TestTagsOfALogin(t *testing.T) {
	for _, keep := range []bool{false, true} {
		site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
		has := func(tag sessionstore.Tag) int {
			recs, err := site.store.List(t.Context(), "", store.Page{Tag: tag})
			site.check(err)
			return len(recs)
		}
		sid, org := sessionstore.NewTag("sid", "x"), sessionstore.NewTag("org", "x")
		expect(t, "of two kinds", sid == org, false)
		for _, cookie := range []string{"", site.newcomer()} {
			_, cookie = site.visit(cookie, site.by(sessionstore.WithTags(sid, org)))
			expect(t, "with both", has(sid)+has(org), 2)
			_, cookie = site.visit(cookie, site.by(sessionstore.WithTags(org)))
			expect(t, "the first after the next login", has(sid), 0)
			expect(t, "the second", has(org), 1)
			site.revoke(cookie)
		}
	}
}

func TestAuthenticated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		type query struct {
			level  int
			within time.Duration
		}
		ask := func(s *sessionstore.Session) string {
			var yes []string
			for _, q := range []query{
				{-1, time.Hour},
				{0, time.Hour},
				{0, 3 * time.Hour},
				{1, time.Hour},
				{1, 3 * time.Hour},
				{1, sessionstore.SinceLogin},
				{2, time.Hour},
				{2, sessionstore.SinceLogin},
				{0, 0},
				{0, -time.Hour},
				{1, 0},
			} {
				if s.Authenticated(q.level, q.within) {
					within := fmt.Sprint(q.within.Hours(), "h")
					if q.within == sessionstore.SinceLogin {
						within = "ever"
					}
					yes = append(yes, fmt.Sprint(q.level, " ", within))
				}
				if q.level == 0 {
					expect(t, "Fresh", s.Fresh(q.within), s.Authenticated(0, q.within))
				}
			}
			return strings.Join(yes, ", ")
		}
		is := func(what, cookie, want string) {
			t.Helper()
			site.visit(cookie, func(
				_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				expect(t, what, ask(s), want)
			})
		}
		const fresh = "-1 1h, 0 1h, 0 3h"
		is("a visitor", "", "")
		is("a visitor with values", site.newcomer(), "")
		var after *sessionstore.Session
		_, plain := site.visit("", func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.by()(w, r, s)
			expect(t, "a login that waits for its save", ask(s), fresh)
			after = s
		})
		expect(t, "after the request", ask(after), "")
		_, cookie := site.visit("", func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.by(byPassword)(w, r, s)
			expect(t, "by a password, unsaved", ask(s), fresh+", 1 1h, 1 3h, 1 ever")
		})
		is("a login without methods", plain, fresh)
		is("by a password", cookie, fresh+", 1 1h, 1 3h, 1 ever")
		time.Sleep(2 * time.Hour)
		is("after two hours", cookie, "0 3h, 1 3h, 1 ever")
		is("after two hours, without methods", plain, "0 3h")
		site.visit(cookie, func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.by()(w, r, s)
			expect(t, "a login without methods over one with", ask(s), fresh)
			s.Discard()
			expect(t, "taken back", ask(s), "0 3h, 1 3h, 1 ever")
			site.check(s.Logout(r.Context()))
			expect(t, "logged out", ask(s), "")
		})
		site.check(site.m.Close())
	})
}

// A WebSocket that asks before each message is one request.
func TestAuthenticatedInALongRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		_, cookie := site.visit("", site.by(sessionstore.AuthenticatedBy(2, "totp")))
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			expect(t, "at once", s.Authenticated(2, time.Minute), true)
			time.Sleep(time.Minute + time.Second)
			expect(t, "a minute later", s.Authenticated(2, time.Minute), false)
			expect(t, "with more time", s.Authenticated(2, time.Hour), true)
			site.check(s.StepUp(r.Context(), 2, "totp"))
			site.check(s.Save(r.Context()))
			expect(t, "after a step-up", s.Authenticated(2, time.Minute), true)
			time.Sleep(time.Minute + time.Second)
			expect(t, "a minute after that", s.Authenticated(2, time.Minute), false)
		})
	})
}

func TestRequireAuth(t *testing.T) {
	site := newSite(t)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	otherwise := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})
	ask := func(level int, cookie string, otherwise http.Handler) int {
		protected := sessionstore.RequireAuth(level, time.Hour, otherwise)(page)
		resp, _ := visit(site.m.Handler(protected), cookie)
		return resp.StatusCode
	}
	_, cookie := site.visit("", site.by(byPassword))
	expect(t, "level 1", ask(1, cookie, nil), http.StatusNoContent)
	expect(t, "level 2", ask(2, cookie, nil), http.StatusUnauthorized)
	expect(t, "level 2, otherwise", ask(2, cookie, otherwise), http.StatusTeapot)
	expect(t, "a visitor", ask(0, "", nil), http.StatusUnauthorized)
	site.store.Down(store.OpLoad)
	expect(t, "without the store", ask(1, cookie, otherwise), http.StatusServiceUnavailable)
}

// A page for users is for each login, however old, and for no other request.
func TestRequireLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		})
		ask := func(method, cookie string, otherwise http.Handler) *http.Response {
			guarded := sessionstore.RequireLogin(otherwise)(page)
			resp, _ := visit(site.m.Handler(http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					r.Method = method
					guarded.ServeHTTP(w, r)
				})), cookie)
			return resp
		}
		toLogin := http.RedirectHandler("/login", http.StatusSeeOther)
		_, visitor := site.visit("", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
		})
		_, pending := site.visit("", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.BeginLogin(r.Context(), "ada"))
		})
		for what, cookie := range map[string]string{
			"no session": "", "a visitor": visitor, "a pending login": pending,
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				resp := ask(method, cookie, toLogin)
				expect(t, what+", "+method, resp.StatusCode, http.StatusSeeOther)
				expect(t, what+", "+method, resp.Header.Get("Location"), "/login")
				expect(t, what+", alone", ask(method, cookie, nil).StatusCode,
					http.StatusUnauthorized)
			}
		}
		_, user := site.visit("", site.by()) // without a method
		time.Sleep(6 * 24 * time.Hour)
		expect(t, "an old login", ask(http.MethodPost, user, toLogin).StatusCode,
			http.StatusNoContent)
		site.store.Down(store.OpLoad)
		expect(t, "without the store", ask(http.MethodGet, user, toLogin).StatusCode,
			http.StatusServiceUnavailable)
	})
}

// Each event of a session names its login.
func TestEventsNameTheLogin(t *testing.T) {
	late := func(site *site, r *http.Request, w http.ResponseWriter, s *sessionstore.Session) {
		w.WriteHeader(http.StatusOK)
		site.check(s.Set("late", 1))
		site.store.Down(store.OpSave)
	}
	for kind, p := range map[sessionstore.EventKind]func(
		site *site, r *http.Request, w http.ResponseWriter, s *sessionstore.Session,
	){
		sessionstore.EventRotated: func(
			site *site, r *http.Request, _ http.ResponseWriter, s *sessionstore.Session,
		) {
			site.check(s.Rotate(r.Context()))
		},
		sessionstore.EventLogout: func(
			site *site, r *http.Request, _ http.ResponseWriter, s *sessionstore.Session,
		) {
			site.check(s.Logout(r.Context()))
		},
		sessionstore.EventDiscarded: func(
			site *site, _ *http.Request, w http.ResponseWriter, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			w.WriteHeader(http.StatusInternalServerError)
		},
		sessionstore.EventSaveFailed: func(
			site *site, _ *http.Request, _ http.ResponseWriter, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			site.store.Down(store.OpSave)
		},
		sessionstore.EventChangeLost: func(
			site *site, _ *http.Request, _ http.ResponseWriter, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			rec, _ := s.Record()
			site.end(rec.ID)
		},
		sessionstore.EventChangeLate: late,
		sessionstore.EventUncached: func(
			site *site, r *http.Request, w http.ResponseWriter, s *sessionstore.Session,
		) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			site.check(s.Rotate(r.Context()))
		},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			site := newSite(t)
			_, cookie := site.visit("", site.by(byPassword))
			id := site.loginID(cookie)
			site.seen()
			site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				p(site, r, w, s)
			})
			expect(t, "LoginID", site.event(kind).LoginID, id)
		})
	}
	site := watchful(t, acting(sessionstore.ActionRevoke))
	cookie, id := "", ""
	cookie = site.come("", home, laptop, site.by(byPassword))
	site.come(cookie, home, laptop, func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		id = s.LoginID()
	})
	site.come(cookie, cafe, phone, nothing)
	expect(t, "suspicious", site.event(sessionstore.EventSuspicious).LoginID, id)
	expect(t, "revoked", site.event(sessionstore.EventRevoked).LoginID, id)
}

func TestTheLogNamesTheLogin(t *testing.T) {
	site := newSite(t, func(c *sessionstore.Config) { c.Observer = nil })
	_, cookie := site.visit("", site.by(byPassword, sessionstore.AuthenticatedBy(2, "totp")))
	id := site.loginID(cookie)
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Rotate(r.Context()))
	})
	site.delivered()
	for message, want := range map[string]string{
		`msg="session login"`: " user_id=ada login_id=" + id +
			" methods=password,totp login_level=2 ip=192.0.2.1\n",
		`msg="session rotated"`: " user_id=ada login_id=" + id + "\n",
	} {
		found := false
		for line := range strings.Lines(site.log.String()) {
			found = found || strings.Contains(line, message) && strings.HasSuffix(line, want)
		}
		if !found {
			t.Errorf("no line %s ends with %q:\n%s", message, want, site.log)
		}
	}
}
