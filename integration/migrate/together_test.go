package migrate_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// lockKey is the advisory lock for the schema pgsession. It must never change,
// or programs of two versions could migrate at the same time.
const lockKey = 6900833057815368497

// Far more than ten instances need (about a quarter of a second), and less than
// one retry of goose's own lock (5 s).
const soon = 4 * time.Second

// withoutATurn fails if each of ten attempts took so long that an instance
// may have waited for a retry of goose's lock. On a busy machine one may.
func withoutATurn(t *testing.T, attempt func() time.Duration) {
	t.Helper()
	for n := 1; ; n++ {
		took := attempt()
		t.Logf("ten at once: %v", took)
		if took <= soon {
			return
		}
		if n == 10 {
			t.Fatalf("took %v, and no less before", took)
		}
	}
}

func TestTenPoolsAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	const n = 10
	withoutATurn(t, func() time.Duration {
		d := newDatabase(t)
		pools := make([]*pgxpool.Pool, n)
		for i := range pools {
			pools[i] = newPool(t, d.url)
			if err := pools[i].Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		steps := make([][]db.Step, n)
		errs := make([]error, n)
		took := atOnce(n, func(i int) {
			steps[i], errs[i] = db.Up(t.Context(), pools[i], db.Options{})
		})
		var applied []string
		for i := range n {
			if errs[i] != nil {
				t.Errorf("instance %d: %v", i, errs[i])
			}
			for _, s := range steps[i] {
				applied = append(applied, s.Name)
			}
		}
		wantMigratedOnce(t, d, strings.Join(applied, " "))
		return took
	})
}

func TestTenProcessesAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	const n = 10
	withoutATurn(t, func() time.Duration {
		d := newDatabase(t)
		outputs := make([]string, n)
		errs := make([]error, n)
		took := atOnce(n, func(i int) {
			output, err := exec.Command(program, "-database-url", d.url, "up").CombinedOutput()
			outputs[i], errs[i] = string(output), err
		})
		for i, err := range errs {
			if err != nil {
				t.Errorf("process %d: %v\n%s", i, err, outputs[i])
			}
		}
		wantMigratedOnce(t, d, strings.Join(outputs, ""))
		return took
	})
}

func TestTenAtOnceWithNothingToDoTakeNoLock(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	holdLock(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	atOnce(10, func(int) {
		if _, err := db.Up(ctx, d.pool, db.Options{}); err != nil {
			t.Error(err)
		}
	})
}

// A waiter that blocked inside a statement would make CREATE INDEX CONCURRENTLY
// wait for it, while it waits for the lock.
func TestAWaiterBlocksNoStatement(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(t, `CREATE TABLE big AS SELECT 1 AS a`)
	holder := holdLock(t, d)

	done := make(chan error, 1)
	go func() {
		_, err := db.Up(t.Context(), d.pool, db.Options{})
		done <- err
	}()
	waitForWaiter(t, d)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := holder.Exec(ctx, `CREATE INDEX CONCURRENTLY ON big (a)`); err != nil {
		t.Fatalf("the holder of the lock: %v", err)
	}
	if _, err := holder.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockKey); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the waiter: %v", err)
	}
}

// Down undoes the migration that was the latest when it began: the one before
// may have the sessions, and no caller has agreed to that.
func TestDownUndoesNoMigrationInPlaceOfAnother(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	latest, _, err := db.Version(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	holder := holdLock(t, d)
	done := make(chan error, 1)
	var steps []db.Step
	go func() {
		undone, err := db.Down(t.Context(), d.pool, db.Options{})
		steps = undone
		done <- err
	}()
	waitForWaiter(t, d)

	undo, err := db.Print(db.Backward, latest-1, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		undo, "DELETE FROM pgsession.goose_db_version WHERE version_id = " + text(latest),
		"SELECT pg_advisory_unlock_all()",
	} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil || len(steps) != 0 {
		t.Errorf("down after another one: %+v, %v", steps, err)
	}
	if now, _, err := db.Version(t.Context(), d.pool, db.Options{}); now != latest-1 || err != nil {
		t.Errorf("the version is %d, want %d: %v", now, latest-1, err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	holder := holdLock(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := db.Up(ctx, d.pool, db.Options{})
		done <- err
	}()
	waitForWaiter(t, d)
	cancel()
	err := <-done
	wantError(t, err, "another migration", "pg_terminate_backend("+text(holder.PgConn().PID())+")")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	if n := d.number(t, `SELECT count(to_regclass('pgsession.sessions'))`); n != 0 {
		t.Error("it migrated nevertheless")
	}
}

// The process is killed while it waits for another transaction in the middle of
// a migration. The backend does not listen to its client then, so the server
// notices late.
func TestAKilledProcessLeavesNoLock(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `CREATE SCHEMA pgsession`); err != nil {
		t.Fatal(err)
	}

	victim := exec.Command(program, "-database-url", d.url, "up", "-lock-timeout", "10m")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	const held = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	d.eventually(t, "the victim is stuck in the migration", `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%CREATE SCHEMA%' AND (`+held+`) = 1`)
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed
	d.eventually(t, "the lock of the dead is released", `SELECT ((`+held+`) = 0)::int`)

	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.up(t)
	wantMigratedOnce(t, d, strings.Join(migrationNames(t), " "))
}

// atOnce calls f(0) to f(n-1) concurrently and returns how long the slowest
// took.
func atOnce(n int, f func(i int)) time.Duration {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	began := time.Now()
	close(start)
	wg.Wait()
	return time.Since(began)
}

// holdLock takes the lock of the migrations in a connection of its own, until
// the end of the test.
func holdLock(t *testing.T, d *database) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, lockKey); err != nil {
		t.Fatal(err)
	}
	return conn
}

// waitForWaiter returns when another process tried to take the lock, and tried
// again.
func waitForWaiter(t *testing.T, d *database) {
	t.Helper()
	const tries = `SELECT coalesce(max(extract(epoch FROM query_start) * 1000000), 0)::bigint FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock($1)%' AND pid <> pg_backend_pid()`
	d.eventually(t, "a process tries to take the lock", tries)
	first := d.number(t, tries)
	d.eventually(t, "a process waits for the lock", `SELECT greatest((`+tries+`) - $1::bigint, 0)`,
		first)
}

// wantMigratedOnce checks the outcome, and that reports mention each migration
// exactly once.
func wantMigratedOnce(t *testing.T, d *database, reports string) {
	t.Helper()
	states, err := db.Status(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if !s.Applied {
			t.Errorf("%s is not applied", s.Name)
		}
		if n := strings.Count(reports, s.Name); n != 1 {
			t.Errorf("%s was applied %d times", s.Name, n)
		}
	}
	if n := d.number(t, `SELECT count(*) FROM pgsession.goose_db_version`); n != len(states)+1 {
		t.Errorf("the version table has %d rows, want %d", n, len(states)+1)
	}
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}
