package sessionstore_test

import (
	"context"
	"encoding/json"
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

// status asks a StatusHandler, alone or behind the middleware.
func (s *site) status(h http.Handler, cookie string) string {
	s.t.Helper()
	resp, after := visit(h, cookie)
	expect(s.t, "status code", resp.StatusCode, http.StatusOK)
	expect(s.t, "Content-Type", resp.Header.Get("Content-Type"), "application/json")
	expect(s.t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
	expect(s.t, "the cookie afterwards", after, cookie)
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		s.t.Fatal(err)
	}
	_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
	if !json.Valid([]byte(text)) {
		s.t.Errorf("the answer is no JSON: %q", text)
	}
	return strings.TrimSpace(text)
}

func TestStatusIsNoUse(t *testing.T) {
	for _, place := range []string{"alone", "behind the middleware"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { statusIsNoUse(t, place != "alone") })
		})
	}
}

func statusIsNoUse(t *testing.T, inside bool) {
	expiry := store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}
	site := newSiteOver(t, newSpy(newMemory(expiry)), func(cfg *sessionstore.Config) {
		cfg.IdleTimeout, cfg.AbsoluteTimeout = expiry.Idle, expiry.Absolute
	})
	h := site.m.StatusHandler()
	if inside {
		h = site.m.Handler(h)
	}
	const nothing = `{"session":false,"logged_in":false,` +
		`"expires_in_seconds":0,"absolute_expires_in_seconds":0}`
	expect(t, "a visitor", site.status(h, ""), nothing)

	cookie := site.user("ada")
	time.Sleep(30 * time.Minute)
	var got struct {
		Session   bool
		LoggedIn  bool `json:"logged_in"`
		ExpiresIn int  `json:"expires_in_seconds"`
		Absolute  int  `json:"absolute_expires_in_seconds"`
	}
	text := site.status(h, cookie)
	site.check(json.Unmarshal([]byte(text), &got))
	expect(t, "a user's session", got.Session && got.LoggedIn, true)
	// The deadline is rounded up to a minute.
	if got.ExpiresIn < 30*60 || got.ExpiresIn > 31*60 {
		t.Errorf("expires in %d s, want half an hour", got.ExpiresIn)
	}
	expect(t, "the absolute timeout", got.Absolute, 23*3600+30*60)

	// The session lasts an hour from its last use, however often its status is
	// asked.
	for range 31 {
		time.Sleep(time.Minute)
		text = site.status(h, cookie)
	}
	expect(t, "after the timeout", text, nothing)
	expect(t, "touches", len(site.store.of(store.OpTouch)), 0)
}

// A use that other code made in the same request doesn't count either.
func TestStatusFromElsewhereIsNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = false })
		use := func(h http.Handler, cookie, addr string) string {
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
			r.RemoteAddr = addr + ":1234"
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
			r.Header.Set("Cookie", cookieName+"="+cookie)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if c, ok := sessionCookie(w.Result()); ok {
				return c.Value
			}
			return cookie
		}
		cookie := use(site.serve(site.login("ada")), "", "192.0.2.1")
		time.Sleep(time.Hour)
		use(site.m.StatusHandler(), cookie, "198.51.100.7")
		site.check(site.m.Close())
		expect(t, "touches", len(site.store.of(store.OpTouch)), 0)
	})
}

func TestStatusOfTheOwnManager(t *testing.T) {
	staff, customers := newSite(t), newSite(t)
	cookie := staff.user("ada")
	nested := customers.m.Handler(staff.m.StatusHandler())
	if text := staff.status(nested, cookie); !strings.Contains(text, `"logged_in":true`) {
		t.Errorf("within another Manager's handler: %s", text)
	}
}

func TestStatusRefuses(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada")
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	w := httptest.NewRecorder()
	site.m.StatusHandler().ServeHTTP(w, r)
	expect(t, "POST", w.Code, http.StatusMethodNotAllowed)
	expect(t, "Allow", w.Header().Get("Allow"), "GET, HEAD")

	site.store.on(store.OpLoad, func(context.Context) error {
		return errors.Join(sessionstore.ErrUnavailable)
	})
	resp, _ := visit(site.m.StatusHandler(), cookie)
	expect(t, "without Postgres", resp.StatusCode, http.StatusServiceUnavailable)
}
