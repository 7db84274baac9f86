// Package pooler_test runs the library through PgBouncer in transaction mode.
package pooler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

const (
	timeout = testkit.Patience
	// The parameter that docs/operations/postgres.md adds to DATABASE_URL.
	execMode = "default_query_exec_mode=exec"
)

// pooled starts a PgBouncer with a pool of two in front of a database with the
// schema.
func pooled(t *testing.T) (direct, through string) {
	t.Helper()
	direct = pgtest.Database(t)
	server, err := servers.PgBouncer(t.Context(), servers.Options{Logf: t.Logf},
		pgtest.Application(t, direct), map[string]string{"default_pool_size": "2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return direct, server.URL
}

func with(databaseURL, setting string) string {
	if strings.Contains(databaseURL, "?") {
		return databaseURL + "&" + setting
	}
	return databaseURL + "?" + setting
}

// open makes a pool as an application does, with nothing but the URL.
func open(t *testing.T, databaseURL string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type aged struct {
	*postgres.Store
	expiry store.Expiry
}

// The whole contract of a store holds through PgBouncer.
func TestTheContractThroughPgBouncer(t *testing.T) {
	direct, through := pooled(t)
	behind, front := pgtest.Pool(t, direct), open(t, with(through, execMode+"&pool_max_conns=20"))
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			pgtest.Exec(t, behind, "TRUNCATE pgsession.sessions, pgsession.marks")
			pgtest.Exec(t, behind,
				"UPDATE pgsession.prune_state SET last_prune_at = NULL, pruned_total = 0")
			return &aged{postgres.New(front, e, timeout), e}
		},
		Age: func(t *testing.T, _ store.Store, id store.ID, d time.Duration) {
			if pgtest.Exec(t, behind, pgtest.Age, id[:], d.Seconds()) != 1 {
				t.Fatal("no session to age")
			}
		},
		Peer: func(_ *testing.T, s store.Store) store.Store {
			return postgres.New(front, s.(*aged).expiry, timeout)
		},
	})
}

// Two hundred callers share two connections to Postgres, and each gets its own
// answers.
func TestTwoHundredCallersOverTwoConnections(t *testing.T) {
	direct, through := pooled(t)
	inner := postgres.New(open(t, with(through, execMode+"&pool_max_conns=50")),
		store.Expiry{Idle: time.Hour, Absolute: time.Hour}, timeout)
	var wg sync.WaitGroup
	for caller := range 200 {
		wg.Go(func() {
			ctx := t.Context()
			id := store.ID{byte(caller), byte(caller >> 8), 1}
			user := "user " + string(rune('A'+caller%26))
			if _, err := inner.Create(ctx, store.Draft{ID: id, UserID: user}); err != nil {
				t.Errorf("Create: %v", err)
				return
			}
			for range 10 {
				rec, err := inner.Load(ctx, id, 0)
				if err != nil || rec.ID != id || rec.UserID != user {
					t.Errorf("Load: %v, the session of another user: %v", err,
						rec.ID != id || rec.UserID != user)
					return
				}
				if err := inner.Touch(ctx, []store.Touch{{ID: id}}); err != nil {
					t.Errorf("Touch: %v", err)
				}
			}
			if _, err := inner.Delete(ctx, id); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if _, err := inner.Load(ctx, id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("Load after Delete: %v", err)
			}
		})
	}
	wg.Wait()
	behind := pgtest.Pool(t, direct)
	if n := pgtest.One[int64](t, behind, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if n := pgtest.One[int64](t, behind, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); n > 2 {
		t.Errorf("%d connections to Postgres, want 2 at most", n)
	}
}

// Without the setting New logs a warning. With it, or without a pooler, it logs
// none.
func TestThePoolerIsNamedAtTheStart(t *testing.T) {
	direct, through := pooled(t)
	for _, tt := range []struct {
		name, url string
		warned    bool
	}{
		{"prepared statements through the pooler", through, true},
		{"none through the pooler", with(through, execMode), false},
		{"prepared statements without a pooler", direct, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			m, err := sessionstore.Open(t.Context(), sessionstore.Config{
				Env: sessionstore.Development, DatabaseURL: sessionstore.Secret(tt.url),
				StoreTimeout: timeout, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			got := strings.Contains(log.String(), "default_query_exec_mode=exec")
			if got != tt.warned {
				t.Errorf("warned: %v, want %v:\n%s", got, tt.warned, log.String())
			}
		})
	}
}
