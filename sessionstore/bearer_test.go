package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func bearer(cfg *sessionstore.Config) { cfg.Bearer = true }

// program makes a request with these Authorization headers, and returns the
// response and the program's token after it.
func (s *site) program(token string, p page, authorization ...string) (*http.Response, string) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	if token != "" {
		authorization = append(authorization, "Bearer "+token)
	}
	r.Header["Authorization"] = authorization
	resp := send(s.serve(p), r)
	if got := resp.Header.Get("Session-Token"); got != "" {
		token = got
	}
	return resp, token
}

// whose returns the user of a program's session.
func (s *site) whose(token string, authorization ...string) (user string) {
	s.t.Helper()
	s.program(token, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		user = sess.UserID()
	}, authorization...)
	return user
}

func TestBearer(t *testing.T) {
	site := newSite(t, bearer)
	resp, token := site.program("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"), s.RememberMe(true))
	})
	if token == "" {
		t.Fatal("a login brought no token")
	}
	wants := func(what string, resp *http.Response, token bool) {
		t.Helper()
		expect(t, what+": Session-Token", resp.Header.Get("Session-Token") != "", token)
		expect(t, what+": Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
		expect(t, what+": Vary", resp.Header.Get("Vary"), "Authorization")
		control := "private"
		if token {
			control = "no-store"
		}
		expect(t, what+": Cache-Control", resp.Header.Get("Cache-Control"), control)
	}
	wants("the login", resp, true)

	resp, same := site.program(token, func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		w.Header().Set("Session-Token", "of the handler")
		expect(t, "user", s.UserID(), "ada")
		site.check(s.Set("cart", true))
	})
	wants("a value", resp, false)
	expect(t, "the token", same, token)

	resp, rotated := site.program(token, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Rotate(r.Context()))
	})
	wants("a rotation", resp, true)
	expect(t, "the old token", site.whose(token), "")
	expect(t, "the new token", site.whose(rotated), "ada")

	resp, _ = site.program(rotated, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Logout(r.Context()))
	})
	wants("a logout", resp, false)
	expect(t, "after the logout", site.whose(rotated), "")
	for _, secret := range []string{token, rotated} {
		if strings.Contains(site.log.String(), secret) {
			t.Error("the log has a token")
		}
	}
}

// What is no token of this transport is none, and costs no query.
func TestBearerRefuses(t *testing.T) {
	type place = *site
	site, browsers := newSite(t, bearer), newSite(t)
	token, _, err := site.m.Issue(t.Context(), "ada")
	site.check(err)
	staging := newSiteOver(t, site.store, bearer, func(cfg *sessionstore.Config) {
		cfg.Env = sessionstore.Staging
	})
	other := newSiteOver(t, site.store, bearer, func(cfg *sessionstore.Config) {
		cfg.Secrets = []sessionstore.Secret{secretTwo}
	})
	staff := newSiteOver(t, site.store, bearer, func(cfg *sessionstore.Config) {
		cfg.Cookie.Name = "__Host-staff"
	})
	site.store.asked()
	site.seen()
	const forged = "session cookie forged"
	for name, tt := range map[string]struct {
		site    place
		headers []string
		event   string
	}{
		"a cookie's value":         {site, []string{"Bearer " + browsers.user("ada")}, forged},
		"another environment":      {staging, []string{"Bearer " + token}, forged},
		"of another Manager":       {staff, []string{"Bearer " + token}, forged},
		"another secret":           {other, []string{"Bearer " + token}, forged},
		"doubled":                  {site, []string{"Bearer " + token, "Bearer " + token}, forged},
		"beside another scheme":    {site, []string{"Basic YTpi", "Bearer " + token}, forged},
		"a list":                   {site, []string{"Bearer " + token + ", Bearer x"}, forged},
		"two spaces":               {site, []string{"Bearer  " + token}, forged},
		"a tab":                    {site, []string{"Bearer\t" + token}, ""},
		"without a scheme":         {site, []string{token}, ""},
		"cut":                      {site, []string{"Bearer " + token[:len(token)-1]}, forged},
		"longer":                   {site, []string{"Bearer " + token + "A"}, forged},
		"of another issuer":        {site, []string{"Bearer eyJhbGciOiJub25lIn0.e30."}, forged},
		"empty":                    {site, []string{""}, ""},
		"the scheme alone":         {site, []string{"Bearer"}, forged},
		"nothing after the scheme": {site, []string{"Bearer "}, forged},
		"another scheme":           {site, []string{"Basic YTpi"}, ""},
		"none":                     {site, nil, ""},
	} {
		expect(t, name+": user", tt.site.whose("", tt.headers...), "")
		expect(t, name+": events", tt.site.seen(), tt.event)
	}
	expect(t, "calls of the store", site.store.asked(), "")
	expect(t, "the scheme in another case", site.whose("", "bEARER "+token), "ada")
	if strings.Contains(site.log.String(), token) {
		t.Error("the log has the token")
	}
}

// One Manager has one transport: neither takes the other's token, nor its own
// in another place.
func TestOneTransport(t *testing.T) {
	programs := newSite(t, bearer)
	browsers := newSiteOver(t, programs.store)
	token, _, err := programs.m.Issue(t.Context(), "ada")
	programs.check(err)
	cookie, _, err := browsers.m.Issue(t.Context(), "bob")
	programs.check(err)
	expect(t, "a cookie of Issue", browsers.look(cookie), "user=bob")

	r := func(authorization string, cookies ...string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/?access_token="+token, nil)
		if authorization != "" {
			r.Header.Set("Authorization", "Bearer "+authorization)
		}
		for _, c := range cookies {
			r.Header.Add("Cookie", cookieName+"="+c)
		}
		return r
	}
	for name, tt := range map[string]struct {
		site *site
		r    *http.Request
		want string
	}{
		"a token in a cookie, programs":   {programs, r("", token), ""},
		"a token in a cookie, browsers":   {browsers, r("", token), ""},
		"a token to browsers":             {browsers, r(token), ""},
		"a cookie in the header":          {browsers, r(cookie), ""},
		"a cookie to programs":            {programs, r("", cookie), ""},
		"a token beside a cookie":         {programs, r(token, cookie), "ada"},
		"a cookie beside a token":         {browsers, r(token, cookie), "bob"},
		"a token beside a forged cookie":  {programs, r(token, "x"), "ada"},
		"a forged token beside a cookie":  {programs, r("x", cookie), ""},
		"a cookie beside a forged token":  {browsers, r("x", cookie), "bob"},
		"a token beside one in a cookie":  {programs, r(token, token), "ada"},
		"nothing but a token in the link": {programs, r(""), ""},
	} {
		got := ""
		send(tt.site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			got = s.UserID()
		}), tt.r)
		expect(t, name, got, tt.want)
	}
}

// A program that owes a proof is told which, as RFC 9470 has it.
func TestBearerChallenge(t *testing.T) {
	site := newSite(t, bearer)
	token, _, err := site.m.Issue(t.Context(), "ada", sessionstore.AuthenticatedBy(1, "password"))
	site.check(err)
	ended, info, err := site.m.Issue(t.Context(), "ada")
	site.check(err)
	_, err = site.m.Revoke(t.Context(), "ada", info.Handle)
	site.check(err)
	_, pending := site.program("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.BeginLogin(r.Context(), "ada"))
	})
	_, visitor := site.program("", func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", true))
	})
	const owed = `Bearer error="insufficient_user_authentication", ` +
		`error_description="A different authentication is required"`
	const dead = `Bearer error="invalid_token", error_description="The session has ended"`
	for name, tt := range map[string]struct {
		token  string
		level  int
		within time.Duration
		status int
		want   string
	}{
		"enough":       {token, 1, sessionstore.SinceLogin, http.StatusOK, ""},
		"a level":      {token, 2, sessionstore.SinceLogin, 401, owed + `, acr_values="2"`},
		"both":         {token, 2, 5 * time.Minute, 401, owed + `, acr_values="2", max_age="300"`},
		"an age":       {token, 0, -1, 401, owed},
		"no token":     {"", 1, sessionstore.SinceLogin, 401, "Bearer"},
		"a dead token": {ended, 1, sessionstore.SinceLogin, 401, dead},
		"pending":      {pending, 2, sessionstore.SinceLogin, 401, owed + `, acr_values="2"`},
		"a visitor":    {visitor, 1, sessionstore.SinceLogin, 401, "Bearer"},
	} {
		page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		guard := sessionstore.RequireAuth(tt.level, tt.within,
			http.RedirectHandler("/login", http.StatusSeeOther))
		resp := send(site.m.Handler(guard(page)), r)
		expect(t, name+": status", resp.StatusCode, tt.status)
		expect(t, name+": WWW-Authenticate", resp.Header.Get("WWW-Authenticate"), tt.want)
	}
}

// Another scheme is of no session, so its end is none.
func TestBearerChallengeOfAnotherScheme(t *testing.T) {
	site := newSite(t, bearer)
	h := site.m.Handler(sessionstore.RequireFresh(time.Minute, nil)(http.NotFoundHandler()))
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	r.SetBasicAuth("a", "b")
	expect(t, "WWW-Authenticate", send(h, r).Header.Get("WWW-Authenticate"), "Bearer")
	h = site.form(func(http.ResponseWriter, *http.Request, *sessionstore.Session) error {
		return sessionstore.ErrNotLoggedIn
	})
	resp := send(h, httptest.NewRequest(http.MethodPost, "https://shop.example/", nil))
	expect(t, "of an error: status", resp.StatusCode, http.StatusUnauthorized)
	expect(t, "of an error", resp.Header.Get("WWW-Authenticate"), "Bearer")
}

func TestIssue(t *testing.T) {
	site := newSite(t, bearer)
	token, info, err := site.m.Issue(t.Context(), "ada",
		sessionstore.AuthenticatedBy(1, "device"), sessionstore.WithLifetime(time.Hour))
	site.check(err)
	expect(t, "events", site.seen(), "session login")
	expect(t, "user", info.UserID, "ada")
	expect(t, "level", info.Level, 1)
	expect(t, "lifetime", info.AbsoluteExpiresAt.Sub(info.CreatedAt), time.Hour)
	expect(t, "the session", site.whose(token), "ada")
	_, err = site.m.Revoke(t.Context(), "ada", info.Handle)
	site.check(err)
	expect(t, "after a revoke", site.whose(token), "")

	var bad *sessionstore.ValueError
	token, _, err = site.m.Issue(t.Context(), "")
	expect(t, "no user: token", token, "")
	expect(t, "no user: error", errors.As(err, &bad), true)
	site.store.on(store.OpCreate, func(context.Context) error { return errDown })
	token, _, err = site.m.Issue(t.Context(), "ada")
	expect(t, "no store: token", token, "")
	expect(t, "no store: error", errors.Is(err, sessionstore.ErrUnavailable), true)
}

// A user who is dismissed while their page makes a token gets none, unless the
// page itself made the revoke.
func TestIssueInARequestOfARevokedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		programs := newSiteOver(t, site.store, bearer)
		for _, own := range []bool{false, true} {
			cookie := site.user("eve")
			time.Sleep(time.Hour)
			site.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				expect(t, "user", s.UserID(), "eve")
				ctx := t.Context() // of another request
				if own {
					ctx = r.Context()
				}
				time.Sleep(time.Minute)
				_, err := site.m.RevokeUser(ctx, "eve")
				site.check(err)
				time.Sleep(time.Minute)
				_, _, err = programs.m.Issue(r.Context(), s.UserID())
				expect(t, "refused", errors.Is(err, sessionstore.ErrRevoked), !own)
			})
			time.Sleep(time.Hour)
		}
	})
}
