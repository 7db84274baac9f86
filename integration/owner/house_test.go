// Package owner_test tests on a real Postgres which sessions end, and when.
// Revokes run beside concurrent calls and in the application's transactions.
package owner_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var daily = store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}

// house is a database of its own, with a pool of the test's.
type house struct {
	t     *testing.T
	url   string
	admin *pgxpool.Pool
}

func newHouse(t *testing.T) *house {
	t.Helper()
	url := pgtest.Database(t)
	return &house{t: t, url: pgtest.Application(t, url), admin: pgtest.Pool(t, url)}
}

// instance is a server process of the application, as far as sessions are
// concerned.
type instance struct {
	*sessionstore.Manager
	t    *testing.T
	pool *pgxpool.Pool
	sent *testkit.Statements
	// visits counts the requests, each of which has a user agent of its own.
	visits atomic.Int64

	mu     sync.Mutex
	events []sessionstore.Event
}

func (h *house) pool(configure ...func(*pgxpool.Config)) (*pgxpool.Pool, *testkit.Statements) {
	h.t.Helper()
	sent := &testkit.Statements{}
	return pgtest.Pool(h.t, h.url, append([]func(*pgxpool.Config){func(pc *pgxpool.Config) {
		pc.MaxConns = 8
		pc.ConnConfig.Tracer = sent
		pc.ConnConfig.RuntimeParams["application_name"] = "sessionstore"
	}}, configure...)...), sent
}

func (h *house) instance(change ...func(*sessionstore.Config)) *instance {
	h.t.Helper()
	pool, sent := h.pool()
	return h.over(pool, sent, change...)
}

func (h *house) over(pool *pgxpool.Pool, sent *testkit.Statements,
	change ...func(*sessionstore.Config),
) *instance {
	h.t.Helper()
	in := &instance{t: h.t, pool: pool, sent: sent}
	cfg := sessionstore.Config{
		Cookie:       sessionstore.CookieConfig{DisableMarker: true},
		Secrets:      []sessionstore.Secret{"one-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		StoreTimeout: testkit.Patience, Outage: sessionstore.OutageConfig{DisableEmergency: true},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Observer: func(_ context.Context, e sessionstore.Event) {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.events = append(in.events, e)
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	m, err := sessionstore.New(h.t.Context(), pool, cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = m.Close() })
	in.Manager = m
	return in
}

// seen returns the events of one kind.
func (in *instance) seen(kind sessionstore.EventKind) (found []sessionstore.Event) {
	in.t.Helper()
	in.check(in.Flush(context.Background()))
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, e := range in.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// visit makes a request, and returns the cookie that the browser has
// afterwards.
func (in *instance) visit(cookie string, page func(context.Context, *sessionstore.Session)) string {
	in.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.Header.Set("User-Agent", fmt.Sprintf("Test/%d", in.visits.Add(1)))
	if cookie != "" {
		r.Header.Set("Cookie", "__Host-session="+cookie)
	}
	w := httptest.NewRecorder()
	in.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			in.t.Errorf("FromContext: %v", err)
			return
		}
		page(r.Context(), s)
	})).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		cookie = c.Value
	}
	return cookie
}

// login makes a new session of a user.
func (in *instance) login(user string) (cookie string) {
	in.t.Helper()
	return in.visit("", func(ctx context.Context, s *sessionstore.Session) {
		in.check(s.Login(ctx, user))
	})
}

// who returns the user who is logged in with a cookie.
func (in *instance) who(cookie string) (user string) {
	in.t.Helper()
	in.visit(cookie, func(_ context.Context, s *sessionstore.Session) { user = s.UserID() })
	return user
}

func (in *instance) check(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Errorf("unexpected error: %v", err)
	}
}

// withRedis puts the Redis under test in front.
func withRedis(t *testing.T) func(*sessionstore.Config) {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		t.Fatal("TEST_REDIS_URL is not set: run the tests with `make test`")
	}
	return func(cfg *sessionstore.Config) {
		cfg.Cache.UseRedis, cfg.Cache.RedisURL = true, sessionstore.Secret(url)
		cfg.Cache.EncryptionKeys = []sessionstore.Secret{
			"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		}
		cfg.Cache.Freshness = 5 * time.Minute
	}
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// blocked waits until that many statements of stores wait for locks.
func (h *house) blocked(n int) {
	h.t.Helper()
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore' AND wait_event_type = 'Lock'"
	testkit.Eventually(h.t, "statements wait for a lock", func() bool {
		return pgtest.One[int](h.t, h.admin, waiting) == n
	})
}

// begin starts a transaction of the test's, which is rolled back at its end.
func (h *house) begin() pgx.Tx {
	h.t.Helper()
	tx, err := h.admin.Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}
