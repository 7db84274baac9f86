package sessionstore_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// A login whose user is revoked before its response gets 403 and no cookie, and
// leaves no session of the user.
func TestRevokeRefusesLoginUnderWay(t *testing.T) {
	for name, change := range map[string]func(*sessionstore.Config){
		"a new token":      func(*sessionstore.Config) {},
		"the token it had": func(c *sessionstore.Config) { c.DisableRotateOnLogin = true },
		"limited": func(c *sessionstore.Config) {
			c.Limits.MaxSessionsPerUser, c.Limits.DenyAtMaxSessions = 5, true
		},
		"trimmed": func(c *sessionstore.Config) { c.Limits.MaxSessionsPerUser = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, change)
				for _, cookie := range []string{"", s.newcomer("cart")} {
					for _, revoke := range []func(context.Context) error{
						func(ctx context.Context) error {
							_, err := s.m.RevokeUser(ctx, "ada")
							return err
						},
						func(ctx context.Context) error {
							_, err := s.m.RevokeAll(ctx)
							return err
						},
					} {
						resp, after := s.visit(cookie, func(
							_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
						) {
							time.Sleep(time.Second) // a slow password hash
							s.check(revoke(context.Background()))
							s.check(sess.Login(r.Context(), "ada"))
						})
						expect(t, "status", resp.StatusCode, http.StatusForbidden)
						if _, set := sessionCookie(resp); set || after != cookie {
							t.Error("a refused login sets a cookie")
						}
						if got := s.seen(); !strings.Contains(got, "session login refused") ||
							strings.Contains(got, "session login,") ||
							strings.Contains(got, "session save failed") {
							t.Errorf("events: %s", got)
						}
						infos, err := s.m.List(t.Context(), "ada", sessionstore.Page{})
						if err != nil || len(infos) != 0 {
							t.Errorf("%d sessions, %v", len(infos), err)
						}
					}
				}
				time.Sleep(time.Second)
				resp, cookie := s.visit("", func(
					_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
				) {
					s.check(sess.Login(r.Context(), "ada"))
				})
				expect(t, "status of a later login", resp.StatusCode, http.StatusOK)
				expect(t, "a later login", s.look(cookie), "user=ada")
			})
		})
	}
}

// A request that revokes and then logs in, as a password change does, succeeds:
// its own marks are exempt. Marks of other requests are not.
func TestOwnRevokeDoesNotRefuseLogin(t *testing.T) {
	for name, revoke := range map[string]func(*site, context.Context, *sessionstore.Session) error{
		"RevokeUser": func(s *site, ctx context.Context, _ *sessionstore.Session) error {
			_, err := s.m.RevokeUser(ctx, "ada")
			return err
		},
		"RevokeOthers": func(_ *site, ctx context.Context, sess *sessionstore.Session) error {
			_, err := sess.RevokeOthers(ctx)
			return err
		},
		"RevokeAll": func(s *site, ctx context.Context, _ *sessionstore.Session) error {
			_, err := s.m.RevokeAll(ctx)
			return err
		},
		"RevokeBefore": func(s *site, ctx context.Context, _ *sessionstore.Session) error {
			_, err := s.m.RevokeBefore(ctx, time.Now())
			return err
		},
		"Revoke": func(s *site, ctx context.Context, sess *sessionstore.Session) error {
			_, err := s.m.Revoke(ctx, "ada", sess.Handle())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				for _, another := range []bool{false, true} {
					cookie := s.user("ada")
					resp, after := s.visit(cookie, func(
						_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
					) {
						time.Sleep(time.Second)
						s.check(revoke(s, r.Context(), sess))
						if another {
							_, err := s.m.RevokeUser(context.Background(), "ada")
							s.check(err)
						}
						s.check(sess.Login(r.Context(), "ada"))
					})
					if another {
						expect(t, "status after another's revoke", resp.StatusCode,
							http.StatusForbidden)
					} else {
						expect(t, "status", resp.StatusCode, http.StatusOK)
						expect(t, "afterwards", s.look(after), "user=ada")
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// A Save resolves a login without a reply, and checks the marks again.
func TestLoginAfterLostReplyChecksMarks(t *testing.T) {
	for _, revoked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			s.store.Inject(fault.Rule{Nth: 1, When: fault.After, Do: func(
				ctx context.Context, c *fault.Call,
			) error {
				if revoked { // the delete has missed the row, so only its mark shows the revoke
					_, _, _ = s.store.inner.Revoke(ctx,
						store.Selection{UserID: "ada", Except: c.NewID})
				}
				return errLost
			}}, store.OpRotate)
			resp, after := s.visit(s.newcomer(), func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				time.Sleep(time.Second)
				s.check(sess.Login(r.Context(), "ada"))
			})
			if revoked {
				expect(t, "status", resp.StatusCode, http.StatusForbidden)
			} else {
				expect(t, "status", resp.StatusCode, http.StatusOK)
				expect(t, "afterwards", s.look(after), "user=ada")
			}
		})
	}
}

// A revoke ends the watches of its own process at once, without waiting for the
// next check.
func TestRevokeEndsOwnWatchesAtOnce(t *testing.T) {
	for name, end := range map[string]func(*site, string, store.ID){
		"RevokeUser": func(s *site, _ string, _ store.ID) {
			_, err := s.m.RevokeUser(context.Background(), "ada")
			s.check(err)
		},
		"RevokeAll": func(s *site, _ string, _ store.ID) {
			_, err := s.m.RevokeAll(context.Background())
			s.check(err)
		},
		"Revoke": func(s *site, _ string, id store.ID) {
			_, err := s.m.Revoke(context.Background(), "ada", id.Handle())
			s.check(err)
		},
		"Logout": func(s *site, cookie string, _ store.ID) {
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				s.check(sess.Logout(r.Context()))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				cookie := s.user("ada")
				mine := s.open(t, cookie,
					func(http.ResponseWriter, *http.Request, *sessionstore.Session) {})
				other := s.open(t, s.user("eve"),
					func(http.ResponseWriter, *http.Request, *sessionstore.Session) {})
				time.Sleep(300 * time.Millisecond)
				began := time.Now()
				end(s, cookie, mine.id())
				<-mine.ctx.Done()
				expect(t, "it took", time.Since(began), 0)
				mine.expect("afterwards", sessionstore.ErrNotFound)
				if name != "RevokeAll" {
					other.expect("another user", nil)
				}
				other.close()
				<-other.done
				s.m.EndWatches()
			})
		})
	}
}

// The log warns if Redis did not acknowledge a revoke.
func TestUnacknowledgedRevokeIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, acknowledged := range []bool{true, false} {
			slots := cachetest.New()
			c := cached.New(newMemory(weekly), slots,
				cached.Options{Policy: halfMinute, Expiry: weekly})
			t.Cleanup(c.Close)
			s := newSiteOver(t, newSpy(c), func(cfg *sessionstore.Config) { cfg.Observer = nil })
			s.user("ada")
			if !acknowledged {
				slots.Down(cachetest.OpPutTombstones)
			}
			_, err := s.m.RevokeUser(context.Background(), "ada")
			s.check(err)
			s.delivered()
			warned := strings.Contains(s.log.String(), `level=WARN msg="sessions revoked"`)
			if warned == acknowledged {
				t.Errorf("acknowledged %v, the log: %s", acknowledged, s.log)
			}
		}
	})
}
