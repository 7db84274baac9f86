package store_test

import (
	"log/slog"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The store waits for connections while its slots are taken. It must never need
// two at once.
func TestAHundredCallersOnASmallPool(t *testing.T) {
	t.Parallel()
	for _, size := range []int32{1, 2} {
		t.Run(string(value(size)), func(t *testing.T) {
			t.Parallel()
			c := hire(t, func(pc *pgxpool.Config) { pc.MaxConns = size })
			const callers = 100
			ids := c.sessions(callers)
			var all sync.WaitGroup
			for i, id := range ids {
				all.Go(func() {
					rec, err := c.store.Save(t.Context(), id, setting("saved", i))
					if err != nil || rec.ID != id {
						t.Errorf("save %d: %v", i, err)
						return
					}
					if rec, err = c.store.Load(t.Context(),
						id, 0); err != nil || read[int](t, rec, "saved") != i {
						t.Errorf("load %d: %v", i, err)
					}
					fresh := testkit.NewID()
					if rec, err = c.store.Rotate(t.Context(), id, fresh,
						store.Change{UserID: "alice"}); err != nil || rec.Version != 3 {
						t.Errorf("rotate %d: %v", i, err)
					}
					if rec, err = c.store.Create(t.Context(),
						store.Draft{ID: testkit.NewID()}); err != nil || rec.Version != 1 {
						t.Errorf("create %d: %v", i, err)
					}
					if err := c.store.Touch(t.Context(), []store.Touch{{ID: fresh}}); err != nil {
						t.Errorf("touch %d: %v", i, err)
					}
					if _, err := c.store.Delete(t.Context(), fresh); err != nil {
						t.Errorf("delete %d: %v", i, err)
					}
				})
			}
			all.Wait()
			if stats, err := c.store.Stats(t.Context(),
				true); err != nil || stats.Total != callers {
				t.Errorf("%d sessions, want %d: %v", stats.Total, callers, err)
			}
			if n := c.pool.Stat().TotalConns(); n > size {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func config(databaseURL string) sessionstore.Config {
	return sessionstore.Config{
		DatabaseURL: sessionstore.Secret(databaseURL),
		Secrets:     []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		// A busy machine is no outage.
		StoreTimeout: timeout,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

// named returns the database's URL, with an application_name of its own for the
// pool.
func (c *crew) named() string {
	c.t.Helper()
	u, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	query := u.Query()
	query.Set("application_name", "sessionstore")
	u.RawQuery = query.Encode()
	return u.String()
}

func TestNewLeavesThePoolToItsOwner(t *testing.T) {
	t.Parallel()
	c := hire(t)
	m, err := sessionstore.New(t.Context(), c.pool, config(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := c.pool.Ping(t.Context()); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseReleasesThePoolOfOpen(t *testing.T) {
	t.Parallel()
	c := hire(t)
	m, err := sessionstore.Open(t.Context(), config(c.named()))
	if err != nil {
		t.Fatal(err)
	}
	if n := pgtest.One[int](t, c.admin, connections); n == 0 {
		t.Fatal("there is no connection: this test sees nothing")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "the connections are closed", func() bool {
		return pgtest.One[int](t, c.admin, connections) == 0
	})
}

// A manager that can't be made leaves nothing open.
func TestOpenThatFailsReleasesItsPool(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, "DROP TABLE pgsession.prune_state CASCADE")
	if _, err := sessionstore.Open(t.Context(), config(c.named())); err == nil {
		t.Fatal("Open succeeded without a table")
	}
	testkit.Eventually(t, "the connections are closed", func() bool {
		return pgtest.One[int](t, c.admin, connections) == 0
	})
}
