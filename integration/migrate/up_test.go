package migrate_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/db"
)

func TestUpThenDownThenUpLeavesTheSameSchema(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	steps, err := db.Up(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := migrationNames(t)
	if len(steps) != len(names) || steps[0].Version != 1 || steps[0].Name != names[0] ||
		steps[0].Duration <= 0 {
		t.Errorf("steps of up: %+v", steps)
	}
	first := d.dump(t, "pgsession")
	if strings.Count(first, "\n") < 40 {
		t.Fatalf("the dump misses something:\n%s", first)
	}

	for i := len(steps) - 1; i >= 0; i-- {
		undone, err := db.Down(t.Context(), d.pool, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(undone) != 1 || undone[0].Name != steps[i].Name {
			t.Errorf("down undid %+v, want %s alone", undone, steps[i].Name)
		}
	}
	wantDump(t, "after all downs", d.dump(t, "pgsession"), emptied)
	if undone, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil || len(undone) != 0 {
		t.Errorf("down with nothing applied: %v, %v", undone, err)
	}

	d.up(t)
	wantDump(t, "after down and up", d.dump(t, "pgsession"), first)
	if steps, err := db.Up(t.Context(), d.pool, db.Options{}); err != nil || len(steps) != 0 {
		t.Errorf("up with nothing to do: %v, %v", steps, err)
	}
}

func TestEachMigrationCanBeUndoneAndRepeated(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	want := d.dump(t, "pgsession")
	if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	if d.dump(t, "pgsession") == want {
		t.Error("down changed nothing")
	}
	d.up(t)
	wantDump(t, "after down and up", d.dump(t, "pgsession"), want)
}

// Down restores the objects of earlier versions that a migration changed.
func TestDownLeavesTheSchemaOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	_, newest, err := db.Version(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for version := newest - 1; version > 0; version-- {
		if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
			t.Fatal(err)
		}
		fresh := newDatabase(t)
		fresh.upTo(t, version)
		wantDump(t, fmt.Sprintf("down to %d, beside up to %[1]d", version), d.dump(t, "pgsession"),
			fresh.dump(t, "pgsession"))
	}
}

func TestSchemasSideBySide(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	other := db.Options{Schema: "shop_sessions"}
	d.up(t)
	applied, err := db.Up(t.Context(), d.pool, other)
	if err != nil {
		t.Fatal(err)
	}
	wantDump(t, "shop_sessions beside pgsession", d.dump(t, "shop_sessions"),
		d.dump(t, "pgsession"))
	// The function of one schema must not touch the other.
	d.exec(t, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('a'), now() - interval '1 s', now())`)
	if n := d.number(t, `SELECT shop_sessions.prune_batch(10)`); n != 0 {
		t.Errorf("shop_sessions.prune_batch deleted %d sessions of pgsession", n)
	}
	d.exec(t, `CALL shop_sessions.prune()`)
	if n := d.number(t, `SELECT count(*) FROM pgsession.sessions`); n != 1 {
		t.Error("shop_sessions.prune deleted a session of pgsession")
	}

	for range applied {
		if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Validate(t.Context(), d.pool, other); err != nil {
		t.Error(err)
	}
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err == nil {
		t.Error("pgsession is still valid after down")
	}
}

func TestStatusAndVersionOnlyRead(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	readOnly := newPool(t, d.with(t, "default_transaction_read_only", "on"))

	states, err := db.Status(t.Context(), readOnly, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(states) == 0 || states[0].Applied || !states[0].At.IsZero() {
		t.Errorf("states of an empty database: %+v", states)
	}
	library := states[len(states)-1].Version
	if database, known, err := db.Version(t.Context(), readOnly, db.Options{}); database != 0 ||
		known != library || err != nil {
		t.Errorf("version = %d, %d, %v; want 0, %d", database, known, err, library)
	}
	n := d.number(t, `SELECT count(*) FROM pg_class WHERE relname = 'goose_db_version'`)
	if n != 0 {
		t.Error("looking made a version table")
	}

	d.up(t)
	states, err = db.Status(t.Context(), readOnly, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if !s.Applied || s.At.IsZero() || s.Name == "" {
			t.Errorf("after up: %+v", s)
		}
	}
	if database, _, err := db.Version(t.Context(), readOnly, db.Options{}); database != library ||
		err != nil {
		t.Errorf("version after up = %d, %v", database, err)
	}
	// Up with nothing to do only reads: an application may call it with a role
	// that may do no more.
	if _, err := db.Up(t.Context(), readOnly, db.Options{}); err != nil {
		t.Errorf("up with nothing to do: %v", err)
	}
}

// The time of a migration has no zone: it must not be taken for UTC where the
// server has another zone.
func TestStatusKnowsTheServersTimeZone(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	far := newPool(t, d.with(t, "TimeZone", "Asia/Tokyo"))
	if _, err := db.Up(t.Context(), far, db.Options{}); err != nil {
		t.Fatal(err)
	}
	states, err := db.Status(t.Context(), far, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := d.number(t, `SELECT (abs(extract(epoch FROM now() - $1::timestamptz)) < 600)::int`,
		states[0].At)
	if n != 1 {
		t.Errorf("applied at %v, which is not now", states[0].At)
	}
}

func TestANewerDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	d.exec(t, `INSERT INTO pgsession.goose_db_version (version_id, is_applied) VALUES (99, true)`)

	if steps, err := db.Up(t.Context(), d.pool, db.Options{}); err != nil || len(steps) != 0 {
		t.Errorf("up = %v, %v", steps, err)
	}
	_, err := db.Down(t.Context(), d.pool, db.Options{})
	wantError(t, err, "migration 99", "newer version")
	states, err := db.Status(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if last := states[len(states)-1]; last.Version != 99 || last.Name != "" || !last.Applied {
		t.Errorf("last state: %+v", last)
	}
	if database, library, err := db.Version(t.Context(), d.pool, db.Options{}); database != 99 ||
		library == 99 || err != nil {
		t.Errorf("version = %d, %d, %v", database, library, err)
	}
}

func TestUpWorksWithWhateverPoolThereIs(t *testing.T) {
	t.Parallel()
	for name, param := range map[string]string{
		"one connection":           "pool_max_conns=1",
		"simple protocol":          "default_query_exec_mode=simple_protocol",
		"exec mode":                "default_query_exec_mode=exec",
		"a search_path of its own": "search_path=nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			separator := "?"
			if strings.Contains(d.url, "?") {
				separator = "&"
			}
			pool := newPool(t, d.url+separator+param)
			if steps, err := db.Up(t.Context(), pool, db.Options{}); err != nil || len(steps) == 0 {
				t.Fatalf("up = %v, %v", steps, err)
			}
			if err := db.Validate(t.Context(), pool, db.Options{}); err != nil {
				t.Error(err)
			}
			if _, err := db.Down(t.Context(), pool, db.Options{}); err != nil {
				t.Error(err)
			}
			if n := d.number(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); n != 0 {
				t.Errorf("%d locks left behind", n)
			}
		})
	}
}

func TestLoggerGetsEachMigration(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	var log bytes.Buffer
	_, err := db.Up(t.Context(), d.pool,
		db.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range migrationNames(t) {
		if !strings.Contains(log.String(), name) {
			t.Errorf("no line of %s in the log: %s", name, &log)
		}
	}
}
