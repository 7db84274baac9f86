package sessionstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// Handlers of two Managers are nested. Each takes the request's identity from
// its own session: the actor of a revoke, and whose login a revoke of the same
// request does not refuse.
func TestEachManagerHasItsOwnIdentity(t *testing.T) {
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	type key struct{}
	ask := func(do func(ctx context.Context, boss, shopper *sessionstore.Session)) {
		t.Helper()
		inner := shop.serve(func(
			_ http.ResponseWriter, r *http.Request, shopper *sessionstore.Session,
		) {
			do(r.Context(), r.Context().Value(key{}).(*sessionstore.Session), shopper)
		})
		outer := staff.serve(func(
			w http.ResponseWriter, r *http.Request, boss *sessionstore.Session,
		) {
			inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, boss)))
		})
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
		expect(t, "status", send(outer, r).StatusCode, http.StatusOK)
	}
	logIn := func(s *sessionstore.Session, ctx context.Context, user string) {
		t.Helper()
		staff.check(s.Login(ctx, user), s.Save(ctx))
	}
	for _, site := range []*site{staff, shop} {
		site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			logIn(s, r.Context(), "victim")
		})
	}
	ask(func(ctx context.Context, boss, shopper *sessionstore.Session) {
		logIn(boss, ctx, "boss")
		logIn(shopper, ctx, "shopper")
		_, err := staff.m.RevokeUser(ctx, "victim")
		staff.check(err)
		_, err = shop.m.RevokeUser(ctx, "victim")
		staff.check(err)
	})
	expect(t, "the actor of the staff's", staff.event(sessionstore.EventRevoked).Actor, "boss")
	expect(t, "the actor of the shop's", shop.event(sessionstore.EventRevoked).Actor, "shopper")

	ask(func(ctx context.Context, boss, shopper *sessionstore.Session) {
		_, err := staff.m.RevokeUser(ctx, "boss")
		staff.check(err)
		logIn(boss, ctx, "boss") // not refused by the request's own revoke
		_, err = shop.m.RevokeUser(ctx, "shopper")
		staff.check(err)
		logIn(shopper, ctx, "shopper")
	})

	// A page of the staff alone acts on the shop: there the staff is who acts.
	shop.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(s, r.Context(), "victim")
	})
	shop.seen()
	staff.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(s, r.Context(), "boss")
		_, err := shop.m.RevokeUser(r.Context(), "victim")
		staff.check(err)
	})
	expect(t, "the actor from outside", shop.event(sessionstore.EventRevoked).Actor, "boss")
}
