package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A logout is one statement, and a load of a session that is there reads no
// ending.
func TestAnEndingCostsNoStatement(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(2)
	const size = "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass($1::text)::oid)"
	count := func() int { return c.sent.Count("") - c.sent.Count(size) }
	before := count()
	if _, err := c.store.Delete(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if n := count() - before; n != 1 {
		t.Errorf("a logout took %d statements", n)
	}
	before = count()
	c.load(ids[1])
	if n := count() - before; n != 1 || c.sent.Count("SessionMissing") > 0 {
		t.Errorf("a load took %d statements", n)
	}
	before = count()
	if _, err := c.store.Load(t.Context(), ids[0], 0); !errors.Is(err, store.ErrEnded) {
		t.Errorf("Load: %v, want ErrEnded", err)
	}
	if n := count() - before; n != 2 {
		t.Errorf("a load that found none took %d statements", n)
	}
}

// A logout that waits for a locked row leaves an ending too.
func TestALogoutThatWaitsLeavesAnEnding(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	release := c.lock(id)
	done := make(chan error, 1)
	go func() {
		_, err := c.store.Delete(context.WithoutCancel(t.Context()), id)
		done <- err
	}()
	testkit.Eventually(t, "the logout waits", func() bool {
		return pgtest.One[int](t, c.admin, waiting) == 1
	})
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Load(t.Context(), id, 0); !errors.Is(err, store.ErrEnded) {
		t.Errorf("Load: %v, want ErrEnded", err)
	}
}

// The ending of a revoke in a transaction of the application is part of that.
func TestAnEndingIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := testkit.NewID()
	if _, err := c.store.Create(t.Context(), store.Draft{ID: id, UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the application gives up")
	for _, result := range []error{refused, nil} {
		err := pgx.BeginFunc(t.Context(), c.pool, func(tx pgx.Tx) error {
			one := store.Selection{UserID: "ada", Handle: id.Handle()}
			if _, n, err := c.store.RevokeIn(t.Context(), tx, one); err != nil || n != 1 {
				t.Errorf("revoked %d: %v", n, err)
			}
			return result
		})
		if !errors.Is(err, result) {
			t.Fatal(err)
		}
		_, err = c.store.Load(t.Context(), id, 0)
		if result == nil && !errors.Is(err, store.ErrEnded) || result != nil && err != nil {
			t.Errorf("after %v: %v", result, err)
		}
	}
}

// Each session of a trim has its ending, also if calls for them share a load.
func TestATrimLeavesAnEndingOfEach(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const many = 300
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, user_id, authenticated_at, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), 'ada', now() - i * interval '1 s', now() + interval '1 d', now() + interval '1 d'
		FROM generate_series(1, $1::int) AS i`, many)
	ids, r, err := c.store.Revoke(t.Context(), store.Selection{UserID: "ada", Keep: 1})
	if err != nil || r.Count != many-1 {
		t.Fatal(r, err)
	}
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if _, err := c.store.Load(t.Context(), id, 0); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Load: %v, want ErrReplaced", err)
			}
		})
	}
	all.Wait()
	const endings = "SELECT count(*) FROM pgsession.endings WHERE reason = 'too_many'"
	if n := pgtest.One[int](t, c.admin, endings); n != many-1 {
		t.Errorf("%d endings, want %d", n, many-1)
	}
}

// The prune bounds the endings by age and by number. A batch takes no more than
// it may, and counts them.
func TestPruneTakesOldEndings(t *testing.T) {
	t.Parallel()
	const insert = `
		INSERT INTO pgsession.endings (n, id, reason, ended_at) OVERRIDING SYSTEM VALUE
		SELECT i, sha256(int8send(i)), 'ended', now() - $3::interval FROM generate_series($1::int8, $2::int8) AS i`
	const left = "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM pgsession.endings"
	prune := func(t *testing.T, c *crew, max, want int) {
		t.Helper()
		if n, ok, err := c.store.Prune(t.Context(), max); n != want || !ok || err != nil {
			t.Errorf("pruned %d, want %d: %v, %v", n, want, ok, err)
		}
	}
	expect := func(t *testing.T, c *crew, want string) {
		t.Helper()
		if got := pgtest.One[string](t, c.admin, left); got != want {
			t.Errorf("left: %q, want %q", got, want)
		}
	}
	t.Run("by age", func(t *testing.T) {
		t.Parallel()
		c := hire(t)
		pgtest.Exec(t, c.admin, insert, 1, 5, "7 days 1 minute")
		pgtest.Exec(t, c.admin, insert, 6, 7, "6 days 23 hours")
		pgtest.Exec(t, c.admin, insert, 8, 8, "8 days") // committed late
		prune(t, c, 3, 3)
		expect(t, c, "4 5 6 7 8")
		prune(t, c, 3, 2) // it looks at 4, 5 and 6
		prune(t, c, 3, 1)
		prune(t, c, 3, 0)
		expect(t, c, "6 7")
	})
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		c := hire(t)
		pgtest.Exec(t, c.admin, insert, 1, 7, "1 minute")
		pgtest.Exec(t, c.admin, insert, 1_000_004, 1_000_005, "1 minute")
		prune(t, c, 4, 4)
		prune(t, c, 4, 1)
		expect(t, c, "6 7 1000004 1000005")
	})
	t.Run("after the sessions", func(t *testing.T) {
		t.Parallel()
		c := hire(t)
		pgtest.Exec(t, c.admin, pgtest.Fill, 5)
		pgtest.Exec(t, c.admin, insert, 1, 5, "8 days")
		for _, want := range []int{4, 4, 2, 0} {
			prune(t, c, 4, want)
		}
		expect(t, c, "")
		if n := pgtest.One[int](t, c.admin, pgtest.Pruned); n != 5 {
			t.Errorf("the total counts %d sessions, want 5", n)
		}
	})
	t.Run("before its place", func(t *testing.T) {
		t.Parallel()
		c := hire(t)
		pgtest.Exec(t, c.admin, insert, 5, 9, "8 days")
		prune(t, c, 100, 5)
		pgtest.Exec(t, c.admin, insert, 2, 3, "8 days")
		pgtest.Exec(t, c.admin, insert, 10, 10, "1 minute")
		prune(t, c, 100, 0)
		pgtest.Exec(t, c.admin,
			"UPDATE pgsession.prune_state SET looked_at = looked_at - interval '1 day'")
		prune(t, c, 100, 2)
		expect(t, c, "10")
		pgtest.Exec(t, c.admin, "TRUNCATE pgsession.endings RESTART IDENTITY")
		pgtest.Exec(t, c.admin, insert, 1, 2, "8 days")
		prune(t, c, 100, 2)
	})
}

// While a transaction keeps what was deleted, a prune reads none of it twice.
func TestPruneReadsNoEndingTwice(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const many = 60_000
	pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.endings SET (autovacuum_enabled = off)")
	pgtest.Exec(t, c.admin, fmt.Sprintf(`
		INSERT INTO pgsession.endings (id, reason, ended_at)
		SELECT sha256(int8send(i)), 'ended', now() - interval '8 days' FROM generate_series(1, %d) AS i`, many))
	tx, err := c.admin.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM pgsession.endings LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	read := func() int {
		t.Helper()
		const explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT pgsession.prune_batch(100)"
		plan := pgtest.One[[]struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}](t, c.admin, explain)
		return plan[0].Plan.Hit + plan[0].Plan.Read
	}
	read() // reads the catalog too
	first := read()
	n := pgtest.One[int](t, c.admin, "SELECT pgsession.prune_batch($1)", many-500)
	if n != many-500 {
		t.Fatalf("pruned %d", n)
	}
	if later := read(); first == 0 || later > 2*first {
		t.Errorf("a batch after the others looked at %d pages, an early one at %d", later, first)
	}
}

// A plan that was made for an empty table is not kept when it has grown.
func TestTheEndingsAreFoundByTheirIndex(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.endings SET (autovacuum_enabled = off)")
	pgtest.Exec(t, c.admin, pgtest.Fill, 20_000) // so that plans are kept
	inner, pool, _ := c.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	var live store.ID
	copy(live[:], pgtest.One[[]byte](t, c.admin, "SELECT sha256('alive 1')"))
	miss := func() {
		if _, err := inner.Load(t.Context(), live, 0); err != nil { // measures the table
			t.Fatal(err)
		}
		for range 8 {
			_, err := inner.Load(t.Context(), testkit.NewID(), 0)
			if !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	miss()
	pgtest.Exec(t, c.admin, "VACUUM ANALYZE pgsession.endings")
	miss()
	pgtest.Exec(t, c.admin, `INSERT INTO pgsession.endings (id, reason)
		SELECT sha256(int8send(i)), 'ended' FROM generate_series(1, 100000) AS i`)
	miss()
	var rows, scans int
	testkit.Eventually(t, "the counters have arrived", func() bool {
		_, _ = pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()", pgx.QueryExecModeExec)
		const counted = `SELECT coalesce(seq_tup_read, 0), coalesce(seq_scan + idx_scan, 0)
			FROM pg_stat_user_tables WHERE relid = 'pgsession.endings'::regclass`
		if err := c.admin.QueryRow(t.Context(), counted).Scan(&rows, &scans); err != nil {
			t.Fatal(err)
		}
		return scans >= 3*8
	})
	if rows > 0 {
		t.Errorf("%d endings were read one after the other", rows)
	}
}
