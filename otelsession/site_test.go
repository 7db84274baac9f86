package otelsession_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var weekly = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

// site is an application with its sessions in memory.
type site struct {
	*telemetry
	manager *sessionstore.Manager
	store   *fault.Store
}

func newSite(t testing.TB, opts ...otelsession.Option) *site {
	t.Helper()
	s := &site{telemetry: newTelemetry(t), store: fault.Wrap(sessionstore.NewMemory(weekly, 0))}
	m, err := sessionstore.NewWithStore(s.store, sessionstore.Config{
		Cookie:  sessionstore.CookieConfig{DisableMarker: true},
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
		Tracer:  otelsession.NewTracer(s.options(opts...)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.manager = m
	return s
}

// visit makes a request within a span of its own and returns the cookie that
// the browser has afterwards. do may be nil. err is the error of FromContext.
func (s *site) visit(
	cookie string, do func(r *http.Request, sess *sessionstore.Session) error,
) (after string, err error) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", "__Host-session="+cookie)
	}
	ctx, span := s.tracer.Tracer("test").Start(s.t.Context(), "GET /")
	w := httptest.NewRecorder()
	s.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var sess *sessionstore.Session
		if sess, err = sessionstore.FromContext(r.Context()); err == nil && do != nil {
			if err := do(r, sess); err != nil {
				s.t.Error(err)
			}
		}
	})).ServeHTTP(w, r.WithContext(ctx))
	span.End()
	for _, c := range w.Result().Cookies() {
		cookie = c.Value
	}
	return cookie, err
}

// newcomer returns the cookie of a new session with a value.
func (s *site) newcomer() string {
	s.t.Helper()
	cookie, err := s.visit("",
		func(_ *http.Request, sess *sessionstore.Session) error { return sess.Set("seen", true) })
	if err != nil {
		s.t.Fatal(err)
	}
	return cookie
}

func unavailable(why error) error {
	return fmt.Errorf("%w: the double is down: %w", sessionstore.ErrUnavailable, why)
}
