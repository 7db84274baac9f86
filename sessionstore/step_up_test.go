package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// stepUp is a page that adds a second factor.
func (s *site) stepUp(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
	s.t.Helper()
	s.check(sess.StepUp(r.Context(), 2, "totp"))
}

// A step-up adds a method and gives the session a new token. All else stays.
func TestStepUp(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
			_, before := site.visit(site.newcomer("cart"), site.by(byPassword,
				sessionstore.WithTags(sessionstore.NewTag("sid", "x"))))
			id := site.loginID(before)
			time.Sleep(2 * time.Hour)
			var was store.Record
			site.store.asked()
			site.seen()
			_, after := site.visit(before, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				was, _ = s.Record()
				expect(t, "level 2 before", s.Authenticated(2, sessionstore.SinceLogin), false)
				site.stepUp(w, r, s)
				site.check(s.Set("more", true))
				expect(t, "at once", how(s), "ada, level 2: password 1, totp 2")
				expect(t, "level 2 at once", s.Authenticated(2, time.Minute), true)
				expect(t, "id at once", s.LoginID(), id)
			})
			expect(t, "calls of the store", site.store.asked(), "load rotate")
			expect(t, "a new token", after != before, true)
			e := site.event(sessionstore.EventSteppedUp)
			said := fmt.Sprintf("%s, level %d: %s", e.UserID, e.Level, names(e.Methods))
			expect(t, "the event", said, "ada, level 2: password 1, totp 2")
			expect(t, "id in the event", e.LoginID, id)
			expect(t, "events", site.seen(), "session stepped up")
			expect(t, "the old token", site.look(before), "no session")
			expect(t, "values", site.look(after, "cart", "more"), "user=ada cart more")
			expect(t, "rows", site.store.rows(), 1)
			site.visit(after, func(
				_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				expect(t, "afterwards", how(s), "ada, level 2: password 1, totp 2")
				expect(t, "the id", s.LoginID(), id)
				rec, _ := s.Record()
				for what, same := range map[string]bool{
					"AuthenticatedAt":   rec.AuthenticatedAt.Equal(was.AuthenticatedAt),
					"CreatedAt":         rec.CreatedAt.Equal(was.CreatedAt),
					"AbsoluteExpiresAt": rec.AbsoluteExpiresAt.Equal(was.AbsoluteExpiresAt),
					"tags":              len(rec.Tags) == 1,
				} {
					expect(t, what+" stays", same, true)
				}
				expect(t, "the password's age", s.Methods()[0].At.Equal(was.AuthenticatedAt), true)
				expect(t, "level 2", s.Authenticated(2, time.Minute), true)
				expect(t, "a user who proved it once more", s.Fresh(time.Minute), true)
			})
			site.check(site.m.Close())
		})
	}
}

func TestStepUpNeedsAUser(t *testing.T) {
	site := newSite(t)
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	var after *sessionstore.Session
	for what, cookie := range map[string]string{"a visitor": "", "with values": site.newcomer()} {
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			want(what, s.StepUp(r.Context(), 2, "totp"), sessionstore.ErrNotLoggedIn)
			site.check(s.Login(r.Context(), "ada"))
			s.Discard()
			want(what+" with a login taken back", s.StepUp(r.Context(), 2, "totp"),
				sessionstore.ErrNotLoggedIn)
		})
	}
	site.visit(site.user("ada"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Logout(r.Context()))
		want("after a logout", s.StepUp(r.Context(), 2, "totp"), sessionstore.ErrNotLoggedIn)
	})
	site.visit(site.user("ada"), func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		w.WriteHeader(http.StatusOK)
		want("after the first byte", s.StepUp(r.Context(), 2, "totp"), sessionstore.ErrHeadersSent)
		after = s
	})
	want("after the request", after.StepUp(t.Context(), 2, "totp"), sessionstore.ErrRequestEnded)
	site.visit(site.user("ada"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		for _, err := range []error{
			s.StepUp(r.Context(), 100, "totp"), s.StepUp(r.Context(), -1, "totp"),
			s.StepUp(r.Context(), 2, ""), s.StepUp(r.Context(), 2, "TOTP"),
		} {
			var bad *sessionstore.ValueError
			expect(t, "a *ValueError", errors.As(err, &bad), true)
		}
		expect(t, "the level", s.Level(), 0)
	})
	full := make([]string, 8)
	for i := range full {
		full[i] = fmt.Sprint("m", i)
	}
	_, cookie := site.visit("", site.by(sessionstore.AuthenticatedBy(1, full...)))
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		var bad *sessionstore.ValueError
		expect(t, "a 17th method", errors.As(s.StepUp(r.Context(), 2, "totp"), &bad), true)
		site.check(s.StepUp(r.Context(), 2, "m3"))
	})
}

// A step-up and a login in one request are one change.
func TestStepUpBesideALogin(t *testing.T) {
	site := newSite(t)
	for _, cookie := range []string{"", site.newcomer(), site.user("ada")} {
		site.seen()
		_, cookie = site.visit(cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.by(byPassword)(w, r, s)
			site.stepUp(w, r, s)
			site.check(s.StepUp(r.Context(), 3, "passkey"))
			expect(t, "at once", how(s), "ada, level 3: password 1, totp 2, passkey 3")
		})
		expect(t, "events", site.seen(), "session login")
		expect(t, "afterwards", site.lookHow(cookie), "ada, level 3: password 1, totp 2, passkey 3")
		_, cookie = site.visit(cookie, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.stepUp(w, r, s)
			site.by(byPassword)(w, r, s)
		})
		expect(t, "events", site.seen(), "session login")
		expect(t, "a login afterwards", site.lookHow(cookie), "ada, level 1: password 1")
	}
}

func TestStepUpThatIsTakenBack(t *testing.T) {
	for what, back := range map[string]page{
		"Discard": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			s.Discard()
		},
		"a response that is an error": func(
			w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session,
		) {
			w.WriteHeader(http.StatusInternalServerError)
		},
	} {
		site := newSite(t)
		_, before := site.visit("", site.by(byPassword))
		_, after := site.visit(before, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.stepUp(w, r, s)
			back(w, r, s)
			expect(t, what+": at once", how(s), "ada, level 1: password 1")
		})
		expect(t, what+": the token", after, before)
		expect(t, what+": afterwards", site.lookHow(after), "ada, level 1: password 1")
	}
}

// A session that is revoked, or logged in once more, while a step-up is under
// way gets no new token and no higher level.
func TestStepUpLosesAgainst(t *testing.T) {
	for name, tt := range map[string]struct {
		other func(s *site, cookie string)
		after string
	}{
		"RevokeUser": {func(s *site, _ string) {
			_, err := s.m.RevokeUser(context.Background(), "ada")
			s.check(err)
		}, ", level 0: "},
		"RevokeOthers": {func(s *site, _ string) {
			_, cookie := s.visit("", s.by())
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				_, err := sess.RevokeOthers(r.Context())
				s.check(err)
			})
			s.revoke(cookie)
		}, ", level 0: "},
		"a logout": {func(s *site, cookie string) { s.visit(cookie, logOut) }, ", level 0: "},
		"another login, with the same token": {func(s *site, cookie string) {
			s.visit(cookie, s.by(sessionstore.AuthenticatedBy(0, "guess")))
		}, "ada, level 0: guess 0"},
		"another user's login, with a new token": {func(s *site, cookie string) {
			s.visit(cookie, s.login("bob"))
		}, ", level 0: "},
	} {
		for _, saves := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, saves: %t", name, saves), func(t *testing.T) {
				site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = true })
				_, before := site.visit("", site.by(byPassword))
				resp, after := site.visit(before, func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					site.stepUp(w, r, s)
					tt.other(site, before)
					if saves {
						err := s.Save(r.Context())
						expect(t, "Save", errors.Is(err, sessionstore.ErrNotFound), true)
						expect(t, "at once", how(s), ", level 0: ")
					}
				})
				expect(t, "status", resp.StatusCode, http.StatusOK)
				expect(t, "the cookie", after, before)
				expect(t, "afterwards", site.lookHow(after), tt.after)
				expect(t, "stepped up", site.m.Count(sessionstore.EventSteppedUp), 0)
				if !saves {
					site.event(sessionstore.EventChangeLost)
				}
			})
		}
	}
}

// The reply to a step-up is lost. Whether or not it was committed, the browser
// has the higher level under a new token, or what it had.
func TestStepUpWithALostReply(t *testing.T) {
	up := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		_ = s.StepUp(r.Context(), 2, "totp")
	}
	saves := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		_ = s.Save(r.Context())
	}
	then := func(pages ...page) page {
		return func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			for _, p := range pages {
				p(w, r, s)
			}
		}
	}
	const stepped = "ann, level 2: totp 2"
	for _, made := range []bool{true, false} {
		for name, p := range map[string]func(u *unheard) page{
			"it is asked for at once": func(*unheard) page { return up },
			"a Save is repeated":      func(u *unheard) page { return then(up, saves, u.back) },
			"a renewal came before": func(u *unheard) page {
				return then(renew, saves, u.back, up)
			},
			"another method came before": func(u *unheard) page {
				return then(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					_ = s.StepUp(r.Context(), 1, "email")
				}, saves, u.back, up)
			},
		} {
			t.Run(fmt.Sprintf("%s, made: %t", name, made), func(t *testing.T) {
				b, u := doubtful(t, "ann", made)
				if name == "it is asked for at once" {
					b.site.store.on(store.OpSave, func(context.Context) error {
						u.down.Store(false)
						return nil
					})
					b.site.store.on(store.OpRotate, func(context.Context) error {
						u.down.Store(false)
						return nil
					})
				}
				thief := b.copied()
				status, set := b.get(p(u))
				b.site.store.Up()
				expect(t, "status", status, http.StatusOK)
				expect(t, "cookies set", set, sent)
				want := stepped
				if name == "another method came before" {
					want = "ann, level 2: email 1, totp 2"
				}
				expect(t, "afterwards", b.site.lookHow(b.cookies[cookieName]), want)
				expect(t, "the old token", thief.who(), "")
				_ = u.lost.Deliver(t.Context())
				expect(t, "after a late delivery", b.site.lookHow(b.cookies[cookieName]), want)
				expect(t, "rows", b.site.store.rows(), 1)
			})
		}

		b, u := doubtful(t, "ann", made)
		status, set := b.get(up)
		expect(t, "no store to ask: status", status, http.StatusServiceUnavailable)
		expect(t, "no store to ask: cookies set", set, "")
		u.down.Store(false)
		want := map[bool]string{true: ", level 0: ", false: "ann, level 0: "}[made]
		expect(t, "no store to ask: afterwards", b.site.lookHow(b.cookies[cookieName]), want)

		b, u = doubtful(t, "ann", made) // a revoke comes before the repetition
		_, set = b.get(then(up, saves, u.back, func(
			http.ResponseWriter, *http.Request, *sessionstore.Session,
		) {
			_, err := b.site.m.RevokeUser(context.Background(), "ann")
			b.site.check(err)
		}))
		expect(t, "revoked: cookies set", set, "")
		expect(t, "revoked: rows", b.site.store.rows(), 0)
	}
}

// back is a page at which the store is available again.
func (u *unheard) back(http.ResponseWriter, *http.Request, *sessionstore.Session) {
	u.down.Store(false)
}

func TestStepUpWhileASaveIsInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		_, cookie := site.visit(site.user("ada"), func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.by(byPassword)(w, r, s)
			site.besideASave(s, store.OpRotate, func() { site.stepUp(w, r, s) })
		})
		expect(t, "afterwards", site.lookHow(cookie), "ada, level 2: password 1, totp 2")
		expect(t, "events", site.seen(), "session login, session stepped up")
	})
}
