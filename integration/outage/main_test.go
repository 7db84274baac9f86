// Package outage_test tests what is an outage of Postgres, and what is none.
package outage_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestMain(m *testing.M) { testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers) }

func config(databaseURL string) sessionstore.Config {
	return sessionstore.Config{
		DatabaseURL: sessionstore.Secret(databaseURL), StoreTimeout: 2 * time.Second,
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// open opens a Manager, which is closed when the test ends.
func open(t *testing.T, cfg sessionstore.Config) *sessionstore.Manager {
	t.Helper()
	m, err := sessionstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// with changes a URL.
func with(t *testing.T, databaseURL string, change func(*url.URL, url.Values)) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	query := u.Query()
	change(u, query)
	u.RawQuery = query.Encode()
	return u.String()
}

// set adds a parameter to a URL.
func set(t *testing.T, databaseURL, name, value string) string {
	t.Helper()
	return with(t, databaseURL, func(_ *url.URL, q url.Values) { q.Set(name, value) })
}

// health returns the readiness of a Manager.
func health(m *sessionstore.Manager) (status int, said string) {
	w := httptest.NewRecorder()
	m.HealthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	return w.Code, w.Body.String()
}

func load(m *sessionstore.Manager) error {
	_, err := m.Store().Load(context.Background(), store.ID{1}, 0)
	return err
}

// noEmergency loads for three seconds, and wants errors that begin no
// emergency.
func noEmergency(t *testing.T, m *sessionstore.Manager, says string) {
	t.Helper()
	failed := 0
	for began := time.Now(); time.Since(began) < 3*time.Second || failed < 4; {
		err := load(m)
		if err == nil || errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatal("it works: this test sees nothing")
		}
		if !errors.Is(err, sessionstore.ErrUnavailable) || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v, want ErrUnavailable with %q", err, says)
		}
		failed++
	}
	if n := m.Count(sessionstore.EventEmergencyBegan); n != 0 || m.Store().Name() != "postgres" {
		t.Errorf("%d emergencies; the store is %s", n, m.Store().Name())
	}
}

// emergency loads until an emergency begins.
func emergency(t *testing.T, m *sessionstore.Manager) {
	t.Helper()
	testkit.Eventually(t, "an emergency", func() bool {
		err := load(m)
		if !errors.Is(err, sessionstore.ErrUnavailable) &&
			!errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatal(err)
		}
		return m.Store().Name() == "memory"
	})
}
