package citus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// waiting counts the statements of the cluster that wait for another one's
// rows.
const waiting = "SELECT count(*) FROM pg_catalog.citus_lock_waits"

// prunes runs the procedure as the pruner. It commits batch by batch, and
// several callers do the work once.
func prunes(t *testing.T, c *cluster) {
	const sessions = 5000
	pgtest.Exec(t, c.admin, pgtest.Fill, sessions)
	pruner := c.roles.Pool(t, c.roles.Pruner)
	if n := pgtest.One[int](t, pruner,
		"CALL pgsession.prune(max_rows => 100, batch_rows => 30)"); n != 100 {
		t.Errorf("deleted %d, want 100", n)
	}
	const oldest = "SELECT count(*) FROM pgsession.sessions WHERE id IN (SELECT sha256(convert_to('expired ' || i, 'UTF8')) FROM generate_series($1::int - 99, $1::int) AS i)"
	expect(t, "of the oldest that are left", pgtest.One[int](t, c.admin, oldest, sessions), 0)
	sum := 100
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for pgtest.One[int](t, c.admin, pgtest.Expired) > 0 {
				n := pgtest.One[int](t, pruner, "CALL pgsession.prune(batch_rows => 200)")
				mu.Lock()
				sum += n
				mu.Unlock()
			}
		})
	}
	running.Wait()
	expect(t, "they say they deleted", sum, sessions)
	expect(t, "the record", pgtest.One[int](t, c.admin, pgtest.Pruned), sessions)
	expect(t, "alive", pgtest.One[int](t, c.admin, pgtest.Alive), sessions)
}

// prunesNothingTouched has a prune that saw the old deadline. A touch commits
// while it waits for the row.
func prunesNothingTouched(t *testing.T, c *cluster) {
	pgtest.Exec(t, c.admin, pgtest.Fill, 3)
	pruner := c.roles.Pool(t, c.roles.Pruner)
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "UPDATE pgsession.sessions SET expires_at = now() + interval '1 hour' WHERE id = sha256('expired 2')"); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan int, 1)
	go func() { deleted <- pgtest.One[int](t, pruner, "CALL pgsession.prune()") }()
	testkit.Eventually(t, "the prune waits for the row", func() bool {
		return pgtest.One[int](t, c.admin, waiting) >= 1
	})
	if n := pgtest.One[int](t, pruner, "CALL pgsession.prune()"); n != 0 {
		t.Errorf("another one deleted %d meanwhile", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, "deleted", <-deleted, 2)
	expect(t, "the session that was touched", pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions WHERE id = sha256('expired 2')"), 1)
}

// prunesByCron has a job of pg_cron prune on the coordinator.
func prunesByCron(t *testing.T, c *cluster) {
	if pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'") == 0 {
		t.Skip("there is no pg_cron here")
	}
	pgtest.Exec(t, c.admin, pgtest.Fill, 2500)
	pgtest.Exec(t, c.admin, "CREATE EXTENSION IF NOT EXISTS pg_cron SCHEMA pg_catalog")
	pgtest.Exec(t, c.admin, c.roles.Rename(pgtest.Ops(t, "pg_cron.sql")),
		pgx.QueryExecModeSimpleProtocol)
	defer func() {
		pgtest.Exec(t, c.admin, c.roles.Rename(pgtest.Ops(t, "pg_cron_unschedule.sql")),
			pgx.QueryExecModeSimpleProtocol)
	}()
	// The shortest schedule is a minute.
	deadline := time.Now().Add(3 * time.Minute)
	for pgtest.One[int](t, c.admin, pgtest.Expired) > 0 {
		select {
		case <-time.After(time.Second):
		case <-t.Context().Done():
		}
		if time.Now().After(deadline) {
			t.Fatal("no job pruned: ", pgtest.One[string](t, c.admin, "SELECT coalesce(string_agg(DISTINCT return_message, '; '), 'none ran') FROM cron.job_run_details"))
		}
	}
	expect(t, "the record", pgtest.One[int](t, c.admin, pgtest.Pruned), 2500)
	expect(t, "alive", pgtest.One[int](t, c.admin, pgtest.Alive), 2500)
}
