package sessionstore_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
)

// A session that begins in an emergency has all functions of a session.
func TestEmergencyNewSessionsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		site := newSiteOver(t, newSpy(o))
		cookie := site.newcomer("cart")
		_, cookie = site.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("more", true))
			site.check(s.Login(r.Context(), "ann"))
		})
		expect(t, "logged in", site.look(cookie, "cart", "more"), "user=ann cart more")
		_, renewed := site.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Rotate(r.Context()))
		})
		expect(t, "the new token", site.look(renewed, "cart"), "user=ann cart")
		expect(t, "the old token", site.look(cookie), "no session")
		time.Sleep(2 * time.Minute)
		expect(t, "a use later", site.look(renewed), "user=ann")
		time.Sleep(2 * time.Second)
		site.visit(renewed, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			rec, _ := s.Record()
			if ago := time.Since(rec.LastSeenAt); ago > 3*time.Second {
				t.Errorf("last seen %v ago: the touch was lost", ago)
			}
		})
		site.seen()
		resp, _ := site.visit(renewed, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Logout(r.Context()))
		})
		expect(t, "promised at the logout", site.event(sessionstore.EventLogout).Revocation,
			sessionstore.Revocation{CacheAcked: true})
		if c, _ := sessionCookie(resp); c == nil || c.MaxAge >= 0 {
			t.Errorf("the cookie after the logout: %v", c)
		}
		expect(t, "after the logout", site.look(renewed), "no session")
		expect(t, "in memory", o.Metrics().InMemory, 0)
		expect(t, "error", site.m.Close(), nil)
		o.EndOutage()
		expect(t, "rows", o.Count(), 0)
	})
}

// An outage logs no user out: the answer is 503 and the cookie stays.
func TestEmergencyKeepsOtherCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		site := newSiteOver(t, newSpy(o))
		stays, fresh := site.user("ann"), site.user("bob")
		site.look(fresh)
		synctest.Wait()
		o.BeginOutage()
		serve := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			_ = s.Set("n", 1)
		}))
		// the first is a failed load, the second a failed save
		for _, cookie := range []string{stays, fresh} {
			resp, _ := visit(serve, cookie)
			expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
			expect(t, "Retry-After", resp.Header.Get("Retry-After"), "1")
			expect(t, "Set-Cookie", resp.Header.Get("Set-Cookie"), "")
		}
		expect(t, "read-only", site.look(fresh), "user=bob")
		o.EndOutage()
		expect(t, "when it is back", site.look(stays)+" "+site.look(fresh), "user=ann user=bob")
	})
}
