package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore'"

// kill ends the stores' connections that match where, and waits until they are
// gone.
func (c *crew) kill(where string) int {
	c.t.Helper()
	const kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore' AND "
	return pgtest.One[int](c.t, c.admin, kill+where)
}

// fill opens all connections that the pool may have.
func (c *crew) fill() {
	c.t.Helper()
	for range c.pool.Config().MaxConns {
		conn, err := c.pool.Acquire(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		defer conn.Release()
		if err := conn.Ping(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// All idle connections died, as after a restart of the server or a failover.
func TestConnectionsThatDiedInThePool(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	for name, use := range map[string]func() error{
		"Load":  func() error { _, err := c.store.Load(t.Context(), id, 0); return err },
		"Touch": func() error { return c.store.Touch(t.Context(), []store.Touch{{ID: id}}) },
		"Delete": func() error {
			_, err := c.store.Delete(t.Context(), testkit.NewID())
			return err
		},
		"Prune": func() error { _, _, err := c.store.Prune(t.Context(), 10); return err },
		"Stats": func() error { _, err := c.store.Stats(t.Context(), true); return err },
		"Check": func() error { return c.store.Check(t.Context()) },
	} {
		c.fill()
		if n := c.kill("state = 'idle'"); n != int(c.pool.Config().MaxConns) {
			t.Fatalf("%d connections killed, want %d", n, c.pool.Config().MaxConns)
		}
		testkit.Eventually(t, "they are gone", func() bool {
			return pgtest.One[int](t, c.admin, connections) == 0
		})
		if err := use(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Connections to a demoted server stay read-only for as long as they live. The
// first that is used closes all. The change had no effect, so the store repeats
// it over a new one.
func TestConnectionsThatAreReadOnly(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	name := c.admin.Config().ConnConfig.Database
	pgtest.Exec(t, c.admin, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	c.pool.Reset()
	c.fill()
	pgtest.Exec(t, c.admin, "ALTER DATABASE "+name+" RESET default_transaction_read_only")

	for range 1 + c.pool.Config().MaxConns {
		if _, err := c.store.Save(t.Context(), id, setting("k", 1)); err != nil {
			t.Error(err)
		}
	}
}

// While the server stays read-only, new connections are read-only too. Many
// providers do that when a disk is full. The pool is renewed once a second at
// most, and not with every failed save. Once the server takes writes again, so
// does the store.
func TestAReadOnlyServerIsNotFloodedWithConnections(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	name := c.admin.Config().ConnConfig.Database
	pgtest.Exec(t, c.admin, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	c.pool.Reset()

	before, began := c.pool.Stat().NewConnsCount(), time.Now()
	const saves = 100
	for range saves {
		_, err := c.store.Save(t.Context(), id, setting("k", 1))
		if !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Fatalf("a save on a read-only server: %v", err)
		}
	}
	made := c.pool.Stat().NewConnsCount() - before
	// The first connection, and at most one for each renewal: the saves follow
	// each other.
	if renewals := 1 + int64(time.Since(began)/time.Second); made > 1+renewals {
		t.Errorf("%d saves made %d connections in %s, want %d at most", saves, made,
			time.Since(began), 1+renewals)
	}

	pgtest.Exec(t, c.admin, "ALTER DATABASE "+name+" RESET default_transaction_read_only")
	testkit.Eventually(t, "saves succeed again", func() bool {
		_, err := c.store.Save(t.Context(), id, setting("k", 2))
		return err == nil
	})
}

// A load, a touch or a delete can be repeated when its connection dies.
func TestConnectionsThatDieInUse(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	for name, use := range map[string]func() error{
		"Load": func() error {
			rec, err := c.store.Load(t.Context(), id, 0)
			if err == nil && rec.ID != id {
				err = errors.New("another session")
			}
			return err
		},
		"Touch": func() error { return c.store.Touch(t.Context(), []store.Touch{{ID: id}}) },
		"Delete": func() error {
			_, err := c.store.Delete(t.Context(), testkit.NewID())
			return err
		},
	} {
		tx, err := c.admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.sessions"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- use() }()
		testkit.Eventually(t, name+" waits", func() bool {
			return pgtest.One[int](t, c.admin, waiting) == 1
		})
		if n := c.kill("wait_event_type = 'Lock'"); n != 1 {
			t.Fatalf("%s: %d connections killed, want 1", name, n)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The outcome of a write is unknown when its connection dies. It is not
// repeated, or it could be made twice.
func TestAWriteWhoseConnectionDies(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	for name, write := range map[string]func() error{
		"Save": func() error {
			_, err := c.store.Save(t.Context(), id, setting("k", 1))
			return err
		},
		"Rotate": func() error {
			_, err := c.store.Rotate(t.Context(), id, testkit.NewID(), store.Change{})
			return err
		},
	} {
		unlock := c.lock(id)
		done := make(chan error, 1)
		go func() { done <- write() }()
		testkit.Eventually(t, name+" waits", func() bool {
			return pgtest.One[int](t, c.admin, waiting) == 1
		})
		c.kill("wait_event_type = 'Lock'")
		if err := <-done; !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		unlock()
		if rec := c.load(id); rec.Version != 1 {
			t.Errorf("%s was made: version %d", name, rec.Version)
		}
	}
}

// A server that keeps a statement waiting keeps a request waiting for the
// store's timeout at most.
func TestAStatementThatTakesTooLong(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const patience = 300 * time.Millisecond
	store, pool, _ := c.another(patience, func(pc *pgxpool.Config) { pc.MaxConns = 2 })
	ids := c.sessions(3)
	unlock := c.lock(ids...)

	began := time.Now()
	failed := make(chan error, len(ids))
	for _, id := range ids {
		go func() {
			_, err := store.Save(context.Background(), id, setting("k", 1))
			failed <- err
		}()
	}
	for range ids {
		err := <-failed
		if !errors.Is(err, sessionstore.ErrUnavailable) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrUnavailable and DeadlineExceeded", err)
		}
	}
	if took := time.Since(began); took < patience || took > timeout {
		t.Errorf("it took %v, want about %v", took, patience)
	}
	testkit.Eventually(t, "the server has given up, too", func() bool {
		return pgtest.One[int](t, c.admin, waiting) == 0
	})

	// The connections that hung are replaced.
	testkit.Eventually(t, "no connection is in use", func() bool {
		return pool.Stat().AcquiredConns() == 0
	})
	unlock()
	for _, id := range ids {
		if rec := c.load(id); rec.Version != 1 {
			t.Errorf("a save that was given up was made: version %d", rec.Version)
		}
		// Within its timeout, which may be too short on a busy machine.
		testkit.Eventually(t, "saves are made again", func() bool {
			_, err := store.Save(t.Context(), id, setting("k", 2))
			return err == nil
		})
	}
}
