package sessionstore_test

import (
	"bytes"
	"context"
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

// site is an application with sessions, and everything there is to know about
// it.
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

// newSite makes a site with production's defaults, changed by the given
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
		// some visits come over a network and some don't
		Suspicion: sessionstore.SuspicionConfig{DisableCheck: true},
		Cookie:    sessionstore.CookieConfig{DisableMarker: true}, // its own tests turn it on
		Observer:  s.observe,
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

// told waits until the observer has been told of what happened.
func (s *site) told() {
	s.t.Helper()
	s.check(s.m.FlushEvents(context.Background()))
}

// seen is the kinds of the events since it was last called, in their order.
func (s *site) seen() string {
	s.told()
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := make([]string, len(s.events))
	for i, e := range s.events {
		kinds[i] = e.Kind.String()
	}
	s.events = nil
	return strings.Join(kinds, ", ")
}

// event is the only event of a kind since seen was last called.
func (s *site) event(kind sessionstore.EventKind) sessionstore.Event {
	s.t.Helper()
	s.told()
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

// page is what a handler does with the session.
type page func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session)

// serve is a page behind the site's middleware.
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

// visit makes one request for a page and returns the response and the cookie
// that the browser has afterwards.
func (s *site) visit(cookie string, p page) (*http.Response, string) {
	s.t.Helper()
	return visit(s.serve(p), cookie)
}

// visit makes one request without a network, for tests of what happens to a
// session. Those of what happens on the wire have a server.
func visit(h http.Handler, cookies ...string) (*http.Response, string) {
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	last := ""
	for _, cookie := range cookies {
		if last = cookie; cookie != "" {
			r.Header.Add("Cookie", cookieName+"="+cookie)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	if cookie, ok := sessionCookie(resp); ok {
		last = cookie.Value
	}
	return resp, last
}

// What browsers say of the page of a top-level navigation, and of a script's
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

// newcomer is a visitor with a session in which the given keys are set, each to
// true; it returns the cookie.
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

// user is a visitor who is logged in; it returns the cookie.
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

// look says what a cookie is good for: who is logged in and which of the keys
// are set.
func (s *site) look(cookie string, keys ...string) string {
	s.t.Helper()
	found := []string{}
	s.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
		if _, ok := sess.Record(); !ok {
			found = append(found, "nobody")
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

// revoke ends the session of a cookie behind its back.
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

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("unexpected error: %v", err)
	}
}

// sessionCookie is the session cookie that a response sets; false when it sets
// none.
func sessionCookie(resp *http.Response) (*http.Cookie, bool) {
	for _, cookie := range resp.Cookies() {
		if cookie.Name == cookieName || cookie.Name == "session" {
			return cookie, true
		}
	}
	return nil, false
}

// expect compares what there is with what there should be.
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
