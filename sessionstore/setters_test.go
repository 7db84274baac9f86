package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// setters are all methods that leave something to a save.
var setters = map[string]func(context.Context, *sessionstore.Session) error{
	"Login ada": func(ctx context.Context, s *sessionstore.Session) error {
		return s.Login(ctx, "ada", sessionstore.AuthenticatedBy(1, "password"))
	},
	"Login bob": func(ctx context.Context, s *sessionstore.Session) error {
		return s.Login(ctx, "bob", sessionstore.DropValues)
	},
	"BeginLogin": func(ctx context.Context, s *sessionstore.Session) error {
		return s.BeginLogin(ctx, "ada", sessionstore.AuthenticatedBy(1, "password"))
	},
	"CompleteLogin": func(ctx context.Context, s *sessionstore.Session) error {
		return s.CompleteLogin(ctx, sessionstore.AuthenticatedBy(2, "totp"))
	},
	"StepUp": func(ctx context.Context, s *sessionstore.Session) error {
		return s.StepUp(ctx, 3, "passkey")
	},
	"Rotate": func(ctx context.Context, s *sessionstore.Session) error { return s.Rotate(ctx) },
	"Logout": func(ctx context.Context, s *sessionstore.Session) error { return s.Logout(ctx) },
	"Set": func(_ context.Context, s *sessionstore.Session) error {
		return s.Set("set", true)
	},
	"Delete": func(_ context.Context, s *sessionstore.Session) error {
		return s.Delete("cart")
	},
	"RememberMe": func(_ context.Context, s *sessionstore.Session) error {
		return s.RememberMe(true)
	},
	"ExpireIn": func(ctx context.Context, s *sessionstore.Session) error {
		return s.ExpireIn(ctx, time.Hour)
	},
	"Discard": func(_ context.Context, s *sessionstore.Session) error {
		s.Discard()
		return nil
	},
}

// newToken are those after which the old token is worth nothing.
var newToken = map[string]bool{
	"BeginLogin": true, "CompleteLogin": true, "StepUp": true, "Rotate": true, "Logout": true,
}

// said is all that a request can see of its session.
func said(s *sessionstore.Session) string {
	return fmt.Sprintf("user %q pending %q level %d login %v cart %t set %t", s.UserID(),
		s.PendingUserID(), s.Level(), s.LoginID() != "", s.Has("cart"), s.Has("set"))
}

// Two setters in one request, in both orders, on each kind of session: what the
// request sees before its save is what the store has afterwards. None loses
// what the other has set without a word.
func TestNoSetterLosesAnother(t *testing.T) {
	starts := map[string]func(*site) string{
		"none":    func(*site) string { return "" },
		"visitor": func(s *site) string { return s.newcomer("cart") },
		"user":    func(s *site) string { return s.user("ada", "cart") },
		"pending": func(s *site) string { return s.begun("ada") },
	}
	for _, keep := range []bool{false, true} {
		for start, begin := range starts {
			for first, one := range setters {
				site := newSite(t, func(c *sessionstore.Config) { c.DisableRotateOnLogin = keep })
				for second, two := range setters {
					for _, saves := range []bool{false, true} {
						name := fmt.Sprintf("%s, then %s on %s, keep %t, Save %t",
							first, second, start, keep, saves)
						site.pair(name, begin(site), one, two, saves,
							newToken[second] || newToken[first] && second != "Discard")
					}
				}
			}
		}
	}
}

func (s *site) pair(
	name, cookie string, one, two func(context.Context, *sessionstore.Session) error,
	saves, renews bool,
) {
	s.t.Helper()
	before, failed := "", false
	resp, after := s.visit(cookie, func(
		_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
	) {
		for _, set := range [...]func(context.Context, *sessionstore.Session) error{one, two} {
			err := set(r.Context(), sess)
			failed = failed || err != nil
			if err != nil && !errors.Is(err, sessionstore.ErrNoPendingLogin) &&
				!errors.Is(err, sessionstore.ErrNotLoggedIn) {
				s.t.Errorf("%s: %v", name, err)
			}
		}
		before = said(sess)
		if saves {
			s.check(sess.Save(r.Context()))
			expect(s.t, name+": after its Save", said(sess), before)
		}
	})
	expect(s.t, name+": status", resp.StatusCode, http.StatusOK)
	s.visit(after, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		expect(s.t, name+": the next request", said(sess), before)
	})
	if renews && !failed && cookie != "" {
		s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
			expect(s.t, name+": the old token has no session", sess.Handle(), "")
		})
	}
}
