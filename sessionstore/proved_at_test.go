package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// A revoke between the proof and the request refuses the login, in one step or
// two, and one before the proof does not.
func TestProvedAt(t *testing.T) {
	tag := sessionstore.NewTag("sid", "1")
	revokes := map[string]func(context.Context, *sessionstore.Manager) error{
		"user": func(ctx context.Context, m *sessionstore.Manager) error {
			_, err := m.RevokeUser(ctx, "ada")
			return err
		},
		"tag": func(ctx context.Context, m *sessionstore.Manager) error {
			_, err := m.RevokeTag(ctx, tag)
			return err
		},
		"all": func(ctx context.Context, m *sessionstore.Manager) error {
			_, err := m.RevokeAll(ctx)
			return err
		},
	}
	for what, revoke := range revokes {
		for _, two := range []bool{false, true} {
			for name, tt := range map[string]struct {
				ago     time.Duration // since the proof, in a request 10 s after the revoke
				own     bool          // the request makes the revoke itself
				refused bool
			}{
				"before the revoke": {ago: 11 * time.Second, refused: true},
				"long before":       {ago: 300 * 24 * time.Hour, refused: true},
				"after the revoke":  {ago: 9 * time.Second},
				"in the future":     {ago: -time.Hour},
				"an own revoke":     {ago: time.Second, own: true},
			} {
				synctest.Test(t, func(t *testing.T) {
					site := newSite(t)
					if !tt.own {
						site.check(revoke(t.Context(), site.m))
						time.Sleep(10 * time.Second)
					}
					site.visit("", func(
						_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
					) {
						if tt.own {
							site.check(revoke(r.Context(), site.m))
						}
						at := sessionstore.ProvedAt(time.Now().Add(-tt.ago).Round(0))
						if two {
							site.check(s.BeginLogin(r.Context(), "ada", at,
								sessionstore.WithTags(tag)))
							site.check(s.CompleteLogin(r.Context()))
						} else {
							site.check(s.Login(r.Context(), "ada", at, sessionstore.WithTags(tag)))
						}
						err := s.Save(r.Context())
						if errors.Is(err, sessionstore.ErrRevoked) != tt.refused {
							t.Errorf("%s, %s, two factors %t: %v", what, name, two, err)
						}
					})
				})
			}
		}
	}
}

// A pending login is refused as well, before any token is out.
func TestProvedAtOfTheFirstFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		at := sessionstore.ProvedAt(time.Now())
		time.Sleep(time.Second)
		_, err := site.m.RevokeUser(t.Context(), "ada")
		site.check(err)
		time.Sleep(time.Second)
		site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.BeginLogin(r.Context(), "ada", at))
			if err := s.Save(r.Context()); !errors.Is(err, sessionstore.ErrRevoked) {
				t.Errorf("Save: %v, want ErrRevoked", err)
			}
		})
		expect(t, "sessions", site.store.rows(), 0)
	})
}

func TestProvedAtIsChecked(t *testing.T) {
	site := newSite(t)
	var invalid *sessionstore.ValueError
	site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Now().AddDate(-1, 0, -1)} {
			err := s.Login(r.Context(), "ada", sessionstore.ProvedAt(at))
			expect(t, at.String(), errors.As(err, &invalid), true)
		}
		site.begin("ada")(nil, r, s)
		err := s.CompleteLogin(r.Context(), sessionstore.ProvedAt(time.Now()))
		expect(t, "CompleteLogin", errors.As(err, &invalid), true)
	})
}
