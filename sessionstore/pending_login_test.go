package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
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

// begin is a page that begins a login with a password.
func (s *site) begin(userID string) page {
	return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.t.Helper()
		s.check(sess.BeginLogin(r.Context(), userID, byPassword))
	}
}

// complete is a page that completes it with a code.
func (s *site) complete(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
	s.t.Helper()
	s.check(sess.CompleteLogin(r.Context(), sessionstore.AuthenticatedBy(2, "totp")))
}

// pendingUser is that of a cookie's session.
func (s *site) pendingUser(cookie string) (userID string) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		userID = sess.PendingUserID()
	})
	s.store.asked()
	s.seen()
	return userID
}

// begun is a visitor whose login has begun; it returns the cookie.
func (s *site) begun(userID string) string {
	s.t.Helper()
	_, cookie := s.visit(s.newcomer("cart"), s.begin(userID))
	s.store.asked()
	s.seen()
	return cookie
}

const completed = "ada, level 2: password 1, totp 2"

// Two factors in two requests, each of which gets a new token.
func TestPendingLogin(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for _, visitor := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
				before, began, asked := "", "create", "load rotate"
				values := "user="
				if visitor {
					before, began = site.newcomer("cart"), "load rotate"
					values = "user= cart"
				}
				isPending := func(when string, s *sessionstore.Session) {
					t.Helper()
					expect(t, when+": PendingUserID", s.PendingUserID(), "ada")
					expect(t, when+": no login", how(s), ", level 0: ")
					expect(t, when+": LoginID", s.LoginID(), "")
					expect(t, when+": Authenticated",
						s.Authenticated(0, sessionstore.SinceLogin) ||
							s.Authenticated(1, sessionstore.SinceLogin), false)
				}
				_, between := site.visit(before, func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					site.begin("ada")(w, r, s)
					isPending("at once", s)
					site.check(s.Save(r.Context()))
					isPending("saved", s)
				})
				expect(t, "calls of the store", site.store.asked(), began)
				expect(t, "a new token", between != before, true)
				e := site.event(sessionstore.EventLoginBegan)
				said := fmt.Sprintf("%s, level %d: %s, id %q",
					e.UserID, e.Level, names(e.Methods), e.LoginID)
				expect(t, "the event", said, `ada, level 1: password 1, id ""`)
				expect(t, "events", site.seen(), "session login began")
				expect(t, "the token from before", site.look(before), "no session")
				expect(t, "values", site.look(between, "cart"), values)

				time.Sleep(9 * time.Minute)
				site.visit(between, func(
					_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					isPending("nine minutes later", s)
					info, _ := s.Info()
					infos, err := site.m.List(r.Context(), "ada", sessionstore.Page{})
					site.check(err)
					for _, i := range append(infos, info) {
						said := fmt.Sprint(
							i.UserID, i.Pending, i.Level, names(i.Methods), i.LoginID)
						expect(t, "Info", said, "true 0password 1")
					}
					expect(t, "in the list", len(infos), 1)
				})
				site.store.asked()
				id := ""
				_, after := site.visit(between, func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					site.complete(w, r, s)
					expect(t, "completed at once", how(s), completed)
					expect(t, "PendingUserID then", s.PendingUserID(), "")
					expect(t, "level 2 at once", s.Authenticated(2, time.Minute), true)
					id = s.LoginID()
				})
				expect(t, "calls of the store", site.store.asked(), asked)
				expect(t, "another token", after != between, true)
				e = site.event(sessionstore.EventLogin)
				said = fmt.Sprintf("%s, level %d: %s", e.UserID, e.Level, names(e.Methods))
				expect(t, "the event", said, completed)
				expect(t, "id in the event", e.LoginID, id)
				expect(t, "events", site.seen(), "session login")
				expect(t, "the pending token", site.look(between), "no session")
				expect(t, "values", site.look(after, "cart"),
					strings.Replace(values, "=", "=ada", 1))
				expect(t, "rows", site.store.rows(), 1)
				site.visit(after, func(
					_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
				) {
					expect(t, "afterwards", how(s), completed)
					expect(t, "the id", s.LoginID(), id)
					rec, _ := s.Record()
					expect(t, "timeouts afresh", time.Until(rec.AbsoluteExpiresAt), weekly.Absolute)
					age := s.Methods()[1].At.Sub(s.Methods()[0].At)
					expect(t, "between the factors", age, 9*time.Minute)
					info, _ := s.Info()
					expect(t, "pending", info.Pending, false)
				})
				site.check(site.m.Close())
			})
		}
	}
}

// A session with a user is logged out before another login begins, and its
// values go, also those that this request has set.
func TestBeginLoginLogsOutFirst(t *testing.T) {
	for _, userID := range []string{"ada", "bob"} {
		site := newSite(t)
		before := site.user("ada", "cart")
		_, after := site.visit(before, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("half", 1))
			site.begin(userID)(w, r, s)
			expect(t, "at once", s.UserID(), "")
			expect(t, "values at once", s.Has("cart") || s.Has("half"), false)
			site.check(s.Set("flash", 1))
		})
		expect(t, "calls of the store", site.store.asked(), "load delete create")
		e := site.event(sessionstore.EventLogout)
		expect(t, "who logged out", e.UserID+" by "+e.Actor, "ada by ada")
		expect(t, "events", site.seen(), "session logout, session login began")
		expect(t, "the old token", site.look(before), "no session")
		expect(t, "values", site.look(after, "cart", "half", "flash"), "user= flash")
		expect(t, "pending", site.pendingUser(after), userID)
		expect(t, "rows", site.store.rows(), 1)

		site.visit(site.user("ada"), func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.begin(userID)(w, r, s)
			s.Discard()
			expect(t, "taken back", s.UserID()+s.PendingUserID(), "")
		})
		expect(t, "a logout stays", site.seen(), "session logout")
	}
}

// A pending login of another user, and DropValues, drop the values.
func TestBeginLoginDropsValues(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit(site.begun("bob"), site.begin("ada"))
	expect(t, "another user's", site.look(cookie, "cart"), "user=")
	_, cookie = site.visit(site.begun("ada"), site.begin("ada"))
	expect(t, "one's own", site.look(cookie, "cart"), "user= cart")
	for _, keep := range []bool{false, true} {
		site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
		_, cookie := site.visit(site.begun("bob"), func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.by()(w, r, s)
			expect(t, "at once", s.Has("cart"), false)
		})
		expect(t, "a login over another user's", site.look(cookie, "cart"), "user=ada")
	}
	drop := func(call func(*sessionstore.Session, context.Context) error) page {
		return func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(call(s, r.Context()))
			expect(t, "at once", s.Has("cart"), false)
			site.check(s.Set("flash", 1))
		}
	}
	_, cookie = site.visit(site.newcomer("cart"), drop(
		func(s *sessionstore.Session, ctx context.Context) error {
			return s.BeginLogin(ctx, "ada", sessionstore.DropValues)
		}))
	expect(t, "BeginLogin", site.look(cookie, "cart", "flash"), "user= flash")
	_, cookie = site.visit(site.begun("ada"), drop(
		func(s *sessionstore.Session, ctx context.Context) error {
			return s.CompleteLogin(ctx, sessionstore.DropValues)
		}))
	expect(t, "CompleteLogin", site.look(cookie, "cart", "flash"), "user=ada flash")
}

// Without a pending login there is nothing to complete.
func TestCompleteLoginNeedsAPendingLogin(t *testing.T) {
	for name, prepare := range map[string]func(s *site) string{
		"a visitor":   func(*site) string { return "" },
		"with values": func(s *site) string { return s.newcomer() },
		"a user":      func(s *site) string { return s.user("ada") },
		"a user again": func(s *site) string {
			_, cookie := s.visit(s.begun("ada"), s.complete)
			return cookie
		},
		"ten minutes later": func(s *site) string {
			cookie := s.begun("ada")
			time.Sleep(store.PendingTimeout)
			return cookie
		},
		"a login over it": func(s *site) string {
			_, cookie := s.visit(s.begun("ada"), s.login("ada"))
			return cookie
		},
		"one that is taken back": func(s *site) string {
			cookie := s.newcomer()
			s.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				s.begin("ada")(w, r, sess)
				w.WriteHeader(http.StatusInternalServerError)
			})
			return cookie
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t)
				cookie := prepare(site)
				site.store.asked()
				user := ""
				resp, after := site.visit(cookie, func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					user = s.UserID()
					expect(t, "PendingUserID", s.PendingUserID(), "")
					err := s.CompleteLogin(r.Context(), byPassword)
					expect(t, "CompleteLogin", errors.Is(err, sessionstore.ErrNoPendingLogin), true)
					expect(t, "user", s.UserID(), user)
					sessionstore.ServeError(w, r, err)
				})
				expect(t, "status", resp.StatusCode, http.StatusForbidden)
				expect(t, "the cookie", after, cookie)
				expect(t, "writes", strings.TrimPrefix(site.store.asked(), "load"), "")
				site.check(site.m.Close())
			})
		})
	}
}

// What is between the two factors of one login, and how the second one ends.
func TestCompletionOfALoginThatIsGone(t *testing.T) {
	revokes := func(revoke func(*site) error) func(*site, *browser) {
		return func(s *site, _ *browser) { s.check(revoke(s)) }
	}
	for name, tt := range map[string]struct {
		// between comes while the request that completes the login is under
		// way, in another tab of the browser.
		between func(s *site, tab *browser)
		refused string // in the log
		// tab is what the other tab has afterwards.
		tab string
	}{
		"replayed: another tab has completed it": {
			func(s *site, tab *browser) { _, _ = tab.get(s.complete) },
			"no pending login", completed,
		},
		"shared: another tab has begun again": {
			func(s *site, tab *browser) { _, _ = tab.get(s.begin("ada")) }, "no pending login",
			"pending ada",
		},
		"shared: another tab has begun as another user": {
			func(s *site, tab *browser) { _, _ = tab.get(s.begin("bob")) }, "no pending login",
			"pending bob",
		},
		"another tab has logged in": {
			func(s *site, tab *browser) { _, _ = tab.get(s.login("ada")) }, "no pending login",
			"ada, level 0: ",
		},
		"another tab has renewed the token": {
			func(_ *site, tab *browser) { _, _ = tab.get(renew) },
			"no pending login", "pending ada",
		},
		"another tab has logged out": {
			func(_ *site, tab *browser) { _, _ = tab.get(logOut) }, "no pending login", "",
		},
		"it took too long": {
			func(*site, *browser) { time.Sleep(store.PendingTimeout) }, "no pending login", "",
		},
		"RevokeUser": {revokes(func(s *site) error {
			_, err := s.m.RevokeUser(context.Background(), "ada")
			return err
		}), "no pending login", ""},
		"RevokeAll": {revokes(func(s *site) error {
			_, err := s.m.RevokeAll(context.Background())
			return err
		}), "no pending login", ""},
		"RevokeOthers of another device": {revokes(func(s *site) (err error) {
			_, cookie := s.visit("", s.by())
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				_, err = sess.RevokeOthers(r.Context())
				s.check(sess.Logout(r.Context()))
			})
			return err
		}), "no pending login", ""},
		"revoked in the list": {revokes(func(s *site) error {
			infos, err := s.m.List(context.Background(), "ada", sessionstore.Page{})
			s.check(err)
			_, err = s.m.Revoke(context.Background(), "ada", infos[0].Handle)
			return err
		}), "no pending login", ""},
		"a revoke that has missed the row": {revokes(func(s *site) error {
			infos, err := s.m.List(context.Background(), "ada", sessionstore.Page{})
			s.check(err)
			sel := store.Selection{UserID: "ada"}
			s.visit(s.newcomer(), nothing)
			sel.Except = s.idOf(infos[0].Handle)
			_, _, err = s.store.Revoke(context.Background(), sel)
			return err
		}), "revoked meanwhile", "pending ada"},
	} {
		for _, saves := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, saves: %t", name, saves), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					site := newSite(t)
					b := site.browser(site.begun("ada"))
					tab := b.copied()
					time.Sleep(time.Second)
					site.store.asked()
					status, set := b.get(func(
						w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
					) {
						site.complete(w, r, s)
						tt.between(site, tab)
						if !saves {
							return
						}
						err := s.Save(r.Context())
						if err == nil || !strings.Contains(err.Error(), tt.refused) {
							t.Errorf("Save: %v, want %q", err, tt.refused)
						}
						expect(t, "taken back", s.UserID(), "")
						if errors.Is(err, sessionstore.ErrNoPendingLogin) {
							expect(t, "there is a session",
								s.Handle() != "", name == "it took too long")
						}
					})
					want := http.StatusForbidden
					if saves {
						want = http.StatusOK // the handler has had the error
					}
					expect(t, "status", status, want)
					expect(t, "cookies set", set, "")
					e := site.m.Count(sessionstore.EventLoginRefused)
					expect(t, "refused", e > 0, true)
					expect(t, "failed saves", site.m.Count(sessionstore.EventSaveFailed), 0)
					has := ""
					_, _ = tab.get(func(
						_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
					) {
						if has = how(s); s.PendingUserID() != "" {
							has = "pending " + s.PendingUserID()
						} else if s.UserID() == "" {
							has = ""
						}
					})
					expect(t, "the other tab", has, tt.tab)
					if got := b.who(); got != "" && got != "visitor" {
						t.Errorf("the browser is logged in as %q", got)
					}
					if n := site.store.rows(); n > 2 {
						t.Errorf("%d rows: a completion has begun another session", n)
					}
					site.check(site.m.Close())
				})
			})
		}
	}
}

// idOf returns the id of the session with a handle, which is in the log of
// calls.
func (s *site) idOf(h sessionstore.Handle) store.ID {
	for _, c := range s.store.Calls() {
		for _, id := range []store.ID{c.ID, c.NewID} {
			if id.Handle() == h {
				return id
			}
		}
	}
	s.t.Fatalf("no call has a session %s", h)
	return store.ID{}
}

// Two tabs complete one login at once: one of them is logged in.
func TestTwoTabsCompleteOneLogin(t *testing.T) {
	site := newSite(t)
	first := site.browser(site.begun("ada"))
	second := first.copied()
	var status [2]int
	status[0], _ = first.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.complete(w, r, s)
		status[1], _ = second.get(site.complete)
	})
	expect(t, "statuses", fmt.Sprint(status), "[403 200]")
	expect(t, "who", first.who()+second.who(), "ada")
	expect(t, "rows", site.store.rows(), 1)
	expect(t, "logins", site.m.Count(sessionstore.EventLogin), 1)
}

// An attacker plants a session, pending or not, before the user's login.
// Neither its token nor its values survive a factor of the user.
func TestPlantedBeforeAPendingLogin(t *testing.T) {
	for name, plant := range map[string]func(s *site) string{
		"an anonymous session":         func(s *site) string { return s.newcomer() },
		"the attacker's pending login": func(s *site) string { return s.begun("eve") },
		"the attacker's login":         func(s *site) string { return s.user("eve", "cart") },
		"a pending login of the user":  func(s *site) string { return s.begun("ada") },
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = true })
			victim := site.browser(plant(site))
			thief := victim.copied()
			stays := func(when string) {
				t.Helper()
				expect(t, "the attacker "+when, thief.who(), "")
				_, _ = thief.get(func(
					_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					err := s.CompleteLogin(r.Context())
					if !errors.Is(err, sessionstore.ErrNoPendingLogin) || s.UserID() != "" {
						t.Errorf("the attacker completes a login %s: %v", when, err)
					}
				})
			}
			_, set := victim.get(site.begin("ada"))
			expect(t, "cookies set", set, sent)
			stays("after the first factor")
			between := victim.copied()
			_, set = victim.get(site.complete)
			expect(t, "cookies set", set, sent)
			stays("after the second factor")
			expect(t, "the user", victim.who(), "ada")
			if name != "an anonymous session" && name != "a pending login of the user" {
				expect(t, "the attacker's values", victim.has("cart"), false)
			}
			thief = between
			stays("with the token between the factors")
		})
	}
}

// Its own revokes do not refuse a completion.
func TestCompletionThatRevokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		other := site.user("ada")
		pending := site.begun("ada")
		time.Sleep(time.Second)
		resp, cookie := site.visit(pending, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.complete(w, r, s)
			_, err := s.RevokeOthers(r.Context())
			site.check(err)
		})
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "afterwards", site.lookHow(cookie), completed)
		expect(t, "the other one", site.look(other), "no session")
		rotations := site.store.of(store.OpRotate)
		last := rotations[len(rotations)-1].Change
		expect(t, "its own marks", len(last.Began.Own()), 1)
		site.check(site.m.Close())
	})
}

// A revoke while the first factor is checked refuses the pending login.
func TestBeginLoginThatARevokeOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		for _, cookie := range []string{"", site.newcomer()} {
			resp, after := site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				time.Sleep(time.Second) // a slow hash of the password
				_, err := site.m.RevokeUser(context.Background(), "ada")
				site.check(err)
				site.begin("ada")(w, r, s)
			})
			expect(t, "status", resp.StatusCode, http.StatusForbidden)
			expect(t, "the cookie", after, cookie)
			expect(t, "refused", site.event(sessionstore.EventLoginRefused).UserID, "ada")
			site.seen()
			time.Sleep(time.Minute)
		}
		site.check(site.m.Close())
	})
}

// A limit counts logins, and ends no pending one.
func TestLimitDoesNotCountPendingLogins(t *testing.T) {
	for _, deny := range []bool{false, true} {
		site := newSite(t, func(c *sessionstore.Config) {
			c.Limits.MaxSessionsPerUser, c.Limits.DenyAtMaxSessions = 1, deny
		})
		first, second := site.begun("ada"), site.begun("ada")
		_, logged := site.visit("", site.login("ada"))
		expect(t, "pending", site.pendingUser(first)+site.pendingUser(second), "adaada")
		resp, cookie := site.visit(first, site.complete)
		if deny {
			expect(t, "status", resp.StatusCode, http.StatusForbidden)
			expect(t, "the login", site.look(logged), "user=ada")
			expect(t, "still pending", site.pendingUser(first), "ada")
			continue
		}
		expect(t, "completed", site.lookHow(cookie), completed)
		expect(t, "the oldest login", site.look(logged), "no session")
		expect(t, "still pending", site.pendingUser(second), "ada")
	}
}

// Both factors in one request are one login.
func TestBothFactorsInOneRequest(t *testing.T) {
	site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = true })
	sid, passkey := sessionstore.NewTag("sid", "x"), sessionstore.NewTag("passkey", "x")
	for _, before := range []string{"", site.newcomer(), site.begun("bob"), site.user("bob")} {
		site.seen()
		_, cookie := site.visit(before, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.BeginLogin(r.Context(), "ada", byPassword, sessionstore.WithTags(sid)))
			site.check(s.CompleteLogin(r.Context(), sessionstore.AuthenticatedBy(2, "totp"),
				sessionstore.WithTags(passkey)))
			expect(t, "at once", how(s), completed)
			site.check(s.StepUp(r.Context(), 2, "totp"))
		})
		expect(t, "a new token", cookie != before, true)
		expect(t, "afterwards", site.lookHow(cookie), completed)
		expect(t, "the event", site.event(sessionstore.EventLogin).UserID, "ada")
		expect(t, "the token from before", site.look(before), "no session")
		site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			rec, _ := s.Record()
			expect(t, "tags", len(rec.Tags), 2)
		})
	}
}

func TestInvalidPendingLogins(t *testing.T) {
	site := newSite(t)
	many := make([]string, 8)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	// Four of each factor are the eight that a row can have.
	five := make([]sessionstore.Tag, 5)
	for i := range five {
		five[i] = sessionstore.NewTag("sid", fmt.Sprint(i))
	}
	site.visit(site.begun("ada"), func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		ctx := r.Context()
		for what, err := range map[string]error{
			"no user":         s.BeginLogin(ctx, ""),
			"an option":       s.BeginLogin(ctx, "ada", sessionstore.AuthenticatedBy(100, "x")),
			"its option":      s.CompleteLogin(ctx, sessionstore.AuthenticatedBy(1)),
			"a ninth method":  s.CompleteLogin(ctx, sessionstore.AuthenticatedBy(1, many...)),
			"five tags":       s.CompleteLogin(ctx, sessionstore.WithTags(five...)),
			"and at first":    s.BeginLogin(ctx, "ada", sessionstore.WithTags(five...)),
			"a step-up of it": s.StepUp(ctx, 2, "totp"),
		} {
			var bad *sessionstore.ValueError
			if !errors.As(err, &bad) && !errors.Is(err, sessionstore.ErrNotLoggedIn) {
				t.Errorf("%s: %v, want a *ValueError", what, err)
			}
		}
		expect(t, "no user", s.UserID(), "")
		w.WriteHeader(http.StatusOK)
		expect(t, "BeginLogin after the first byte",
			errors.Is(s.BeginLogin(ctx, "ada"), sessionstore.ErrHeadersSent), true)
		expect(t, "CompleteLogin after the first byte",
			errors.Is(s.CompleteLogin(ctx), sessionstore.ErrHeadersSent), true)
	})
	expect(t, "calls of the store", site.store.asked(), "load")
}

// An anonymous session that ends while the password is checked costs its
// values. One in which another tab has logged a user in meanwhile ends.
func TestBeginLoginInASessionThatIsGone(t *testing.T) {
	for name, other := range map[string]func(s *site, cookie string){
		"it has ended": func(s *site, cookie string) { s.revoke(cookie) },
		"another tab has logged in with the same token": func(s *site, cookie string) {
			s.visit(cookie, s.login("ada"))
		},
		"another tab has begun a login": func(s *site, cookie string) { s.visit(cookie, logOut) },
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = true })
			before := site.newcomer("cart")
			_, after := site.visit(before, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				other(site, before)
				site.begin("ada")(w, r, s)
			})
			expect(t, "pending", site.pendingUser(after), "ada")
			expect(t, "values", site.look(after, "cart"), "user=")
			expect(t, "the old token", site.look(before), "no session")
			expect(t, "rows", site.store.rows(), 1)
		})
	}
}

// A reply to a factor is lost: the browser has what it had, or what it asked
// for, and never a login without its second factor.
func TestPendingLoginWithALostReply(t *testing.T) {
	quietly := func(call func(s *sessionstore.Session, ctx context.Context) error) page {
		return func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = call(s, r.Context())
		}
	}
	begins := quietly(func(s *sessionstore.Session, ctx context.Context) error {
		return s.BeginLogin(ctx, "ada", byPassword)
	})
	completes := quietly(func(s *sessionstore.Session, ctx context.Context) error {
		return s.CompleteLogin(ctx, sessionstore.AuthenticatedBy(2, "totp"))
	})
	saves := quietly((*sessionstore.Session).Save)
	then := func(pages ...page) page {
		return func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			for _, p := range pages {
				p(w, r, s)
			}
		}
	}
	for _, made := range []bool{true, false} {
		for name, tt := range map[string]struct {
			begun bool
			page  func(u *unheard) page
			want  string
		}{
			"the first factor": {false, func(u *unheard) page {
				return then(begins, saves, u.back)
			}, "pending"},
			"the second factor": {true, func(u *unheard) page {
				return then(completes, saves, u.back)
			}, completed},
			"the second factor, and a value since": {true, func(u *unheard) page {
				return then(completes, saves, u.back, quietly(
					func(s *sessionstore.Session, _ context.Context) error {
						return s.Set("since", 1)
					}))
			}, completed},
			"a renewal before the first factor": {false, func(u *unheard) page {
				return then(renew, saves, u.back, begins)
			}, "pending"},
			"a renewal before the second factor": {true, func(u *unheard) page {
				return then(renew, saves, u.back, completes)
			}, completed},
			"another user before the first factor": {false, func(u *unheard) page {
				return then(quietly(func(s *sessionstore.Session, ctx context.Context) error {
					return s.BeginLogin(ctx, "bob")
				}), saves, u.back, begins)
			}, "pending"},
		} {
			t.Run(fmt.Sprintf("%s, made: %t", name, made), func(t *testing.T) {
				b, u := doubtful(t, "", made)
				site := b.site
				if tt.begun {
					u.lost.Release()
					b.cookies[cookieName] = site.begun("ada")
					u.arm(made)
				}
				thief := b.copied()
				status, set := b.get(tt.page(u))
				expect(t, "status", status, http.StatusOK)
				expect(t, "cookies set", set, sent)
				cookie := b.cookies[cookieName]
				check := func(when string) {
					t.Helper()
					if tt.want == "pending" {
						expect(t, when,
							site.pendingUser(cookie)+site.lookHow(cookie), "ada, level 0: ")
					} else {
						expect(t, when, site.lookHow(cookie), tt.want)
					}
				}
				check("afterwards")
				expect(t, "the token from before", thief.who(), "")
				_ = u.lost.Deliver(t.Context())
				check("after a late delivery")
				if strings.Contains(name, "since") {
					expect(t, "the value", b.has("since"), true)
				}
			})
		}

		// The store can't be asked: the user begins again, or goes on.
		b, u := doubtful(t, "", made)
		u.lost.Release()
		b.cookies[cookieName] = b.site.begun("ada")
		u.arm(made)
		status, set := b.get(completes)
		expect(t, "no store to ask: status", status, http.StatusServiceUnavailable)
		expect(t, "no store to ask: cookies set", set, "")
		u.down.Store(false)
		expect(t, "no store to ask: user", b.who(),
			map[bool]string{true: "", false: "visitor"}[made])
		want := map[bool]string{true: "", false: "ada"}[made]
		expect(t, "no store to ask: pending", b.site.pendingUser(b.cookies[cookieName]), want)
	}
}

// What is asked after a lost reply looks for revokes since the first factor.
func TestCompletionWithALostReplyLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.begun("ada")
		time.Sleep(time.Minute)
		site.store.Inject(fault.Rule{
			Nth: 1, When: fault.After, Do: func(ctx context.Context, c *fault.Call) error {
				sel := store.Selection{UserID: "ada", Except: c.NewID}
				_, _, err := site.store.inner.Revoke(ctx, sel)
				site.check(err)
				return errLost
			},
		}, store.OpRotate)
		resp, after := site.visit(cookie, site.complete)
		expect(t, "status", resp.StatusCode, http.StatusForbidden)
		expect(t, "the cookie", after, cookie)
		expect(t, "logged in", site.look(after), "no session")
		site.check(site.m.Close())
	})
}

// A suspicious use may begin a login: of the same user, whose hidden session
// ends, since its token is lost; of another one, whose does not.
func TestBeginLoginOfAHiddenSession(t *testing.T) {
	for userID, rows := range map[string]int{"ada": 1, "eve": 2} {
		site := watchful(t, acting(sessionstore.ActionRequireLogin))
		hidden := site.come("", home, laptop, site.by(byPassword))
		cookie := site.come(hidden, cafe, phone, site.begin(userID))
		expect(t, userID+": rows", site.store.rows(), rows)
		site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, "pending", s.PendingUserID(), userID)
		})
	}
}

// The callback of another site's form begins a login, as it may log in.
func TestBeginLoginWhileTheCookieIsWithheld(t *testing.T) {
	site := newSite(t)
	a := site.ask("POST", link, "", func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		expect(t, "withheld", s.Withheld(), true)
		site.begin("ada")(w, r, s)
		site.check(s.Set("flash", 1))
	})
	expect(t, "cookies set", a.set, "= ")
	expect(t, "values", string(lastDraft(site).Data), `{"flash":1}`)
}

// In an emergency and over a cache it works as a login does.
func TestPendingLoginInEachStore(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *site{
		"an emergency": func(t *testing.T) *site {
			o := outagetest.New(t, halfMinute, weekly)
			t.Cleanup(o.End)
			o.BeginOutage()
			return newSiteOver(t, newSpy(o))
		},
		"a cache": func(t *testing.T) *site {
			_, site, _ := twoSites(t, halfMinute)
			return site
		},
		"a cache that acknowledges nothing": func(t *testing.T) *site {
			site, _, _ := twoSites(t, halfMinute)
			return site
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := open(t)
				for _, cookie := range []string{"", site.newcomer("cart")} {
					_, between := site.visit(cookie, site.begin("ada"))
					twice := func(cookie, want string) { // from the store, and from the cache
						t.Helper()
						for range 3 {
							expect(t, "seen", site.pendingUser(cookie)+site.lookHow(cookie), want)
							synctest.Wait()
						}
					}
					twice(between, "ada, level 0: ")
					expect(t, "the token from before", site.look(cookie), "no session")
					_, after := site.visit(between, site.complete)
					twice(after, completed)
					twice(between, ", level 0: ")
					_, last := site.visit(after, func(
						_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
					) {
						site.check(s.StepUp(r.Context(), 3, "passkey"))
					})
					twice(last, "ada, level 3: password 1, totp 2, passkey 3")
					twice(after, ", level 0: ")
					site.visit(last, logOut)
				}
				site.check(site.m.Close())
			})
		})
	}
}
