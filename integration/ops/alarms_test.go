package ops_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

// Each alarm fires for its own cause, and for no other.
func TestTheAlarms(t *testing.T) {
	// A server of its own: other tests leave transactions open, and this one
	// changes settings.
	t.Setenv("DATABASE_URL", "")
	server, err := servers.Postgres(t.Context(),
		servers.Options{Logf: t.Logf, Settings: map[string]string{
			"max_prepared_transactions": "5", "autovacuum": "off",
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	admin := pgtest.Pool(t, server.URL, func(c *pgxpool.Config) {
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	})
	migrated(t, admin)
	must(t, admin, pgtest.Ops(t, "roles.sql"))
	must(t, admin, "CREATE ROLE watcher LOGIN IN ROLE pgsession_monitor, pg_monitor")
	watcher := pgtest.Pool(t, server.URL, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["role"] = "watcher"
	})

	file := pgtest.Ops(t, "alarms.sql")
	// so that the test does not wait
	soon := strings.NewReplacer("'5 minutes'", "'-1 second'", "OPERATOR(pg_catalog.>) 1000000",
		"OPERATOR(pg_catalog.>) -1").Replace(file)
	if soon == file {
		t.Fatal("the file has other limits")
	}
	raised := func(sql string) string {
		t.Helper()
		rows, err := watcher.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		type alarm struct{ Alarm, Detail, Advice string }
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[alarm])
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, a := range found {
			if a.Detail == "" || a.Advice == "" {
				t.Errorf("%s does not say what, or what to do", a.Alarm)
			}
			all = append(all, a.Alarm+": "+a.Detail)
		}
		return strings.Join(all, "\n")
	}
	wants := func(sql string, want ...string) {
		t.Helper()
		got := raised(sql)
		if len(want) == 0 && got != "" || len(want) > 0 && strings.Count(got, "\n")+1 != len(want) {
			t.Errorf("raised:\n%s\nwant: %q", got, want)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("raised:\n%s\nwant: %s", got, w)
			}
		}
	}
	wants(file)

	pgtest.Exec(t, admin, "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('a'), now() - interval '59 minutes', now())")
	wants(file)
	pgtest.Exec(t, admin,
		"UPDATE pgsession.sessions SET expires_at = now() - interval '61 minutes'")
	wants(file, "prune: a session that expired at 2")
	pgtest.Exec(t, admin, "SELECT pgsession.prune_batch(10)")
	wants(file)

	pgtest.Exec(t, admin, "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) SELECT sha256(i::text::bytea), now() + interval '1 h', now() + interval '1 h' FROM generate_series(1, 6000) AS i")
	pgtest.Exec(t, admin, "UPDATE pgsession.sessions SET last_seen_at = now()")
	testkit.Eventually(t, "the dead rows are reported", func() bool {
		pgtest.Exec(t, admin, "SELECT 1") // an idle connection keeps its counters for longer
		return strings.HasPrefix(raised(file), "dead rows: pgsession.sessions has 60")
	})
	// Autovacuum is off here, and nothing has analyzed the table.
	unhurried := strings.Replace(file, "interval '60 minutes'", "interval '-1 minute'", 1)
	testkit.Eventually(t, "the changed rows are reported", func() bool {
		pgtest.Exec(t, admin, "SELECT 1")
		return strings.Contains(raised(unhurried),
			"late analyze: pgsession.sessions has 1200") // 6,000 inserts and as many updates
	})
	pgtest.Exec(t, admin, "ANALYZE pgsession.sessions")
	testkit.Eventually(t, "its statistics are new", func() bool {
		return !strings.Contains(raised(unhurried), "late analyze: pgsession.sessions ")
	})
	pgtest.Exec(t, admin, "VACUUM pgsession.sessions")
	testkit.Eventually(t, "they are gone", func() bool { return raised(file) == "" })
	// Every other table of the schema counts too.
	tables := pgtest.One[[]string](t, admin, "SELECT array_agg(relname::text) FROM pg_class"+
		" WHERE relnamespace = 'pgsession'::regnamespace AND relkind = 'r' AND relname <> 'sessions'")
	if len(tables) < 4 {
		t.Errorf("only the tables %v", tables)
	}
	few := strings.Replace(file, "(5000 OPERATOR(pg_catalog.+) (s.live_rows",
		"(-1 OPERATOR(pg_catalog.-) (s.live_rows", 1)
	for _, table := range tables {
		if got := raised(few); !strings.Contains(got, "dead rows: pgsession."+table+" has ") {
			t.Errorf("no alarm about %s:\n%s", table, got)
		}
	}

	pgtest.Exec(t, admin,
		"INSERT INTO pgsession.marks (id, key) VALUES (substr(sha256('m'), 1, 16), sha256('k'))")
	wants(file)
	pgtest.Exec(t, admin, "UPDATE pgsession.marks SET revoked_at = now() + interval '1 hour'")
	wants(file, "revoke from the future: a revoke has the time 2")
	pgtest.Exec(t, admin, "DELETE FROM pgsession.marks")
	pgtest.Exec(t, admin, "INSERT INTO pgsession.events (kind) VALUES ('session login')")
	wants(file)
	pgtest.Exec(t, admin, "UPDATE pgsession.events SET at = now() + interval '1 hour'")
	wants(file, "event from the future: an event has the time 2")
	pgtest.Exec(t, admin, "DELETE FROM pgsession.events")

	// The transaction of the monitor itself counts too, while it asks.
	const own = "old transaction: process "
	wants(soon, own)
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	wants(soon, own, "of postgres in pgsession, idle in transaction, holds what died since 2")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, admin, "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'")
	wants(soon, own, "prepared transaction forgotten in pgsession holds what died since 2")
	pgtest.Exec(t, admin, "ROLLBACK PREPARED 'forgotten'")
	pgtest.Exec(t, admin, "SELECT pg_create_physical_replication_slot('forgotten')")
	wants(soon, own) // it holds nothing until a standby reports what it needs
	pgtest.Exec(t, admin, "SELECT pg_create_physical_replication_slot('kept', true)")
	wants(file)
	kept := strings.Replace(file,
		"pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size'))", "-1", 1)
	wants(kept, "inactive slot: replication slot kept has no reader and keeps ")
	pgtest.Exec(t, admin, "SELECT pg_drop_replication_slot('kept')")
	end := feedback(t, server.URL, admin)
	wants(soon, own, "old transaction: standby reader of process ")
	end()
	testkit.Eventually(t, "the standby has left", func() bool {
		return pgtest.One[int](t, admin, "SELECT count(*) FROM pg_stat_replication") == 0
	})

	invalidIndexes(t, admin, wants, file)

	aged := strings.Replace(file, "OPERATOR(pg_catalog.>) (1.5 OPERATOR(pg_catalog.*) pg_catalog.current_setting('autovacuum_freeze_max_age')::numeric)", "OPERATOR(pg_catalog.>) 3", 1)
	for range 10 {
		pgtest.Exec(t, admin, "SELECT pg_current_xact_id()")
	}
	old := raised(aged)
	for _, table := range append(tables, "sessions") {
		if !strings.Contains(old, "transaction ids: pgsession."+table+" holds ids ") {
			t.Errorf("no alarm about %s:\n%s", table, old)
		}
		pgtest.Exec(t, admin, "VACUUM (FREEZE) pgsession."+table)
	}
	if !strings.Contains(old, "transaction ids: pg_toast.pg_toast_") {
		t.Errorf("no alarm about a table of large values:\n%s", old)
	}
	wants(aged)

	pgtest.Exec(t, admin, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	pgtest.Exec(t, admin, "SELECT pg_reload_conf()")
	testkit.Eventually(t, "that no standby answers is seen", func() bool {
		return raised(file) == "no synchronous standby: every commit waits for one of nobody"
	})
}

// invalidIndexes leaves an index behind as a CREATE INDEX CONCURRENTLY that
// failed does, and then as a REINDEX does.
func invalidIndexes(
	t *testing.T, admin *pgxpool.Pool, wants func(sql string, want ...string), file string,
) {
	t.Helper()
	_, err := admin.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY twice_idx ON"+
		" pgsession.sessions ((data IS NULL))")
	if code(err) != "23505" {
		t.Fatalf("the index was made: %v", err)
	}
	const found = "invalid index: index pgsession."
	wants(file, found+"twice_idx of pgsession.sessions is not valid")
	pgtest.Exec(t, admin, "ALTER INDEX pgsession.twice_idx RENAME TO twice_idx_ccnew")
	wants(file, found+"twice_idx_ccnew of ")
	rows, err := admin.Query(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	advice, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (advice string, err error) {
		return advice, row.Scan(nil, nil, &advice)
	})
	if want := "DROP INDEX CONCURRENTLY pgsession.twice_idx_ccnew"; err != nil ||
		len(advice) != 1 || advice[0] != want {
		t.Errorf("the advice %q (%v), want %s", advice, err, want)
	}
	pgtest.Exec(t, admin, advice[0])
	wants(file)

	// One that is being built is no alarm. It waits for open transactions that
	// have written.
	writer, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Rollback(context.Background()) }()
	if _, err := writer.Exec(t.Context(),
		"UPDATE pgsession.sessions SET version = version WHERE false"); err != nil {
		t.Fatal(err)
	}
	built := make(chan error, 1)
	go func() {
		_, err := admin.Exec(t.Context(),
			"CREATE INDEX CONCURRENTLY seen_idx ON pgsession.sessions (last_seen_at)")
		built <- err
	}()
	testkit.Eventually(t, "the index is there, and not valid yet", func() bool {
		return pgtest.One[bool](t, admin, `SELECT EXISTS (SELECT FROM pg_index
			WHERE indexrelid = to_regclass('pgsession.seen_idx') AND NOT indisvalid)`)
	})
	wants(file)
	if err := errors.Join(writer.Rollback(t.Context()), <-built); err != nil {
		t.Fatal(err)
	}
	wants(file)
	pgtest.Exec(t, admin, "DROP INDEX pgsession.seen_idx")
}

// feedback tells a server what a standby's oldest transaction is, as one with
// hot_standby_feedback and without a slot does. It returns when the server has
// it.
func feedback(t *testing.T, url string, admin *pgxpool.Pool) (end func()) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["replication"] = "true"
	cfg.RuntimeParams["application_name"] = "reader"
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	end = func() { _ = conn.Close(context.Background()) }
	t.Cleanup(end)
	at := pgtest.One[string](t, admin, "SELECT pg_current_wal_flush_lsn()::text")
	xid := pgtest.One[int64](t, admin,
		"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
	front := conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + at})
	// Its kind, its time, and the two oldest transactions, each with its epoch.
	message := append([]byte{'h'}, make([]byte, 24)...)
	binary.BigEndian.PutUint32(message[9:], uint32(xid))
	binary.BigEndian.PutUint32(message[13:], uint32(xid>>32))
	front.Send(&pgproto3.CopyData{Data: message})
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the server knows of the standby's transaction", func() bool {
		return pgtest.One[bool](t, admin,
			"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)")
	})
	return end
}
