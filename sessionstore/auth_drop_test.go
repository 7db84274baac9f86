package sessionstore_test

import (
	"net/http"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// An attacker plants a session with values, and the user logs in with it.
// DropValues removes them all, also those set while the login is under way.
func TestDropValuesDropsPlantedValues(t *testing.T) {
	for name, keep := range map[string]bool{"a new token": false, "the token stays": true} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
			planted := site.newcomer("cart", "next")
			_, cookie := site.visit(planted, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Set("form", true))
				expect(t, "before", s.Has("cart"), true)
				site.visit(planted, func(
					_ http.ResponseWriter, _ *http.Request, other *sessionstore.Session,
				) {
					site.check(other.Set("late", true))
				})
				site.check(s.Login(r.Context(), "ada", sessionstore.DropValues))
				site.check(s.Set("flash", true))
				expect(t, "at once", s.Has("cart") || s.Has("next"), false)
			})
			site.visit(cookie, func(
				_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				expect(t, "the user", s.UserID(), "ada")
				for _, key := range []string{"cart", "next", "here", "late"} {
					expect(t, key, s.Has(key), false)
				}
				expect(t, "what the login sets", s.Has("form") && s.Has("flash"), true)
			})
		})
	}
}

// DropValues applies to one login. The next login and a discarded one drop
// nothing.
func TestDropValuesAppliesToOneLogin(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit(site.newcomer("cart"), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada", sessionstore.DropValues))
		s.Discard()
		expect(t, "after Discard", s.Has("cart"), true)
		site.check(s.Set("more", true))
	})
	_, cookie = site.visit(cookie, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada", sessionstore.DropValues))
		site.check(s.Login(r.Context(), "ada"))
	})
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "the values", s.Has("cart") && s.Has("more"), true)
	})
}
