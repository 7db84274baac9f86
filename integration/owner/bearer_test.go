package owner_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func bearer(cfg *sessionstore.Config) { cfg.Bearer = true }

// call makes a request of a program, and returns the response and the token
// that the program has after it.
func (in *instance) call(
	token string, page func(context.Context, *sessionstore.Session) error,
) (*http.Response, string) {
	in.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/api/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	in.Handler(sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			return page(r.Context(), s)
		})).ServeHTTP(w, r)
	if got := w.Result().Header.Get("Session-Token"); got != "" {
		token = got
	}
	return w.Result(), token
}

// program returns the user of a program's token.
func (in *instance) program(token string) (user string) {
	in.t.Helper()
	in.call(token, func(_ context.Context, s *sessionstore.Session) error {
		user = s.UserID()
		return nil
	})
	return user
}

// The sessions of programs and of browsers are rows of one table, on several
// instances, and a revoke of the user ends both.
func TestProgramsAndBrowsersShareATable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	browsers, programs, elsewhere := h.instance(), h.instance(bearer), h.instance(bearer)
	cookie := browsers.login("ada")
	token, _, err := programs.Issue(t.Context(), "ada", sessionstore.AuthenticatedBy(1, "device"))
	programs.check(err)

	expect(t, "a token elsewhere", elsewhere.program(token), "ada")
	expect(t, "a token as a cookie", browsers.who(token), "")
	expect(t, "a cookie as a token", programs.program(cookie), "")
	infos, err := browsers.List(t.Context(), "ada", sessionstore.Page{})
	browsers.check(err)
	expect(t, "sessions of the user", len(infos), 2)

	// a value and a rotation, each on the other instance
	visits := sessionstore.NewKey[int]("visits")
	resp, same := elsewhere.call(token, func(_ context.Context, s *sessionstore.Session) error {
		return visits.Set(s, 7)
	})
	expect(t, "the status of a value", resp.StatusCode, http.StatusOK)
	expect(t, "the token after a value", same, token)
	resp, rotated := programs.call(token, func(ctx context.Context, s *sessionstore.Session) error {
		return s.Rotate(ctx)
	})
	expect(t, "a new token", rotated != token, true)
	expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
	expect(t, "the old token", elsewhere.program(token), "")
	elsewhere.call(rotated, func(_ context.Context, s *sessionstore.Session) error {
		n, err := visits.Get(s)
		expect(t, "the value after the rotation", n, 7)
		return err
	})

	// a level that is owed
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/api/pay", nil)
	r.Header.Set("Authorization", "Bearer "+rotated)
	w := httptest.NewRecorder()
	elsewhere.Handler(sessionstore.RequireAuth(2, sessionstore.SinceLogin, nil)(
		http.NotFoundHandler())).ServeHTTP(w, r)
	expect(t, "the challenge", w.Result().Header.Get("WWW-Authenticate"),
		`Bearer error="insufficient_user_authentication", `+
			`error_description="A different authentication is required", acr_values="2"`)

	revoked, err := browsers.RevokeUser(t.Context(), "ada")
	browsers.check(err)
	expect(t, "ended", revoked.Count, 2)
	expect(t, "the program, after a revoke", elsewhere.program(rotated), "")
	expect(t, "the browser, after a revoke", browsers.who(cookie), "")
}

// A logout of a program deletes the row.
func TestALogoutOfAProgram(t *testing.T) {
	t.Parallel()
	in := newHouse(t).instance(bearer)
	_, token := in.call("", func(ctx context.Context, s *sessionstore.Session) error {
		return s.Login(ctx, "ada")
	})
	expect(t, "after the login", in.program(token), "ada")
	resp, _ := in.call(token, func(ctx context.Context, s *sessionstore.Session) error {
		return s.Logout(ctx)
	})
	expect(t, "Session-Token", resp.Header.Get("Session-Token"), "")
	expect(t, "after the logout", in.program(token), "")
	stats, err := in.Stats(t.Context())
	in.check(err)
	expect(t, "rows", stats.Total, 0)
}
