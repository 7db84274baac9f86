package chain_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// visit serves a request with these cookies, and returns those of the response.
func (i *instance) visit(
	t *testing.T, cookies []*http.Cookie, do func(context.Context, *sessionstore.Session),
) []*http.Cookie {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://shop.example/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	i.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		do(r.Context(), s)
	})).ServeHTTP(w, r)
	return w.Result().Cookies()
}

// A handler that gives its user another role calls Login, which needs no
// factor. The cookie is stolen: whatever ends its session, and however the
// thief's instance knows the session, no such Login gives them a new one.
func TestAChangeOfRoleRevivesNoSession(t *testing.T) {
	t.Parallel()
	local := func(c *sessionstore.Config) {
		c.Cache = sessionstore.CacheConfig{LocalFreshness: 10 * time.Second}
	}
	type revoke func(*instance, sessionstore.Handle) (sessionstore.Revocation, error)
	byHandle := func(i *instance, h sessionstore.Handle) (sessionstore.Revocation, error) {
		return i.manager.Revoke(t.Context(), "eve", h)
	}
	byUser := func(i *instance, _ sessionstore.Handle) (sessionstore.Revocation, error) {
		return i.manager.RevokeUser(t.Context(), "eve")
	}
	r := newRig(t)
	for name, of := range map[string]struct {
		configure func(*sessionstore.Config)
		early     bool // the request begins before the revoke, and is slow
		ended     revoke
		role      string
	}{
		"a slow request, by handle":       {withoutRedis, true, byHandle, "eve"},
		"a slow request, another user":    {withoutRedis, true, byUser, "ceo"},
		"through Redis":                   {func(*sessionstore.Config) {}, true, byHandle, "ceo"},
		"from a local cache":              {local, false, byHandle, "eve"},
		"from a local cache, to an other": {local, false, byUser, "ceo"},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := r.open(of.configure), r.open(of.configure)
			stolen := here.visit(t, nil, func(ctx context.Context, s *sessionstore.Session) {
				err := s.Login(ctx, "eve", sessionstore.AuthenticatedBy(2, "totp"))
				if err != nil {
					t.Error(err)
				}
			})
			var handle sessionstore.Handle
			for range 3 { // the cache learns it
				there.visit(t, stolen, func(_ context.Context, s *sessionstore.Session) {
					handle = s.Handle()
				})
			}
			end := func() {
				if revoked, err := of.ended(here, handle); err != nil || revoked.Count != 1 {
					t.Errorf("%+v, %v", revoked, err)
				}
			}
			if !of.early {
				end()
			}
			cookies := there.visit(t, stolen, func(ctx context.Context, s *sessionstore.Session) {
				if of.early {
					end()
				}
				if s.UserID() != "eve" {
					t.Error("the session was not served: this test sees nothing")
				}
				err := s.Login(ctx, of.role, sessionstore.AuthenticatedBy(s.Level(), "support"))
				if err == nil {
					err = s.Save(ctx)
				}
				if !errors.Is(err, sessionstore.ErrRevoked) {
					t.Errorf("the change of role: %v, want ErrRevoked", err)
				}
			})
			here.visit(t, cookies, func(_ context.Context, s *sessionstore.Session) {
				if s.UserID() != "" {
					t.Errorf("the thief is %s", s.UserID())
				}
			})
			for _, userID := range []string{"eve", "ceo"} {
				left, err := here.manager.List(t.Context(), userID, sessionstore.Page{})
				if err != nil || len(left) > 0 {
					t.Errorf("%d sessions of %s, %v", len(left), userID, err)
				}
			}
		})
	}
}
