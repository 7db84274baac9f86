package ops_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// prune calls the procedure and returns how many it reports as deleted.
func prune(t *testing.T, pool *pgxpool.Pool, arguments string) int {
	t.Helper()
	return pgtest.One[int](t, pool, "CALL pgsession.prune("+arguments+")")
}

func TestPruneDeletesAllThatHasExpired(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 2500)
	if n := prune(t, pool, ""); n != 2500 {
		t.Errorf("deleted %d, want 2500", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Alive); n != 2500 {
		t.Errorf("%d are alive, want 2500", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Pruned); n != 2500 {
		t.Errorf("the record says %d", n)
	}
	if n := prune(t, pool, ""); n != 0 {
		t.Errorf("deleted %d of nothing", n)
	}
}

func TestPruneStopsAtItsLimits(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 50)
	for _, c := range []struct {
		arguments string
		want      int
	}{
		{"max_rows => 1", 1},
		{"max_rows => 10, batch_rows => 3", 10}, // the last batch is a smaller one
		{"max_rows => 9, batch_rows => 3", 9},
		{"max_rows => 1000000000, max_seconds => 86400, batch_rows => 100000", 30},
	} {
		if n := prune(t, pool, c.arguments); n != c.want {
			t.Errorf("prune(%s) deleted %d, want %d", c.arguments, n, c.want)
		}
	}
}

// The oldest goes first, and the prune reads the clock after each batch. With
// batches of 1 a second passes long before 100,000 are deleted, unless a batch
// takes 10 µs.
func TestPruneStopsAtItsTime(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 100_000)
	n := prune(t, pool, "max_seconds => 1, batch_rows => 1")
	if left := pgtest.One[int](t, pool, pgtest.Expired); n == 0 || left == 0 || n+left != 100_000 {
		t.Errorf("deleted %d, left %d of 100,000", n, left)
	}
}

func TestPruneRefusesAbsurdLimits(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 5)
	for limit, allowed := range map[string]string{
		"max_rows": "1 and 1000000000", "max_seconds": "1 and 86400", "batch_rows": "1 and 100000",
	} {
		for _, value := range []string{
			"0", "-1", "NULL", "9223372036854775807", "-9223372036854775808",
		} {
			_, err := pool.Exec(t.Context(), "CALL pgsession.prune("+limit+" => "+value+")")
			if code(err) != "22023" ||
				!strings.Contains(err.Error(), limit+" must be between "+allowed) {
				t.Errorf("%s => %s: %v", limit, value, err)
			}
		}
	}
	if n := pgtest.One[int](t, pool, pgtest.Expired); n != 5 {
		t.Errorf("%d are left, want 5", n)
	}
}

// Each batch is a transaction, so the procedure can't run in one.
func TestPruneInATransactionChangesNothing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 5)
	for _, sql := range []string{
		"BEGIN; CALL pgsession.prune(); COMMIT",
		// Two statements are one transaction, in pg_cron too.
		"SET lock_timeout = '1s'; CALL pgsession.prune()",
	} {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if code(err) != "2D000" {
			t.Errorf("%s: %v, want invalid transaction termination", sql, err)
		}
		_ = conn.Conn().Close(context.Background())
		conn.Release()
	}
	if n := pgtest.One[int](t, pool, pgtest.Expired); n != 5 {
		t.Errorf("%d are left, want 5", n)
	}
}

// A touch has the row, and commits after the prune has skipped it.
func TestPruneSparesWhatIsTouchedMeanwhile(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 3)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "UPDATE pgsession.sessions SET expires_at = now() + interval '1 hour' WHERE id = sha256('expired 2')"); err != nil {
		t.Fatal(err)
	}
	if n := prune(t, pool, ""); n != 2 {
		t.Errorf("deleted %d, want the other 2", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := prune(t, pool, ""); n != 0 {
		t.Errorf("then it deleted %d", n)
	}
	if n := pgtest.One[int](t, pool,
		"SELECT count(*) FROM pgsession.sessions WHERE id = sha256('expired 2')"); n != 1 {
		t.Error("the session that was touched is gone")
	}
}

// While one prune runs, the others return at once. Together they delete exactly
// what had expired.
func TestManyPrunesDoTheWorkOnce(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	const sessions = 3000
	pgtest.Exec(t, pool, pgtest.Fill, sessions)

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.sessions IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	first := make(chan int, 1)
	go func() { first <- prune(t, pool, "batch_rows => 100") }()
	testkit.Eventually(t, "the first waits to delete", func() bool {
		return pgtest.One[int](t, pool, waiting) == 1
	})
	others := pgtest.Pool(t, url, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["lock_timeout"] = "5s"
	})
	for range 5 { // they return at once, though nothing has been deleted yet
		if n := prune(t, others, "batch_rows => 100"); n != 0 {
			t.Errorf("another one deleted %d", n)
		}
	}
	if n := pgtest.One[int](t, pool, waiting); n != 1 {
		t.Errorf("%d of them wait for rows", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Now concurrently, again and again: they may alternate from batch to
	// batch.
	sum := <-first
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for pgtest.One[int](t, pool, pgtest.Expired) > 0 {
				n := prune(t, pool, "batch_rows => 7")
				mu.Lock()
				sum += n
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if sum != sessions {
		t.Errorf("they say they deleted %d, want %d", sum, sessions)
	}
	if n := pgtest.One[int](t, pool, pgtest.Pruned); n != sessions {
		t.Errorf("the record says %d", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Alive); n != sessions {
		t.Errorf("%d are alive, want %d", n, sessions)
	}
}

// A prune that is killed keeps the batches it has committed, loses the open
// one, and leaves no lock.
func TestAPruneThatIsKilledHarmsNothing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 100)
	// The 65th to be deleted: the oldest is deleted first.
	release := pgtest.HoldDelete(t, pool, "sha256('expired 36')")
	failed := make(chan error, 1)
	go func() {
		_, err := pool.Exec(context.Background(), "CALL pgsession.prune(batch_rows => 10)")
		failed <- err
	}()
	testkit.Eventually(t, "it waits in the seventh batch", func() bool {
		return pgtest.One[int](t, pool, waiting) == 1
	})
	pgtest.Exec(t, pool, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	if code(<-failed) != "57P01" {
		t.Error("it was not killed")
	}
	if n := pgtest.One[int](t, pool, pgtest.Expired); n != 40 {
		t.Errorf("%d are left, want 40", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Pruned); n != 60 {
		t.Errorf("the record says %d, want 60", n)
	}
	release()
	const locks = "SELECT count(*) FROM pg_locks WHERE relation = 'pgsession.prune_state'::regclass"
	testkit.Eventually(t, "the dead holds no lock", func() bool {
		return pgtest.One[int](t, pool, locks) == 0
	})
	if n := prune(t, pool, ""); n != 40 {
		t.Errorf("the next one deleted %d, want 40", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Alive); n != 100 {
		t.Errorf("%d are alive, want 100", n)
	}
}

func TestTheViewsCountAndNameNoUser(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, pgtest.Fill, 12)
	pgtest.Exec(t, pool,
		"UPDATE pgsession.sessions SET user_id = 'alice' WHERE id = sha256('alive 1')")
	pgtest.Exec(t, pool, "UPDATE pgsession.sessions SET pending_user_id = 'bob',"+
		" pending_since = now() WHERE id = sha256('alive 2')")
	const states = "SELECT string_agg(state || ' ' || sessions, ', ' ORDER BY state) FROM pgsession.sessions_by_state"
	if got := pgtest.One[string](t,
		pool, states); got != "anonymous 10, authenticated 1, expired 12, pending 1" {
		t.Errorf("by state: %s", got)
	}
	if n := pgtest.One[int](t, pool, "SELECT expired FROM pgsession.stats WHERE oldest_expired_at < now() - interval '11 s' AND last_prune_at IS NULL"); n != 12 {
		t.Errorf("before a prune: %d", n)
	}
	prune(t, pool, "")
	testkit.Eventually(t, "the statistics have arrived", func() bool {
		pgtest.Exec(t, pool, "ANALYZE pgsession.sessions")
		return pgtest.One[bool](t, pool, `SELECT live_rows = 12 AND updates = 2 AND hot_updates <= 2 AND table_bytes > 0 AND index_bytes > 0
			AND expired = 0 AND oldest_expired_at IS NULL AND pruned_total = 12 AND last_prune_at <= asked_at FROM pgsession.stats`)
	})
	pgtest.Exec(t, pool, "TRUNCATE pgsession.sessions; DELETE FROM pgsession.prune_state",
		pgx.QueryExecModeSimpleProtocol)
	if got := pgtest.One[string](t,
		pool, states); got != "anonymous 0, authenticated 0, expired 0, pending 0" {
		t.Errorf("by state, of nothing: %s", got)
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.stats"); n != 1 {
		t.Errorf("without its record: %d rows", n)
	}
	columns := pgtest.One[string](t, pool, `SELECT string_agg(attname, ' ') FROM pg_attribute
		WHERE attrelid IN ('pgsession.stats'::regclass, 'pgsession.sessions_by_state'::regclass)`)
	for _, secret := range []string{"id", "data", "user_id", "ip", "user_agent"} {
		if strings.Contains(" "+columns+" ", " "+secret+" ") {
			t.Errorf("a view shows %s", secret)
		}
	}
}
