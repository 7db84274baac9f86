package migrate_test

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/pgsimple"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var expiry = store.Expiry{Idle: week, Absolute: 30 * 24 * time.Hour}

// importExpress runs the import in this process.
func (n *node) importExpress(t *testing.T, change ...func(*pgsimple.Options)) (pgsimple.Result,
	error,
) {
	o := pgsimple.Options{Users: []string{"userId"}, Zone: "UTC", Expiry: expiry}
	for _, c := range change {
		c(&o)
	}
	r, err := pgsimple.Import(t.Context(), n.pool, o)
	r.Took = 0
	return r, err
}

// wantImport imports, and compares what became of how many rows.
func (n *node) wantImport(t *testing.T, want pgsimple.Result) {
	t.Helper()
	if got, err := n.importExpress(t); err != nil || got != want {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
}

func batchOf(rows int) func(*pgsimple.Options) {
	return func(o *pgsimple.Options) { o.Batch = rows }
}

// fill inserts sessions of user 1 to user count.
func (n *node) fill(t *testing.T, count int) {
	t.Helper()
	if _, err := n.pool.Exec(t.Context(), `
		INSERT INTO session SELECT 'the-session-of-the-user-' || i,
			json_build_object('cookie', json_build_object('originalMaxAge', 3600000), 'userId', i),
			timezone('UTC', now()) + interval '1 hour'
		FROM generate_series(1, $1::integer) AS i`, count); err != nil {
		t.Fatal(err)
	}
}

func (n *node) store1() *postgres.Store { return postgres.New(n.pool, expiry, 30*time.Second) }

func (n *node) revoke(t *testing.T, user string) {
	t.Helper()
	_, r, err := n.store1().Revoke(t.Context(),
		store.Selection{UserID: user, Mark: store.NewMarkID()})
	if err != nil || !r.Committed {
		t.Errorf("revoke of %s: %+v, %v", user, r, err)
	}
}

const here = `SELECT count(*) FROM pgsession.sessions`

// Rows that have expired stay where they are, however many they are.
func TestImportPassesOverDeadRows(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const dead = 200_000
	n.exec(t, `INSERT INTO session SELECT 'a-session-that-is-over-' || i, '{"cookie":{},"userId":1}', timezone('UTC', now()) - interval '1 day'
		FROM generate_series(1, 200000) AS i`)
	n.fill(t, 10)
	n.exec(t, `DROP INDEX "IDX_session_expire"`) // versions before 6.1.0 made none
	n.wantImport(t, pgsimple.Result{Moved: 10, Users: 10, Expired: dead})
	if got := n.left(t); got != dead {
		t.Errorf("%d rows are left, want %d", got, dead)
	}
}

func TestImportsAtTheSameTime(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const users = 1000
	n.fill(t, users)
	var wg sync.WaitGroup
	var results [3]pgsimple.Result
	var errs [3]error
	for i := range results {
		wg.Go(func() { results[i], errs[i] = n.importExpress(t, batchOf(20)) })
	}
	wg.Wait()
	moved := 0
	for i, r := range results {
		moved += r.Moved
		if errs[i] != nil || r.Bad+r.Here+r.Ended+r.Revoked+r.Empty != 0 {
			t.Errorf("%+v, %v", r, errs[i])
		}
	}
	if moved != users || n.left(t) != 0 || n.number(t, here) != users {
		t.Errorf("moved %d, left %d, here %d, want %d moved", moved, n.left(t), n.number(t, here),
			users)
	}
}

// A session is in one of the two tables, whenever the import ends.
func TestImportThatIsKilledIsResumed(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const users = 2000
	n.fill(t, users)
	cmd := exec.Command(program, "-database-url", n.url, "import", "express", "-batch", "5")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.eventually(t, "some have moved", `SELECT (count(*) >= 10)::int FROM pgsession.sessions`)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	n.eventually(t, "its connection ended", `SELECT (count(*) = 0)::int FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = '' AND state LIKE 'idle in%'`)
	moved, left := n.number(t, here), n.left(t)
	if moved+left != users || left == 0 {
		t.Errorf("%d here and %d there, want %d in all", moved, left, users)
	}

	ctx, stop := context.WithCancel(t.Context())
	o := pgsimple.Options{
		Users: []string{"userId"}, Zone: "UTC", Expiry: expiry, Batch: 5,
		Progress: func(pgsimple.Result) { stop() },
	}
	r, err := pgsimple.Import(ctx, n.pool, o)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(),
		"run it again to go on") || r.Moved != 5 {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
	if got := n.number(t, here) + n.left(t); got != users {
		t.Errorf("%d in all, want %d", got, users)
	}
	n.wantImport(t, pgsimple.Result{Moved: left - 5, Users: left - 5})
	if n.number(t, here) != users {
		t.Errorf("%d are here, want %d", n.number(t, here), users)
	}
}

// When a user of Express logged in is unknown, so a revoke may be later.
func TestImportRevivesNoRevokedUser(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fill(t, 3)
	n.storeRaw(t, newSID(), `{"seen":true}`, time.Now().Add(time.Hour))
	n.revoke(t, "2")
	n.wantImport(t, pgsimple.Result{Moved: 3, Users: 2, Revoked: 1})
	if _, err := n.load(t, "the-session-of-the-user-2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session of the user who was revoked: %v", err)
	}
	n.revoke(t, "1") // a later one ends the session that has moved
	if _, err := n.load(t, "the-session-of-the-user-1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session of the user who was revoked later: %v", err)
	}
	n.wantImport(t, pgsimple.Result{Revoked: 1})

	n.fill2(t, "of all", 5)
	if _, _, err := n.store1().Revoke(t.Context(),
		store.Selection{All: true, Mark: store.NewMarkID()}); err != nil {
		t.Fatal(err)
	}
	n.wantImport(t, pgsimple.Result{Revoked: 6})
}

func (n *node) fill2(t *testing.T, user string, count int) {
	t.Helper()
	for range count {
		n.store(t, newSID(), `{"userId":"`+user+`"}`, time.Hour)
	}
}

// A revoke that is under way is waited for, also where a transaction would not
// see by default what was committed since it began.
func TestImportWaitsForARevoke(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fill(t, 1)
	key := postgres.MarkKeys("1")[1]
	mark := store.NewMarkID()
	tx, err := n.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `INSERT INTO pgsession.marks (id, key) VALUES ($1, $2)`,
		mark[:], key); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		r   pgsimple.Result
		err error
	}
	done := make(chan outcome)
	pool := newPool(t, n.with(t, "default_transaction_isolation", `repeatable\ read`))
	go func() {
		o := pgsimple.Options{Users: []string{"userId"}, Zone: "UTC", Expiry: expiry}
		r, err := pgsimple.Import(t.Context(), pool, o)
		done <- outcome{r, err}
	}()
	n.eventually(t, "the import waits",
		`SELECT count(*) FROM pg_locks WHERE relation = 'pgsession.marks'::regclass AND NOT granted`)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.r.Revoked != 1 || got.r.Moved != 0 {
		t.Errorf("%+v, %v", got.r, got.err)
	}
	if n.number(t, here) != 0 {
		t.Error("the session was revived")
	}
}

// Users are revoked while their sessions move.
func TestImportAmongRevokes(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const users = 60
	n.fill(t, users)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := n.importExpress(t, batchOf(1)); err != nil {
			t.Error(err)
		}
	})
	for i := range users {
		wg.Go(func() { n.revoke(t, strconv.Itoa(i+1)) })
	}
	wg.Wait()
	if got := n.number(t, here); got != 0 {
		t.Errorf("%d sessions of users who were revoked are alive", got)
	}
}

// What is or was here already is not moved a second time.
func TestImportOfASessionThatIsKnown(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fill(t, 3)
	n.wantImport(t, pgsimple.Result{Moved: 3, Users: 3})
	id := idOf("the-session-of-the-user-2")
	if _, err := n.store1().Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	n.fill(t, 3) // as a copy that stayed behind
	n.wantImport(t, pgsimple.Result{Here: 2, Ended: 1})
	if n.left(t) != 0 || n.number(t, here) != 2 {
		t.Errorf("%d there, %d here, want 0 and 2", n.left(t), n.number(t, here))
	}
}

// A row that the application writes to is left to a later run, with what was
// written.
func TestImportLeavesALockedRow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fill(t, 2)
	tx, err := n.pool.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	const write = `UPDATE session SET sess = '{"userId":1,"written":true}' WHERE sid LIKE '%-1'`
	if _, err := tx.Exec(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	n.wantImport(t, pgsimple.Result{Moved: 1, Users: 1, Locked: 1})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.wantImport(t, pgsimple.Result{Moved: 1, Users: 1})
	got := n.wantLive(t, "the-session-of-the-user-1")
	if !strings.Contains(string(got.Data), `"written"`) {
		t.Errorf("what the application wrote is lost: %s", got.Data)
	}
}

func TestImportThatFindsNoTime(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fill(t, 2)
	migrate(t, n.with(t, "statement_timeout", "1"), "import", "express").want(t, 1, "",
		`nothing is lost: run it again`)
	tx, err := n.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE session`); err != nil {
		t.Fatal(err)
	}
	migrate(t, n.url, "import", "express").want(t, 1, "",
		`nothing is lost: run it again when that has ended`)
}
