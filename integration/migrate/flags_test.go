package migrate_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

func TestDryRunsOnlyRead(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	migrate(t, d.url, "up", "-dry-run").want(t, 0, `^would apply 00001_sessions\.sql\n`, "")
	if got := d.number(t,
		`SELECT count(*) FROM pg_class WHERE relname LIKE 'pgsession%'`); got != 0 {
		t.Error("a dry run has made something")
	}
	migrate(t, d.url, "down", "-dry-run").want(t, 0, `^nothing to do\n$`, "")
	d.up(t)
	migrate(t, d.url, "up", "-dry-run").want(t, 0, `^nothing to do\n$`, "")
	names := migrationNames(t)
	migrate(t, d.url, "down", "-dry-run").want(t, 0, `^would undo `+names[len(names)-1]+`\n$`, "")
	migrate(t, d.url, "validate").want(t, 0, "is what", "")

	for range names[1:] { // the first has the tables
		migrate(t, d.url, "down").want(t, 0, "undone", "")
	}
	d.exec(t, `CREATE VIEW public.live AS SELECT user_id FROM pgsession.sessions;
		CREATE TABLE public.carts (session bytea REFERENCES pgsession.sessions)`)
	migrate(t, d.url, "down", "-dry-run").want(t, 0, `\nfails as long as these depend on it: `+
		`constraint carts_session_fkey on table (public\.)?carts, view (public\.)?live\n$`, "")
	migrate(t, d.url, "down", "-yes").want(t, 1, "", "first drop what depends on it")
	d.exec(t, "DROP VIEW public.live; DROP TABLE public.carts")
	migrate(t, d.url, "down", "-yes").want(t, 0, "undone", "")
}

// A program can tell a schema that differs from a database that does not
// answer.
func TestOutputForPrograms(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	var validity struct {
		Schema      string
		Valid       bool
		Differences []string
	}
	var list []struct {
		Version int64
		Name    string
		Applied bool
		At      *string
	}
	read := func(r result, status int, v any) {
		t.Helper()
		if r.status != status {
			t.Errorf("status %d, want %d: %s", r.status, status, r.stderr)
		}
		if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
			t.Errorf("%v: %s", err, r.stdout)
		}
	}
	read(migrate(t, d.url, "validate", "-json"), 3, &validity)
	if validity.Valid || validity.Schema != "pgsession" || len(validity.Differences) != 1 {
		t.Errorf("validate: %+v", validity)
	}
	read(migrate(t, d.url, "status", "-json"), 0, &list)
	if len(list) != len(migrationNames(t)) || list[0].Applied || list[0].At != nil {
		t.Errorf("status: %+v", list)
	}
	d.up(t)
	read(migrate(t, d.url, "validate", "-json"), 0, &validity)
	if !validity.Valid || len(validity.Differences) != 0 {
		t.Errorf("validate: %+v", validity)
	}
	read(migrate(t, d.url, "status", "-json"), 0, &list)
	if !list[0].Applied || list[0].At == nil || list[0].Name != "00001_sessions.sql" {
		t.Errorf("status: %+v", list)
	}
	const nowhere = "postgres://127.0.0.1:1/x"
	migrate(t, nowhere, "validate", "-json").want(t, 1, "", "127.0.0.1")
}

// A migration waits for a lock as long as it is told to, and no longer.
func TestLockTimeoutOfTheCommand(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.sessions"); err != nil {
		t.Fatal(err)
	}
	const gaveUp = `lock timeout.*with a longer -lock-timeout`
	migrate(t, d.url, "down", "-yes", "-lock-timeout", "50ms").want(t, 1, "", gaveUp)
	// Nothing is pending: the validation waits.
	migrate(t, d.url, "up", "-lock-timeout", "50ms", "-timeout", "1m").want(t, 1, "", gaveUp)
	migrate(t, d.url, "up", "-timeout", "1m").want(t, 1, "", gaveUp)
	done := make(chan result)
	go func() { done <- migrate(t, d.url, "down", "-yes", "-lock-timeout", "10m") }()
	d.eventually(t, "it waits for longer than usual", `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock' AND now() > xact_start + interval '4 s'`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := <-done
	r.want(t, 0, "undone", "")

	if tx, err = d.pool.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.goose_db_version"); err != nil {
		t.Fatal(err)
	}
	migrate(t, d.url, "up", "-lock-timeout", "50ms", "-timeout", "1m").want(t, 1, "", gaveUp)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTimeoutOfTheCommand(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	holdLock(t, d)
	migrate(t, d.url, "up", "-timeout", "2s").want(t, 1, "", `another migration holds the lock`)
}

// The command waits for a server that is starting: it refuses connections, or
// ends them.
func TestWaitForPostgres(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	server := u.Host
	u.Host = listener.Addr().String()
	var connections atomic.Int32
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			if connections.Add(1) <= 3 {
				_ = client.Close()
				continue
			}
			go forward(client, server)
		}
	}()
	migrate(t, u.String(), "up", "-wait", "2m").want(t, 0, "applied", "")
	if connections.Load() <= 3 {
		t.Errorf("%d connections", connections.Load())
	}
	migrate(t, "postgres://127.0.0.1:1/x", "up", "-wait", "300ms").want(t, 1, "",
		`(?s)did not answer within 300ms: .*127\.0\.0\.1`)
	missing := *u
	missing.Path = "/no_such_database"
	migrate(t, missing.String(), "up", "-wait", "10m").want(t, 1, "", "no_such_database")
}

func forward(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	}()
	_, _ = io.Copy(client, upstream)
}
