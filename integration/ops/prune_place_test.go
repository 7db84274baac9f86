package ops_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// backlog makes $1 expired sessions of $2 deadlines, and $3 that are alive,
// each as large as a real one.
const backlog = `
	INSERT INTO pgsession.sessions (id, user_id, data, created_at, expires_at, absolute_expires_at)
	SELECT sha256(convert_to('expired ' || i, 'UTF8')), 'user ' || i % 1000, jsonb_build_object('cart', repeat('x', 200)),
		now() - interval '2 days', now() - interval '1 day' + i % $2::int * interval '1 ms', now() + interval '1 day'
	FROM generate_series(1, $1::int) AS i
	UNION ALL
	SELECT sha256(convert_to('alive ' || i, 'UTF8')), 'user ' || i % 1000, jsonb_build_object('cart', repeat('x', 200)),
		now(), now() + interval '1 day' + i * interval '1 ms', now() + interval '2 days'
	FROM generate_series(1, $3::int) AS i`

// buffers counts the pages that a statement read.
func buffers(t *testing.T, pool *pgxpool.Pool, sql string) int {
	t.Helper()
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	raw := pgtest.One[string](t, pool, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql)
	if err := json.Unmarshal([]byte(raw), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}

// quiet turns autovacuum off for the tables, so that it cleans up nothing by
// chance.
const quiet = "ALTER TABLE pgsession.sessions SET (autovacuum_enabled = off); "

// While an old transaction is open, a batch does not read what earlier ones
// deleted. Nor do the views.
func TestPruneReadsNothingTwice(t *testing.T) {
	t.Parallel()
	readsNothingTwice(t, 100)
}

// The same with one deadline for all, and with as many as sessions.
//
// Slow: each makes 100,000 sessions.
func TestSlowPruneReadsNothingTwice(t *testing.T) {
	t.Parallel()
	readsNothingTwice(t, 1, 50_000)
}

func readsNothingTwice(t *testing.T, numbers ...int) {
	for _, deadlines := range numbers {
		t.Run(fmt.Sprint(deadlines), func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			pgtest.Exec(t, pool, quiet)
			pgtest.Exec(t, pool, backlog, 50_000, deadlines, 50_000)
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(t.Context(),
				"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1"); err != nil {
				t.Fatal(err)
			}
			const batch = 500
			for i := range 80 {
				if n := buffers(t, pool, "SELECT pgsession.prune_batch(500)"); n > 20*batch {
					t.Errorf("batch %d looked at %d pages", i+1, n)
				}
			}
			if n := pgtest.One[int](t, pool, pgtest.Pruned); n != 80*batch {
				t.Errorf("%d are deleted", n)
			}
			if n := pgtest.One[int](t, pool, "SELECT expired FROM pgsession.stats"); n != 10_000 {
				t.Errorf("the view counts %d, want 10,000", n)
			}
			for {
				if pgtest.One[int](t, pool, "SELECT pgsession.prune_batch(500)") < batch {
					break
				}
			}
			for name, sql := range map[string]string{
				"stats":  "SELECT * FROM pgsession.stats",
				"alarms": pgtest.Ops(t, "alarms.sql"),
				"health": "SELECT pgsession.count_expired(10000)",
			} {
				if n := buffers(t, pool, sql); n > 2000 {
					t.Errorf("%s looked at %d pages, with nothing to count", name, n)
				}
			}
			if n := pgtest.One[int](t, pool, pgtest.Expired); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}

// A bulk expiry by UPDATE makes the statistics wrong, in one connection that
// has pruned before. No batch reads the whole table.
func TestPruneAfterABulkExpiry(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	pgtest.Exec(t, pool, quiet)
	pgtest.Exec(t, pool, backlog, 20, 20, 60_000)
	pgtest.Exec(t, pool, "ANALYZE pgsession.sessions")
	one := pgtest.Pool(t, url, func(c *pgxpool.Config) { c.MaxConns = 1 })
	for range 8 {
		pgtest.Exec(t, one, "SELECT pgsession.prune_batch(1)")
	}
	pgtest.Exec(t, one, "UPDATE pgsession.sessions SET expires_at = now()")
	for i := range 20 {
		if n := buffers(t, one, "SELECT pgsession.prune_batch(100)"); n > 2500 {
			t.Errorf("batch %d looked at %d pages", i+1, n)
		}
	}
	if n := pgtest.One[int](t, one, "SELECT expired FROM pgsession.stats"); n != 10_000 {
		t.Errorf("the view counts %d", n)
	}
}

// One locked row, the oldest of all, keeps no other from being pruned. It is
// pruned when its lock is released.
func TestPrunePassesOverALockedRow(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 1000)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		"SELECT FROM pgsession.sessions WHERE id = sha256('expired 1000') FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if n := prune(t, pool, "batch_rows => 100"); n != 999 {
		t.Errorf("deleted %d, want 999", n)
	}
	if n := prune(t, pool, ""); n != 0 {
		t.Errorf("deleted %d, and it is locked", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := prune(t, pool, ""); n != 1 {
		t.Errorf("then deleted %d, want 1", n)
	}
}

// Rows appear behind the prune's position: an import, a late commit, a bulk
// expiry. A prune with nothing else to do finds them at once, and a busy one
// with its tenth run.
func TestPruneFindsWhatAppearsBeforeItsPlace(t *testing.T) {
	t.Parallel()
	const late = `
		INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('late ' || i, 'UTF8')), now() - interval '9 days', now() - interval '7 days', now() FROM generate_series(1, 7) AS i`
	const fresh = `
		INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('fresh ' || clock_timestamp(), 'UTF8')), now() - interval '1 day', now(), now()`
	const left = `SELECT count(*) FROM pgsession.sessions
		WHERE expires_at < now() - interval '6 days'`

	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		_, pool := database(t)
		pgtest.Exec(t, pool, pgtest.Fill, 100)
		if n := prune(t, pool, ""); n != 100 {
			t.Fatalf("deleted %d", n)
		}
		pgtest.Exec(t, pool, late)
		if n := prune(t, pool, ""); n != 7 {
			t.Errorf("deleted %d, want 7", n)
		}
		pgtest.Exec(t, pool,
			"UPDATE pgsession.sessions SET expires_at = created_at - interval '20 days'")
		if n := prune(t, pool, "batch_rows => 30"); n != 100 {
			t.Errorf("after a bulk expiry: deleted %d, want 100", n)
		}
	})
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		_, pool := database(t)
		pgtest.Exec(t, pool, pgtest.Fill, 100)
		prune(t, pool, "")
		pgtest.Exec(t, pool, late)
		for range 10 {
			pgtest.Exec(t, pool, fresh)
			prune(t, pool, "")
		}
		if n := pgtest.One[int](t, pool, left); n != 0 {
			t.Errorf("after ten runs %d are left", n)
		}
	})
	t.Run("never done", func(t *testing.T) {
		t.Parallel()
		_, pool := database(t)
		pgtest.Exec(t, pool, pgtest.Fill, 100)
		pgtest.Exec(t, pool, "SELECT pgsession.prune_batch(1)")
		pgtest.Exec(t, pool, late)
		// As after 1000 batches of each of nine runs.
		pgtest.Exec(t, pool, "UPDATE pgsession.prune_state SET runs = 9, run_batches = 999")
		for range 2 + 7 {
			pgtest.Exec(t, pool, "SELECT pgsession.prune_batch(1)")
		}
		if n := pgtest.One[int](t, pool, left); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// Rows of two partitions can have the same ctid, and a batch deletes by ctid.
func TestPruneOfAPartitionedTableLeavesLiveSessions(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, `CREATE TABLE pgsession.more () INHERITS (pgsession.sessions)`)
	pgtest.Exec(t, pool, backlog, 50, 50, 0)
	pgtest.Exec(t, pool, `INSERT INTO pgsession.more (id, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('more ' || i, 'UTF8')), now() + interval '1 day', now() + interval '2 days'
		FROM generate_series(1, 50) AS i`)
	pruned := pgtest.One[int](t, pool, "SELECT pgsession.prune_batch(1000)")
	alive := pgtest.One[int](t, pool,
		"SELECT count(*)::int FROM pgsession.sessions WHERE expires_at > now()")
	if pruned != 50 || alive != 50 {
		t.Errorf("%d sessions pruned, %d alive; want 50 and 50", pruned, alive)
	}
}
