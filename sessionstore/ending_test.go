package sessionstore_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// why returns the ending that a request with a cookie learns.
func (s *site) why(cookie string) (why sessionstore.Ending) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		why = sess.Ended()
	})
	return why
}

// expire lets the idle timeout of a cookie's session pass.
func (s *site) expire(cookie string) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		for _, rec := range s.rowsOf(sess) {
			memorytest.Age(s.store.inner.(*memory.Store), rec.ID, 8*24*time.Hour)
		}
	})
}

// rowsOf returns the row of a request's session.
func (s *site) rowsOf(sess *sessionstore.Session) (found []store.Record) {
	s.t.Helper()
	recs, err := s.store.List(context.Background(), sess.UserID(), store.Page{})
	s.check(err)
	for _, rec := range recs {
		if rec.ID.Handle() == sess.Handle() {
			found = append(found, rec)
		}
	}
	return found
}

// Only the token of the session that has ended has a reason, and only of three
// kinds.
func TestEnded(t *testing.T) {
	limited := func(c *sessionstore.Config) { c.Limits.MaxSessionsPerUser = 1 }
	revoke := func(f func(context.Context, *site, *sessionstore.Session) error) func(
		*site, string,
	) string {
		return func(s *site, cookie string) string {
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				s.check(f(r.Context(), s, sess))
			})
			return cookie
		}
	}
	for name, tt := range map[string]struct {
		// end ends the session of ada's cookie, and returns the cookie of the
		// request that asks.
		end    func(s *site, cookie string) string
		config func(*sessionstore.Config)
		want   sessionstore.Ending
	}{
		"alive":     {end: func(_ *site, cookie string) string { return cookie }},
		"a visitor": {end: func(*site, string) string { return "" }},
		"a forged cookie of a session that was logged out": {
			end: func(s *site, cookie string) string {
				s.visit(cookie, logOut)
				return strings.ToUpper(cookie)
			},
		},
		"logged out": {
			end: func(s *site, cookie string) string {
				s.visit(cookie, logOut)
				return cookie
			},
			want: sessionstore.EndingLogout,
		},
		"expired": {
			end:  func(s *site, cookie string) string { s.expire(cookie); return cookie },
			want: sessionstore.EndingExpired,
		},
		"expired and pruned": {
			end: func(s *site, cookie string) string {
				s.expire(cookie)
				_, err := s.m.Prune(context.Background())
				s.check(err)
				return cookie
			},
		},
		"beyond the limit": {
			end:    func(s *site, cookie string) string { s.user("ada"); return cookie },
			config: limited,
			want:   sessionstore.EndingTooMany,
		},
		"revoked by handle": {
			end: revoke(func(ctx context.Context, s *site, sess *sessionstore.Session) error {
				_, err := s.m.Revoke(ctx, "ada", sess.Handle())
				return err
			}),
			want: sessionstore.EndingLogout,
		},
		"revoked with all of the user": {
			end: revoke(func(ctx context.Context, s *site, _ *sessionstore.Session) error {
				_, err := s.m.RevokeUser(ctx, "ada")
				return err
			}),
		},
		"revoked with all": {
			end: revoke(func(ctx context.Context, s *site, _ *sessionstore.Session) error {
				_, err := s.m.RevokeAll(ctx)
				return err
			}),
		},
		"a token that was replaced": {
			end: func(s *site, cookie string) string {
				_, now := s.visit(cookie, renew)
				s.visit(now, logOut)
				return cookie
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(c *sessionstore.Config) {
				if tt.config != nil {
					tt.config(c)
				}
			})
			asks := tt.end(s, s.user("ada"))
			for range 2 {
				expect(t, "the ending", s.why(asks), tt.want)
			}
		})
	}
}

// A login, and a session that has begun, have no ending.
func TestEndedAfterALogin(t *testing.T) {
	s := newSite(t)
	old := s.user("ada")
	s.visit(old, logOut)
	s.visit(old, func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Set("k", 1))
		expect(t, "with a value", sess.Ended(), sessionstore.EndingLogout)
		s.check(sess.Login(r.Context(), "ada"))
		expect(t, "with a login", sess.Ended(), "")
		sess.Discard()
		expect(t, "without it", sess.Ended(), sessionstore.EndingLogout)
		s.check(sess.Login(r.Context(), "ada"))
		s.check(sess.Save(r.Context()))
		expect(t, "with a session", sess.Ended(), "")
		s.check(sess.Logout(r.Context()))
	})
}

// A session of an emergency that was logged out on an instance that does not
// have it, before it could be restored.
func TestEndedInAnotherEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		cut, peer := newSiteOver(t, newSpy(o)), newSiteOver(t, newSpy(o.Rows))
		o.BeginOutage()
		_, cookie := cut.visit("", logIn)
		expect(t, "elsewhere", peer.why(cookie), "")
		peer.visit(cookie, logOut)
		expect(t, "elsewhere, after the logout", peer.why(cookie), sessionstore.EndingLogout)
		o.EndOutage()
		for _, s := range []*site{cut, peer} {
			expect(t, "after the emergency", s.why(cookie), sessionstore.EndingLogout)
		}
	})
}

// The reason of a logout in an emergency appears once it is replayed.
func TestEndedAfterAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		s := newSiteOver(t, newSpy(o))
		_, cookie := s.visit("", logIn)
		_, warm := s.visit(cookie, stores)
		o.BeginOutage()
		s.visit(warm, logOut)
		expect(t, "in the emergency", s.why(warm), "")
		o.EndOutage()
		expect(t, "afterwards", s.why(warm), sessionstore.EndingLogout)
	})
}
