package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// site is the demo in development mode, and its store.
type site struct {
	url      string
	store    *fault.Store
	sessions *sessionstore.Manager
	app      *app
}

func newSite(t *testing.T) *site {
	t.Helper()
	cfg := sessionstore.Config{
		Env:          sessionstore.Development,
		Logger:       slog.New(slog.DiscardHandler),
		ErrorHandler: serveError,
	}
	expiry := store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	s := fault.Wrap(sessionstore.NewMemory(expiry, 0))
	sessions, err := sessionstore.NewWithStore(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(sessions, nil, cfg)
	server := httptest.NewServer(app.handler())
	t.Cleanup(func() {
		server.Close()
		if err := sessions.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{url: server.URL, store: s, sessions: sessions, app: app}
}

// visitor is a browser with cookies of its own.
type visitor struct {
	t      *testing.T
	site   *site
	client *http.Client
}

func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, site: s, client: &http.Client{Jar: jar}}
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body string
}

func (v *visitor) do(r *http.Request) answer {
	v.t.Helper()
	res, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func (v *visitor) request(method, path string, form url.Values) *http.Request {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.site.url+path,
		strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.do(v.request(http.MethodGet, path, nil))
}

// post sends a form and follows the redirect, like a browser.
func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	return v.do(v.request(http.MethodPost, path, form))
}

func (a answer) wants(t *testing.T, status int, parts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s %s: status %d, want %d", a.Request.Method, a.Request.URL.Path, a.StatusCode,
			status)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s %s: no %q in:\n%s", a.Request.Method, a.Request.URL.Path, part, a.body)
		}
	}
}

func (a answer) lacks(t *testing.T, part string) {
	t.Helper()
	if strings.Contains(a.body, part) {
		t.Errorf("%s %s: %q in:\n%s", a.Request.Method, a.Request.URL.Path, part, a.body)
	}
}

func TestFormFromAnotherSiteIsRefused(t *testing.T) {
	for _, path := range []string{
		"/login", "/logout", "/counter", "/devices/end", "/devices/end-others", "/password",
		"/confirm", "/code", "/second-factor", "/api/login?user=mallory", "/api/set?k=a&v=b",
	} {
		v := newSite(t).visitor(t)
		r := v.request(http.MethodPost, path, url.Values{"name": {"Mallory"}})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		res := v.do(r)
		res.wants(t, http.StatusForbidden)
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a refused request got a cookie", path)
		}
	}
}

func TestWrongMethodIs405(t *testing.T) {
	v := newSite(t).visitor(t)
	for _, path := range []string{
		"/login", "/logout", "/counter", "/cart", "/devices/end", "/devices/end-others", "/confirm",
		"/second-factor",
		"/api/login", "/api/logout", "/api/set",
	} {
		v.get(path).wants(t, http.StatusMethodNotAllowed)
	}
	for _, path := range []string{
		"/", "/devices", "/operator", "/live", "/ended", "/api/me", "/api/get", "/healthz",
		"/livez", "/assets/style.css",
	} {
		v.post(path, nil).wants(t, http.StatusMethodNotAllowed)
	}
}

func TestStoreUnavailable(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	v.post("/login", url.Values{"name": {"Ada"}}).wants(t, http.StatusOK)

	s.store.Down()
	page := v.get("/")
	page.wants(t, http.StatusServiceUnavailable, "Sessions are out of reach", "503",
		"/assets/style.css")
	me := v.get("/api/me")
	me.wants(t, http.StatusServiceUnavailable, "Service Unavailable")
	// A visitor without a cookie loads nothing. The save fails, and the library
	// answers.
	unsaved := s.visitor(t).post("/counter", nil)
	unsaved.wants(t, http.StatusServiceUnavailable, "Sessions are out of reach")
	for _, res := range []answer{page, me, unsaved} {
		if res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", res.Request.URL.Path)
		}
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the cookie was changed", res.Request.URL.Path)
		}
	}
	v.get("/healthz").wants(t, http.StatusServiceUnavailable, "unavailable")
	v.get("/livez").wants(t, http.StatusNoContent) // with a cookie, and asks no store
	s.visitor(t).get("/").wants(t, http.StatusOK, "Who are you?")
	v.get("/assets/style.css").wants(t, http.StatusOK)

	s.store.Up()
	v.get("/").wants(t, http.StatusOK, "Hello, Ada.")
}

func TestHealth(t *testing.T) {
	newSite(t).visitor(t).get("/healthz").wants(t, http.StatusOK, `"status":"ok"`,
		`"store":"memory"`)
}
