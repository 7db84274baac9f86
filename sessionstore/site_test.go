package sessionstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	cookieName = "__Host-session"
	secretOne  = "one-5f1d7a86c2b94e03a7d8e6f0c1b2a394"
	secretTwo  = "two-93b04e7f2a1c4d5886f7e0d9c8b7a6f5"
)

// site is an application with a Manager, a store and a log of its events.
type site struct {
	t     testing.TB
	m     *sessionstore.Manager
	store *spy
	// alives is how many calls of Alive asksAlive has counted.
	alives int
	log    *syncBuffer

	mu     sync.Mutex
	events []sessionstore.Event
}

// newSite makes a site with the defaults of production, changed by the given
// functions.
func newSite(t testing.TB, change ...func(*sessionstore.Config)) *site {
	t.Helper()
	expiry := store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	return newSiteOver(t, newSpy(newMemory(expiry)), change...)
}

func newSiteOver(t testing.TB, store *spy, change ...func(*sessionstore.Config)) *site {
	t.Helper()
	s := &site{t: t, store: store, log: &syncBuffer{}}
	cfg := sessionstore.Config{
		Secrets: []sessionstore.Secret{secretOne},
		// some tests make requests without a network address
		Suspicion: sessionstore.SuspicionConfig{DisableCheck: true},
		// the tests of the marker turn it on
		Cookie:   sessionstore.CookieConfig{DisableMarker: true},
		Observer: s.observe,
		Logger: slog.New(
			slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}),
		),
	}
	for _, f := range change {
		f(&cfg)
	}
	m, err := sessionstore.NewWithStore(store, cfg)
	if err != nil {
		t.Fatalf("NewWithStore: %v", err)
	}
	s.m = m
	return s
}

func (s *site) observe(_ context.Context, e sessionstore.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// delivered waits until the observer has received all events.
func (s *site) delivered() {
	s.t.Helper()
	s.check(s.m.FlushEvents(context.Background()))
}

// seen returns the kinds of the events since its last call, in order.
func (s *site) seen() string {
	s.delivered()
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := make([]string, len(s.events))
	for i, e := range s.events {
		kinds[i] = e.Kind.String()
	}
	s.events = nil
	return strings.Join(kinds, ", ")
}

// event returns the only event of a kind since the last call of seen.
func (s *site) event(kind sessionstore.EventKind) sessionstore.Event {
	s.t.Helper()
	s.delivered()
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []sessionstore.Event
	for _, e := range s.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%d events %q, want 1; all: %v", len(found), kind, s.events)
	}
	return found[0]
}

// serve returns a page behind the site's middleware.
func (s *site) serve(p page) http.Handler {
	return s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sess, err := sessionstore.FromContext(r.Context())
		if err != nil {
			s.t.Errorf("FromContext: %v", err)
			return
		}
		p(w, r, sess)
	}))
}

// visit makes one request for a page and returns the response and the browser's
// cookie after it.
func (s *site) visit(cookie string, p page) (*http.Response, string) {
	s.t.Helper()
	return visit(s.serve(p), cookie)
}

// send makes a request without a network, with cookies as name=value. Tests of
// the wire use a server.
func send(h http.Handler, r *http.Request, cookies ...string) *http.Response {
	for _, cookie := range cookies {
		r.Header.Add("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// visit makes one request with session cookies, and returns the response and
// the browser's last cookie after it.
func visit(h http.Handler, cookies ...string) (*http.Response, string) {
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	last := ""
	var sent []string
	for _, cookie := range cookies {
		if last = cookie; cookie != "" {
			sent = append(sent, cookieName+"="+cookie)
		}
	}
	resp := send(h, r, sent...)
	if cookie, ok := sessionCookie(resp); ok {
		last = cookie.Value
	}
	return resp, last
}

// Browsers send these headers for a top-level navigation and for a script's
// request.
var (
	navigating = http.Header{
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"},
		"Sec-Fetch-Dest": {"document"},
	}
	fetching = http.Header{
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"},
	}
)

// visitAs is visit with headers of the request.
func visitAs(h http.Handler, header http.Header, cookies ...string) (*http.Response, string) {
	return visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(r.Header, header)
		h.ServeHTTP(w, r)
	}), cookies...)
}

// newcomer makes a visitor's session with the given keys set to true, and
// returns the cookie.
func (s *site) newcomer(keys ...string) string {
	s.t.Helper()
	_, cookie := s.visit("", func(
		_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session,
	) {
		for _, key := range append(keys, "here") {
			s.check(sess.Set(key, true))
		}
	})
	if cookie == "" {
		s.t.Fatal("a new session came without a cookie")
	}
	s.store.asked()
	s.seen()
	return cookie
}

// user makes a session with a user and the given keys, and returns the cookie.
func (s *site) user(userID string, keys ...string) string {
	s.t.Helper()
	_, cookie := s.visit(s.newcomer(keys...), func(
		_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
	) {
		s.check(sess.Login(r.Context(), userID))
	})
	s.store.asked()
	s.seen()
	return cookie
}

// look returns the user of a cookie's session and which of the keys are set.
func (s *site) look(cookie string, keys ...string) string {
	s.t.Helper()
	found := []string{}
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		if _, ok := sess.Record(); !ok {
			found = append(found, "no session")
		} else {
			found = append(found, "user="+sess.UserID())
		}
		for _, key := range keys {
			if sess.Has(key) {
				found = append(found, key)
			}
		}
	})
	s.store.asked()
	s.seen()
	return strings.Join(found, " ")
}

// revoke ends the session of a cookie outside of any request.
func (s *site) revoke(cookie string) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		if rec, ok := sess.Record(); ok {
			s.end(rec.ID)
		}
	})
	s.store.asked()
	s.seen()
}

// end deletes a session from the store.
func (s *site) end(id store.ID) {
	s.t.Helper()
	_, err := s.store.Store.Delete(context.Background(), id)
	s.check(err)
}

// check fails the test if an error is not nil.
func (s *site) check(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Errorf("unexpected error: %v", err)
	}
}

// sessionCookie returns the session cookie that a response sets, or false.
func sessionCookie(resp *http.Response) (*http.Cookie, bool) {
	for _, cookie := range resp.Cookies() {
		if cookie.Name == cookieName || cookie.Name == "session" {
			return cookie, true
		}
	}
	return nil, false
}

// expect compares a value with the wanted one.
func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// syncBuffer is a bytes.Buffer for many goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
