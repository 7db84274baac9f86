package owner_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// maxAge makes a request, and returns the browser's cookie and its Max-Age; 0
// for one that ends with the browser.
func (in *instance) maxAge(
	cookie string, page func(context.Context, *sessionstore.Session) error,
) (string, time.Duration) {
	in.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/login", nil)
	r.Header.Set("Cookie", "__Host-session="+cookie)
	w := httptest.NewRecorder()
	in.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		in.check(err)
		in.check(page(r.Context(), s))
	})).ServeHTTP(w, r)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		in.t.Fatalf("%d cookies, want 1", len(cookies))
	}
	return cookies[0].Value, time.Duration(cookies[0].MaxAge) * time.Second
}

// "Remember me" lasts on the server as in the browser, and other logins end
// earlier. The row, the browser and the list agree.
func TestRememberMeLastsOnTheServerToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const hour, day = time.Hour, 24 * time.Hour
	in := h.instance(func(cfg *sessionstore.Config) {
		cfg.IdleTimeout, cfg.AbsoluteTimeout = 30*day, 30*day
	})
	other := h.instance(func(cfg *sessionstore.Config) {
		cfg.IdleTimeout, cfg.AbsoluteTimeout = 30*day, 30*day
	})
	type page = func(context.Context, *sessionstore.Session) error
	logIn := func(remember bool, options ...sessionstore.LoginOption) page {
		return func(ctx context.Context, s *sessionstore.Session) error {
			if err := s.RememberMe(remember); err != nil {
				return err
			}
			return s.Login(ctx, "ada", options...)
		}
	}
	// lives compares the row, and what another instance lists, with lifetime.
	lives := func(what string, lifetime time.Duration) {
		t.Helper()
		row := pgtest.One[time.Duration](t, h.admin,
			"SELECT absolute_expires_at - last_seen_at FROM pgsession.sessions")
		expect(t, what+": the row", row, lifetime)
		infos, err := other.List(t.Context(), "ada", sessionstore.Page{})
		in.check(err)
		if len(infos) != 1 {
			t.Fatalf("%s: %d sessions", what, len(infos))
		}
		expect(t, what+": the list",
			infos[0].AbsoluteExpiresAt.Sub(infos[0].LastSeenAt), lifetime)
		expect(t, what+": ends no later", infos[0].ExpiresAt.After(infos[0].AbsoluteExpiresAt),
			false)
	}
	short := sessionstore.WithLifetime(12 * hour)
	cookie, age := in.maxAge("", logIn(false, short))
	expect(t, "Max-Age of a visitor's login", age, 0)
	lives("a login", 12*hour)
	cookie, age = in.maxAge(cookie, logIn(true, sessionstore.WithLifetime(60*day)))
	expect(t, "Max-Age of a login beyond the timeout", age, 30*day)
	lives("a login beyond the timeout", 30*day)
	cookie, age = in.maxAge(cookie, logIn(true, short))
	expect(t, "Max-Age of a login that is remembered", age, 12*hour)
	lives("a login that is remembered", 12*hour)
	cookie, age = in.maxAge(cookie, func(ctx context.Context, s *sessionstore.Session) error {
		return s.ExpireIn(ctx, hour)
	})
	expect(t, "Max-Age of ExpireIn", age, hour)
	lives("ExpireIn", hour)
	cookie, age = in.maxAge(cookie, func(ctx context.Context, s *sessionstore.Session) error {
		return s.Rotate(ctx)
	})
	expect(t, "Max-Age of a rotation, about an hour", age > hour-time.Minute && age <= hour, true)
	expect(t, "the user", other.who(cookie), "ada")

	pgtest.Exec(t, h.admin, `UPDATE pgsession.sessions SET
		expires_at = expires_at - interval '1 hour',
		absolute_expires_at = absolute_expires_at - interval '1 hour'`)
	expect(t, "the user after it", other.who(cookie), "")
}

// Logins of one moment share a statement, and each has its own lifetime.
func TestLoginsTogetherHaveTheirLifetimes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	var all sync.WaitGroup
	const users = 40
	for i := range users {
		all.Go(func() {
			in.visit("", func(ctx context.Context, s *sessionstore.Session) {
				in.check(s.Login(ctx, fmt.Sprint(i),
					sessionstore.WithLifetime(time.Duration(i+1)*time.Hour)))
			})
		})
	}
	all.Wait()
	wrong := pgtest.One[int](t, h.admin, `SELECT count(*) FROM pgsession.sessions
		WHERE absolute_expires_at - created_at <> (user_id::int + 1) * interval '1 hour'`)
	expect(t, "sessions with another lifetime", wrong, 0)
	expect(t, "sessions", pgtest.One[int](t, h.admin, "SELECT count(*) FROM pgsession.sessions"),
		users)
}
