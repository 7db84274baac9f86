package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// login returns a page that logs a user in.
func (s *site) login(userID string) page {
	return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Login(r.Context(), userID))
		expect(s.t, "the user at once", sess.UserID(), userID)
	}
}

func TestLogin(t *testing.T) {
	keep := func(cfg *sessionstore.Config) { cfg.DisableRotateOnLogin = true }
	for _, tt := range []struct {
		name   string
		config func(*sessionstore.Config)
		before func(*site) string // the cookie
		token  bool               // a new one
		after  string
		asked  string
	}{
		{
			"a visitor without a session", nil, func(*site) string { return "" }, true, "user=ada",
			"create",
		},
		{
			"a visitor with one keeps its values", nil,
			func(s *site) string { return s.newcomer("cart") }, true, "user=ada cart",
			"load rotate",
		},
		{
			"the same user again", nil, func(s *site) string { return s.user("ada", "cart") }, true,
			"user=ada cart", "load rotate",
		},
		{
			"another user, who gets none of the first one's values", nil,
			func(s *site) string { return s.user("bob", "cart") }, true, "user=ada", "load rotate",
		},
		{"a visitor whose session has ended", nil, func(s *site) string {
			cookie := s.newcomer("cart")
			s.revoke(cookie)
			return cookie
		}, true, "user=ada", "load create"},
		{
			"a visitor who keeps the token", keep,
			func(s *site) string { return s.newcomer("cart") }, false, "user=ada cart", "load save",
		},
		{
			"the same user, who keeps the token", keep,
			func(s *site) string { return s.user("ada", "cart") }, false, "user=ada cart",
			"load save",
		},
		{
			"another user, who does not keep the token", keep,
			func(s *site) string { return s.user("bob", "cart") }, true, "user=ada", "load rotate",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, func(cfg *sessionstore.Config) {
				if tt.config != nil {
					tt.config(cfg)
				}
			})
			before := tt.before(site)
			page := site.login("ada")
			_, after := site.visit(before, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				page(w, r, s)
				expect(t, "the values at once", s.Has("cart"), strings.Contains(tt.after, "cart"))
			})
			expect(t, "calls of the store", site.store.asked(), tt.asked)
			expect(t, "a new token", after != before, tt.token)
			expect(t, "EventLogin", site.event(sessionstore.EventLogin).UserID, "ada")
			expect(t, "the session", site.look(after, "cart"), tt.after)
			if tt.token {
				expect(t, "the token from before (session fixation)", site.look(before, "cart"),
					"no session")
			}
			expect(t, "rows", site.store.rows(), 1)
		})
	}
}

// A visitor's session may end while the user types a password. The login
// succeeds all the same.
func TestLoginFromEndedSession(t *testing.T) {
	for name, keep := range map[string]bool{"with a new token": false, "keeping the token": true} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t, func(cfg *sessionstore.Config) { cfg.DisableRotateOnLogin = keep })
			before := site.newcomer("cart")
			resp, after := site.visit(before, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				rec, _ := s.Record()
				site.end(rec.ID)
				site.check(s.Set("name", "Ada"))
				site.check(s.Login(r.Context(), "ada"))
			})
			expect(t, "status", resp.StatusCode, http.StatusOK)
			expect(t, "a new token", after != before, true)
			expect(t, "events", site.seen(), "session login")
			expect(t, "the session", site.look(after, "cart", "name"), "user=ada name")
		})
	}
}

// A user's session that was ended while the request was under way gives no new
// one: a Login may be a change of role, and the bearer of the token a thief.
func TestALoginRevivesNoUsersSession(t *testing.T) {
	login := func(userID string) func(context.Context, *sessionstore.Session) error {
		return func(ctx context.Context, s *sessionstore.Session) error {
			return s.Login(ctx, userID, sessionstore.AuthenticatedBy(2, "totp"))
		}
	}
	again := map[string]func(context.Context, *sessionstore.Session) error{
		"the same user": login("ada"),
		"another user":  login("ceo"),
		"another user, after a logout": func(ctx context.Context, s *sessionstore.Session) error {
			return errors.Join(s.Logout(ctx), login("ceo")(ctx, s))
		},
		"another user, after a save": func(ctx context.Context, s *sessionstore.Session) error {
			err := errors.Join(s.Set("step", 1), s.Save(ctx))
			if !errors.Is(err, sessionstore.ErrNotFound) {
				return fmt.Errorf("save: %w", err)
			}
			return login("ceo")(ctx, s)
		},
	}
	for name, keep := range map[string]bool{"with a new token": false, "keeping the token": true} {
		for as, again := range again {
			t.Run(as+", "+name, func(t *testing.T) {
				site := newSite(t, func(c *sessionstore.Config) {
					c.DisableRotateOnLogin = keep
				})
				cookie := site.user("ada", "cart")
				site.seen()
				resp, after := site.visit(cookie, func(
					_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					rec, _ := s.Record()
					site.end(rec.ID)
					site.check(again(r.Context(), s))
				})
				expect(t, "status", resp.StatusCode, http.StatusForbidden)
				expect(t, "events", site.seen(), "session login refused")
				expect(t, "the session", site.look(after), "no session")
				for _, userID := range []string{"ada", "ceo"} {
					infos, err := site.m.List(t.Context(), userID, sessionstore.Page{})
					if err != nil || len(infos) > 0 {
						t.Errorf("%d sessions of %s, %v", len(infos), userID, err)
					}
				}
			})
		}
	}
}

func TestLoginOfTwoUsersInOneRequest(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit(site.user("ada", "cart"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "bob"))
		expect(t, "ada's values as bob", s.Has("cart"), false)
		site.check(s.Login(r.Context(), "ada"))
		expect(t, "ada's values as ada", s.Has("cart"), true)
	})
	expect(t, "the session", site.look(cookie, "cart"), "user=ada cart")
}

// Another tab has logged in another user, and the session kept its token. The
// data of that user must not reach this one.
func TestLoginDuringLoginOfAnotherUser(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) { cfg.DisableRotateOnLogin = true })
	cookie := site.newcomer()
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Login(r.Context(), "ada"))
			site.check(s.Set("secret", true))
		})
		site.check(s.Login(r.Context(), "bob"))
		site.check(s.Set("own", true))
	})
	expect(t, "the session", site.look(cookie, "secret", "own"), "user=bob own")
}

func TestLoginRefusesInvalidUserIDs(t *testing.T) {
	site := newSite(t)
	site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		for _, id := range []string{"", strings.Repeat("x", 257), "a\x00b", "\xff"} {
			var bad *sessionstore.ValueError
			if err := s.Login(r.Context(), id); !errors.As(err, &bad) {
				t.Errorf("Login(%q): %v, want a *ValueError", id, err)
			}
		}
		expect(t, "user", s.UserID(), "")
	})
	expect(t, "calls of the store", site.store.asked(), "")
}

func TestLoginStartsTheTimeoutsAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(5 * 24 * time.Hour)
		_, cookie = site.visit(cookie, site.login("ada"))
		site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			rec, ok := s.Record()
			expect(t, "stored", ok, true)
			expect(t, "AbsoluteExpiresAt", time.Until(rec.AbsoluteExpiresAt), 30*24*time.Hour)
			expect(t, "AuthenticatedAt", rec.AuthenticatedAt.Equal(time.Now()), true)
		})
		site.check(site.m.Close())
	})
}

func TestLogout(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		cookie := site.user("ada", "cart")
		c := start(site.serve(func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("half", 1))
			site.check(s.Logout(r.Context()))
			site.check(s.Logout(r.Context())) // a second Logout does nothing
			site.check(s.Save(r.Context()))
			expect(t, "user", s.UserID(), "")
			expect(t, "values", s.Has("cart") || s.Has("half"), false)
		}))
		resp := c.send("POST", "/logout", cookie)
		cleared, ok := sessionCookie(resp)
		if !ok || cleared.Value != "" || cleared.MaxAge != -1 {
			t.Errorf("the cookie is not cleared: %v", resp.Header)
		} else {
			expect(
				t, "attributes",
				cleared.Secure && cleared.HttpOnly && cleared.Path == "/" && cleared.Domain == "",
				true,
			)
		}
		expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
		expect(t, "calls of the store", site.store.asked(), "load delete")
		expect(t, "events", site.seen(), "session logout")
		expect(t, "rows", site.store.rows(), 0)
		expect(t, "the session", site.look(cookie), "no session")
	})
}

func TestValueAfterLogoutStartsNewSession(t *testing.T) {
	site := newSite(t)
	before := site.user("ada", "cart")
	resp, after := site.visit(before, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.RememberMe(true))
		site.check(s.Logout(r.Context()))
		site.check(s.Set("flash", "bye"))
	})
	cookie, _ := sessionCookie(resp)
	expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 1)
	expect(t, "Max-Age", cookie.MaxAge, 0)
	expect(t, "calls of the store", site.store.asked(), "load delete create")
	expect(t, "the new session", site.look(after, "cart", "flash"), "user= flash")
	expect(t, "the old one", site.look(before), "no session")
	expect(t, "rows", site.store.rows(), 1)
}

func TestFailedLogoutKeepsTheSession(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada")
	site.store.Down(store.OpDelete)
	resp, after := site.visit(cookie, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Logout(r.Context()))
	})
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "the cookie is untouched", after, cookie)
	site.store.Up()
	expect(t, "the session", site.look(cookie), "user=ada")
}

// besideASave calls change while the store holds a save of the given operation.
// It expects that change waits for the save, and returns when both have ended.
func (s *site) besideASave(sess *sessionstore.Session, op store.Operation, change func()) {
	s.t.Helper()
	held := s.store.hold(op)
	var both sync.WaitGroup
	both.Go(func() { s.check(sess.Save(s.t.Context())) })
	arrived(s.t, held)
	var changed atomic.Bool
	both.Go(func() {
		change()
		changed.Store(true)
	})
	synctest.Wait()
	expect(s.t, "it returns during the save", changed.Load(), false)
	held.Release()
	both.Wait()
}

// A save under way must not restore a session that is logged out meanwhile.
func TestLogoutDuringSave(t *testing.T) {
	user := func(s *site) string { return s.user("ada") }
	for _, tt := range []struct {
		op     store.Operation
		cookie func(*site) string
		change page
	}{
		{store.OpSave, user, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("cart", 1)
		}},
		{store.OpRotate, user, renew},
		{store.OpCreate, func(*site) string { return "" }, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			_ = s.Login(r.Context(), "ada")
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t)
			cookie := tt.cookie(site)
			_, after := site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				tt.change(w, r, s)
				site.besideASave(s, tt.op, func() { site.check(s.Logout(r.Context())) })
				expect(t, string(tt.op)+": user", s.UserID(), "")
			})
			expect(t, string(tt.op)+": rows", site.store.rows(), 0)
			expect(t, string(tt.op)+": EventLogout", site.event(sessionstore.EventLogout).UserID,
				"ada")
			expect(t, string(tt.op)+": the cookie from before", site.look(cookie), "no session")
			expect(t, string(tt.op)+": the cookie afterwards", after, "")
		})
	}
}

// While the response is being saved, a concurrent logout is too late and must
// get an error.
func TestLogoutDuringCommit(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada")
	held := site.store.hold(store.OpSave)
	defer held.Release()
	site.visit(cookie, func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Set("cart", 1))
		var logout sync.WaitGroup
		logout.Go(func() {
			arrived(t, held)
			if err := s.Logout(r.Context()); !errors.Is(err, sessionstore.ErrHeadersSent) {
				t.Errorf("Logout: %v, want ErrHeadersSent", err)
			}
			held.Release()
		})
		w.WriteHeader(http.StatusOK)
		logout.Wait()
	})
	expect(t, "the session", site.look(cookie, "cart"), "user=ada cart")
}

func TestRotate(t *testing.T) {
	site := newSite(t)
	before := site.user("ada", "cart")
	_, after := site.visit(before, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Rotate(r.Context()))
	})
	expect(t, "calls of the store", site.store.asked(), "load rotate")
	expect(t, "events", site.seen(), "session rotated")
	expect(t, "the session", site.look(after, "cart"), "user=ada cart")
	expect(t, "the old token", site.look(before), "no session")
}

func TestRotateDuringSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		before := site.user("ada")
		_, after := site.visit(before, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			site.besideASave(s, store.OpSave, func() { site.check(s.Rotate(r.Context())) })
		})
		expect(t, "the session", site.look(after, "cart"), "user=ada cart")
		expect(t, "the old token", site.look(before), "no session")
	})
}

// The wait for a save ends with its context, and the call then changes nothing.
func TestWaitForSaveEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		held := site.store.hold(store.OpSave)
		_, after := site.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			var save sync.WaitGroup
			save.Go(func() { site.check(s.Save(r.Context())) })
			arrived(t, held)
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			for what, change := range map[string]func() error{
				"Login":  func() error { return s.Login(ctx, "bob") },
				"Logout": func() error { return s.Logout(ctx) },
				"Rotate": func() error { return s.Rotate(ctx) },
				"Save":   func() error { return s.Save(ctx) },
			} {
				err := change()
				if !errors.Is(err, context.DeadlineExceeded) ||
					!errors.Is(err, sessionstore.ErrUnavailable) {
					t.Errorf("%s: %v, want ErrUnavailable and the error of the context", what, err)
				}
			}
			held.Release()
			save.Wait()
			expect(t, "user", s.UserID(), "ada")
		})
		expect(t, "the token", after, cookie)
		expect(t, "the session", site.look(cookie, "cart"), "user=ada cart")
	})
}

func TestRememberMe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		const day = 24 * 60 * 60
		maxAge := func(cookie string, p page) (int, string) {
			t.Helper()
			resp, after := site.visit(cookie, p)
			c, ok := sessionCookie(resp)
			if !ok {
				t.Fatal("no cookie was sent")
			}
			return c.MaxAge, after
		}
		remember := func(on bool) page {
			return func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				site.check(s.RememberMe(on))
			}
		}
		regenerate := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Rotate(r.Context()))
		}

		age, cookie := maxAge("", site.login("ada"))
		expect(t, "Max-Age by default", age, 0)
		time.Sleep(3 * 24 * time.Hour)
		site.store.asked()
		age, cookie = maxAge(cookie, remember(true))
		expect(t, "Max-Age when remembered", age, 27*day)
		expect(t, "calls of the store", site.store.asked(), "load alive")
		time.Sleep(24 * time.Hour)
		age, cookie = maxAge(cookie, regenerate)
		expect(t, "Max-Age after a day and Regenerate", age, 26*day)
		age, cookie = maxAge(cookie, site.login("ada"))
		expect(t, "Max-Age after another login", age, 30*day)

		resp, _ := site.visit(cookie, remember(true))
		expect(t, "Set-Cookie headers when it is on already", len(resp.Header["Set-Cookie"]), 0)
		age, cookie = maxAge(cookie, remember(false))
		expect(t, "Max-Age when off again", age, 0)
		age, cookie = maxAge(cookie, regenerate)
		expect(t, "Max-Age when off, after Regenerate", age, 0)
		expect(t, "the session", site.look(cookie), "user=ada")
		site.check(site.m.Close())
	})
}
