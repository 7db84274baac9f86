package sessionstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestDiscardDropsPendingChanges(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	resp, after := site.visit(cookie, func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("late", true))
		site.check(s.Delete("cart"))
		site.check(s.Login(r.Context(), "ada"))
		s.Discard()
		expect(t, "user", s.UserID(), "")
		expect(t, "cart", s.Has("cart"), true)
		http.Error(w, "no", http.StatusForbidden)
	})
	expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
	site.visit(after, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "user", s.UserID(), "")
		expect(t, "cart", s.Has("cart"), true)
		expect(t, "late", s.Has("late"), false)
	})
}

func TestRememberedReportsTheDecision(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	_, cookie = site.visit(cookie, func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		expect(t, "remembered at first", s.Remembered(), false)
		site.check(s.RememberMe(true))
		expect(t, "remembered at once", s.Remembered(), true)
	})
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "remembered later", s.Remembered(), true)
	})
}

// The answer depends on the cookie: a visitor without one gets another, so a
// cache needs Vary.
func TestFailedLoadVariesByCookie(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	site.seen()
	site.store.Down(store.OpLoad)
	resp, _ := visit(site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := sessionstore.FromContext(r.Context())
		sessionstore.ServeError(w, r, err)
	})), cookie)
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "Retry-After", resp.Header.Get("Retry-After"), "1")
	expect(t, "Vary", resp.Header.Get("Vary"), "Cookie")
	expect(t, "events", site.seen(), "session load failed")
}

func TestServeErrorStatus(t *testing.T) {
	for err, status := range map[error]int{
		sessionstore.ErrUnavailable:    http.StatusServiceUnavailable,
		errors.New("secret of the db"): http.StatusInternalServerError,
	} {
		w := httptest.NewRecorder()
		sessionstore.ServeError(w, httptest.NewRequest(http.MethodGet, "/", nil), err)
		expect(t, "status", w.Code, status)
		expect(t, "the reason is in the answer", strings.Contains(w.Body.String(), "secret"), false)
	}
}

// A client that disconnects is no fault of the server.
func TestServeErrorAfterDisconnect(t *testing.T) {
	var lines bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))

	site := newSite(t)
	cookie := site.newcomer()
	held := site.store.hold(store.OpLoad)
	defer held.Release()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { arrived(t, held); cancel() }()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example/", nil)
	r.Header.Set("Cookie", cookieName+"="+cookie)
	w := httptest.NewRecorder()
	site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := sessionstore.FromContext(r.Context())
		sessionstore.ServeError(w, r, err)
	})).ServeHTTP(w, r)
	expect(t, "status", w.Code, 499)
	expect(t, "body", w.Body.String(), "")
	expect(t, "events", site.seen(), "")
	expect(t, "log", lines.String()+site.log.String(), "")

	// An outage that ended a context inside the library is still an outage.
	w = httptest.NewRecorder()
	sessionstore.ServeError(w, httptest.NewRequest(http.MethodGet, "/", nil),
		errors.Join(sessionstore.ErrUnavailable, context.Canceled))
	expect(t, "status of an outage", w.Code, http.StatusServiceUnavailable)
}

// Without the middleware there is no Manager and no event, so only the log can
// say what is missing.
func TestServeErrorLogsMissingMiddleware(t *testing.T) {
	var lines bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))

	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := sessionstore.FromContext(r.Context())
		sessionstore.ServeError(w, r, err)
	})
	resp, _ := visit(page)
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "the log has the remedy",
		strings.Contains(lines.String(), "wrap the handler with Manager.Handler"), true)
}

func TestOutageIsLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(c *sessionstore.Config) { c.Observer = nil })
		cookie := site.newcomer()
		site.store.Down(store.OpLoad)
		load := site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = sessionstore.FromContext(context.WithoutCancel(r.Context()))
		}))
		for range 2 {
			for range 50 {
				visit(load, cookie)
			}
			time.Sleep(time.Second)
		}
		site.delivered()
		expect(t, "lines", strings.Count(site.log.String(), "session load failed"), 2)
		expect(t, "counted", site.m.Count(sessionstore.EventLoadFailed), int64(100))
	})
}
