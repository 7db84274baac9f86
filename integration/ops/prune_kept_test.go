package ops_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// keptTables are the tables whose rows the prune deletes when they are old,
// with statements that insert the rows $1 to $2, which have been there for $3.
var keptTables = map[string]string{
	"endings": `INSERT INTO pgsession.endings (n, id, reason, ended_at) OVERRIDING SYSTEM VALUE
		SELECT i, sha256(int8send(i)), 'ended', now() - $3::interval
		FROM generate_series($1::bigint, $2::bigint) AS i`,
	"events": `INSERT INTO pgsession.events (id, tx, kind, user_id, at) OVERRIDING SYSTEM VALUE
		SELECT i, '3', 'session login', 'ada', now() - $3::interval
		FROM generate_series($1::bigint, $2::bigint) AS i`,
	"marks": `INSERT INTO pgsession.marks (id, key, revoked_at)
		SELECT substr(sha256(int8send(i)), 1, 16), sha256('k'), now() - $3::interval
		FROM generate_series($1::bigint, $2::bigint) AS i`,
}

// keptDatabase is a database with that newest event, and without autovacuum.
func keptDatabase(t *testing.T, table string) *pgxpool.Pool {
	t.Helper()
	_, pool := database(t)
	pgtest.Exec(t, pool, "ALTER TABLE pgsession."+table+" SET (autovacuum_enabled = off)")
	if table == "events" {
		pgtest.Exec(t, pool, "INSERT INTO pgsession.events (id, kind) OVERRIDING SYSTEM VALUE"+
			" VALUES (2000000, 'session login')")
	}
	return pool
}

const keptBatch = "SELECT pgsession.prune_batch($1)"

// While a transaction keeps what was deleted, a batch reads none of it twice,
// in any of the tables.
func TestPruneReadsNoOldRowTwice(t *testing.T) {
	t.Parallel()
	for table, insert := range keptTables {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			pool := keptDatabase(t, table)
			const many = 40_000
			pgtest.Exec(t, pool, insert, 1, many, "500 days")
			tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(t.Context(), "SELECT FROM pgsession.marks LIMIT 1"); err != nil {
				t.Fatal(err)
			}
			const small = "SELECT pgsession.prune_batch(100)"
			buffers(t, pool, small) // reads the catalog too
			first := buffers(t, pool, small)
			if n := pgtest.One[int](t, pool, keptBatch, many-500); n != many-500 {
				t.Fatalf("pruned %d", n)
			}
			if later := buffers(t, pool, small); first == 0 || later > 2*first {
				t.Errorf("a batch after the others read %d pages, an early one %d", later, first)
			}
		})
	}
}

// Rows that appear before the prune's place are found within a day, also by a
// batch that is full of sessions, and pruned by those after it.
func TestPruneFindsOldRowsBeforeItsPlace(t *testing.T) {
	t.Parallel()
	for table, insert := range keptTables {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			pool := keptDatabase(t, table)
			expect := func(batch, want int) {
				t.Helper()
				if n := pgtest.One[int](t, pool, keptBatch, batch); n != want {
					t.Errorf("pruned %d, want %d", n, want)
				}
			}
			pgtest.Exec(t, pool, insert, 11, 20, "500 days")
			expect(100, 10)
			pgtest.Exec(t, pool, insert, 1, 5, "600 days")
			pgtest.Exec(t, pool, insert, 31, 32, "0 days")
			expect(100, 0)
			pgtest.Exec(t, pool, backlog, 4, 1, 0)
			pgtest.Exec(t, pool,
				"UPDATE pgsession.prune_state SET looked_at = looked_at - interval '1 day'")
			expect(2, 2) // sessions
			expect(2, 2)
			expect(3, 3)
			expect(3, 2)
			expect(3, 0)
		})
	}
}

// Rows from the future hold up none of those behind them.
func TestPrunePassesOverTheFuture(t *testing.T) {
	t.Parallel()
	for table, insert := range keptTables {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			pool := keptDatabase(t, table)
			pgtest.Exec(t, pool, insert, 1, 200, "-10 years")
			pgtest.Exec(t, pool, insert, 201, 250, "500 days")
			if n := prune(t, pool, "batch_rows => 20"); n != 50 {
				t.Errorf("pruned %d, want 50", n)
			}
			left := "SELECT count(*) FROM pgsession." + table
			if n := pgtest.One[int](t, pool, left); n < 200 || n > 201 {
				t.Errorf("%d are left, want 200", n)
			}
		})
	}
}

// After the UPDATE that a restore needs all events are of one transaction. The
// prune keeps one of them.
func TestPruneKeepsOneEventOfOneTransaction(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, keptTables["events"], 1, 10, "500 days")
	if n := pgtest.One[int](t, pool, keptBatch, 100); n != 9 {
		t.Errorf("pruned %d events, want 9", n)
	}
	if n := pgtest.One[int](t, pool, "SELECT id FROM pgsession.events"); n != 10 {
		t.Errorf("the event %d is left", n)
	}
}

// The role of the prune may have any plan turned off that the function needs.
func TestPruneTurnsItsPlansOn(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"sessions", "events", "marks", "endings"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			pool := keptDatabase(t, table)
			if table == "sessions" {
				pgtest.Exec(t, pool, backlog, 20_000, 100, 20_000)
			} else {
				pgtest.Exec(t, pool, keptTables[table], 1, 20_000, "500 days")
			}
			pgtest.Exec(t, pool, "ANALYZE pgsession."+table)
			off := pgtest.Pool(t, pool.Config().ConnString(), func(c *pgxpool.Config) {
				for _, name := range []string{
					"enable_nestloop", "enable_tidscan", "enable_indexscan", "enable_indexonlyscan",
				} {
					c.ConnConfig.RuntimeParams[name] = "off"
				}
				c.MaxConns = 1
			})
			const small = "SELECT pgsession.prune_batch(100)"
			buffers(t, off, small) // reads the catalog too
			if n := buffers(t, off, small); n > 20*100 {
				t.Errorf("a batch read %d pages", n)
			}
		})
	}
}

// A second prune returns at once under any isolation, and so does one after
// the other.
func TestPruneUnderAnyIsolation(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			url, pool := database(t)
			pgtest.Exec(t, pool, pgtest.Fill, 200)
			strict := pgtest.Pool(t, url, func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams["default_transaction_isolation"] = isolation
			})
			const callers = 4
			errs := make(chan error, callers)
			for range callers {
				go func() {
					_, err := strict.Exec(t.Context(), "CALL pgsession.prune(batch_rows => 5)")
					errs <- err
				}()
			}
			for range callers {
				if err := <-errs; err != nil {
					t.Errorf("CALL prune: %v", err)
				}
			}
			prune(t, strict, "")
			if n := pgtest.One[int](t, pool, pgtest.Expired); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}
