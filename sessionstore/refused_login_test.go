package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A login that the store refuses does not count in its request either: what the
// handler does afterwards is done by no user.
func TestARefusedLoginDoesNotCount(t *testing.T) {
	for _, refusal := range []error{store.ErrRevoked, store.ErrTooManySessions} {
		for _, visitor := range []bool{false, true} {
			site := newSite(t)
			cookie, was := "", ""
			if visitor {
				cookie, was = site.newcomer("cart"), "cart"
			}
			op := store.OpCreate
			if visitor {
				op = store.OpRotate
			}
			site.store.on(op, func(context.Context) error { return refusal })
			resp, after := site.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				byKey := sessionstore.AuthenticatedBy(2, "passkey")
				site.check(s.Login(r.Context(), "ada", byKey))
				if err := s.Save(r.Context()); !errors.Is(err, refusal) {
					t.Errorf("Save: %v, want %v", err, refusal)
				}
				expect(t, "UserID", s.UserID(), "")
				expect(t, "Level", s.Level(), 0)
				expect(t, "LoginID", s.LoginID(), "")
				expect(t, "Authenticated", s.Authenticated(0, sessionstore.SinceLogin), false)
				expect(t, "StepUp", s.StepUp(r.Context(), 2, "totp"),
					error(sessionstore.ErrNotLoggedIn))
				expect(t, "the visitor's session", s.Has("cart"), was != "")
			})
			expect(t, "status", resp.StatusCode, http.StatusOK)
			expect(t, "the cookie", after, cookie)
		}
	}
}
