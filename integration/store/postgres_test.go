package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// timeout is for stores whose tests are not about timeouts.
const timeout = testkit.Patience

// subject is the contract suite's view of a Postgres store on one database,
// which it empties for each case. The store has the application's role, and
// admin moves rows in time.
func subject(pool, admin *pgxpool.Pool, opts ...postgres.Option) storetest.Subject {
	return storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			pgtest.Exec(t, admin, "TRUNCATE pgsession.sessions, pgsession.marks")
			pgtest.Exec(t, admin,
				"UPDATE pgsession.prune_state SET last_prune_at = NULL, pruned_total = 0")
			return &aged{postgres.New(pool, e, timeout, opts...), e}
		},
		Age: func(t *testing.T, _ store.Store, id store.ID, d time.Duration) {
			if pgtest.Exec(t, admin, pgtest.Age, id[:], d.Seconds()) != 1 {
				t.Fatal("no session to age")
			}
		},
		Peer: func(_ *testing.T, s store.Store) store.Store {
			return postgres.New(pool, s.(*aged).expiry, timeout, opts...)
		},
	}
}

// aged is a store that remembers the expiry it was made with, for its peer.
type aged struct {
	*postgres.Store
	expiry store.Expiry
}

func TestPostgresKeepsTheContract(t *testing.T) {
	t.Parallel()
	keepsTheContract(t, pgx.QueryExecModeCacheStatement)
}

// The same with events: a call has the same result, whatever it records.
func TestPostgresKeepsTheContractWithEvents(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	admin, application := pgtest.Pool(t, databaseURL), pgtest.Application(t, databaseURL)
	storetest.Run(t, subject(pgtest.Pool(t, application), admin, postgres.WithEvents(true)))
	if n := pgtest.One[int](t, admin, "SELECT count(*) FROM pgsession.events"); n == 0 {
		t.Error("the store has recorded nothing")
	}
}

// The same in the modes of pgx that poolers need.
//
// Slow: the whole contract again, twice.
func TestSlowPostgresKeepsTheContract(t *testing.T) {
	t.Parallel()
	keepsTheContract(t, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}

func keepsTheContract(t *testing.T, modes ...pgx.QueryExecMode) {
	databaseURL := pgtest.Database(t)
	admin, application := pgtest.Pool(t, databaseURL), pgtest.Application(t, databaseURL)
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			pool := pgtest.Pool(t, application, func(c *pgxpool.Config) {
				c.ConnConfig.DefaultQueryExecMode = mode
			})
			storetest.Run(t, subject(pool, admin))
		})
	}
}

// open makes a store with the application's role, and a superuser's pool beside
// it.
func open(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	databaseURL := pgtest.Database(t)
	pool := pgtest.Pool(t, pgtest.Application(t, databaseURL))
	return postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}, timeout),
		pgtest.Pool(t, databaseURL)
}

func create(t *testing.T, inner store.Store, id byte) store.Record {
	t.Helper()
	rec, err := inner.Create(t.Context(), store.Draft{ID: store.ID{id}})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// A touch has extended the row, and commits after the prune has skipped it.
func TestPrunePassesOverARowThatATouchExtends(t *testing.T) {
	store, pool := open(t)
	id := create(t, store, 1).ID
	pgtest.Exec(t, pool, pgtest.Age, id[:], (2 * time.Hour).Seconds())

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		"UPDATE pgsession.sessions SET expires_at = now() + interval '1 hour' WHERE id = $1",
		id[:]); err != nil {
		t.Fatal(err)
	}
	if n, ok, err := store.Prune(t.Context(), 10); n != 0 || !ok || err != nil {
		t.Errorf("pruned %d sessions, %t: %v", n, ok, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := store.Prune(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("then pruned %d sessions: %v", n, err)
	}
	if _, err := store.Load(t.Context(), id, 0); err != nil {
		t.Errorf("the extended session: %v", err)
	}
}

func TestOnlyOneCallerPrunes(t *testing.T) {
	store, pool := open(t)
	id := create(t, store, 1).ID
	pgtest.Exec(t, pool, pgtest.Age, id[:], (2 * time.Hour).Seconds())
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if n := pruneIn(t, tx); n != 1 {
		t.Fatalf("the first pruned %d, want 1", n)
	}
	if n, ok, err := store.Prune(t.Context(), 10); n != 0 || ok || err != nil {
		t.Errorf("the second: %d, ok %v, error %v; want 0, false, nil", n, ok, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := store.Prune(t.Context(), 10); !ok || err != nil {
		t.Errorf("afterwards: ok %v, error %v", ok, err)
	}
}

func pruneIn(t *testing.T, tx pgx.Tx) (n int) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), "SELECT pgsession.prune_batch(10)").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPruneRefusesAnAbsurdBatch(t *testing.T) {
	_, pool := open(t)
	for _, n := range []string{"0", "-1", "100001", "NULL"} {
		_, err := pool.Exec(t.Context(), "SELECT pgsession.prune_batch("+n+")")
		if err == nil || !strings.Contains(err.Error(), "between 1 and 100000") {
			t.Errorf("prune_batch(%s): %v, want the allowed range", n, err)
		}
	}
}

func TestForeignRowsAreRefusedByTheTable(t *testing.T) {
	_, pool := open(t)
	for name, sql := range map[string]string{
		"sessions_id_check":         "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES ('x', now(), now())",
		"sessions_version_check":    "INSERT INTO pgsession.sessions (id, version, expires_at, absolute_expires_at) VALUES (sha256('x'), 0, now(), now())",
		"sessions_expires_at_check": "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('x'), now() + interval '1 s', now())",
		"sessions_user_id_check":    "INSERT INTO pgsession.sessions (id, user_id, expires_at, absolute_expires_at) VALUES (sha256('x'), '', now(), now())",
		"sessions_data_check":       "INSERT INTO pgsession.sessions (id, data, expires_at, absolute_expires_at) VALUES (sha256('x'), jsonb_build_object('k', repeat('x', 1048600)), now(), now())",
	} {
		_, err := pool.Exec(t.Context(), sql)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want a violation of %s", err, name)
		}
	}
}

// Times that the library could not return are refused, too.
func TestForeignTimesAreRefusedByTheTable(t *testing.T) {
	inner, pool := open(t)
	id := create(t, inner, 1).ID
	for _, column := range []string{
		"created_at", "last_seen_at", "authenticated_at", "pending_since",
	} {
		for at, refused := range map[string]bool{
			"-infinity": true, "infinity": true, "1969-12-31 23:59:59Z": true,
			"9999-01-01 00:00:00Z": true, "1970-01-01 00:00:00Z": false,
			"9998-12-31 23:59:59Z": false,
		} {
			set := column + " = $2"
			if column == "pending_since" {
				set += ", pending_user_id = 'ada'"
			}
			_, err := pool.Exec(t.Context(),
				"UPDATE pgsession.sessions SET "+set+" WHERE id = $1", id[:], at)
			if refused != (err != nil && strings.Contains(err.Error(), column+"_check")) {
				t.Errorf("%s = %s: %v", column, at, err)
			}
		}
	}
}

// A server that has lz4 compresses data with it.
func TestDataIsCompressedWithLZ4(t *testing.T) {
	_, pool := open(t)
	const method = `SELECT a.attcompression = 'l' OR NOT 'lz4' = ANY (s.enumvals)
		FROM pg_attribute AS a, pg_settings AS s
		WHERE a.attrelid = 'pgsession.sessions'::regclass AND a.attname = 'data'
			AND s.name = 'default_toast_compression'`
	if !pgtest.One[bool](t, pool, method) {
		t.Error("data is compressed with pglz")
	}
}

// A json column takes more than jsonb, to which each save casts it: what jsonb
// refuses, the table refuses.
func TestForeignDataThatNoSaveCouldReadIsRefused(t *testing.T) {
	inner, pool := open(t)
	id := create(t, inner, 1).ID
	for what, text := range map[string]string{
		"an array": `[1]`, "a string": `"x"`, "null": `null`, "NUL": `{"k": "\u0000"}`,
		"NUL in a name": `{"\u0000": 1}`, "half a character": `{"k": "\ud800"}`,
		"a number too large": `{"k": 1e999999}`,
	} {
		for _, column := range []string{"data", "methods"} {
			_, err := pool.Exec(t.Context(), "UPDATE pgsession.sessions SET "+column+
				" = $2::text::json WHERE id = $1", id[:], text)
			if err == nil {
				t.Errorf("%s: %s was accepted", column, what)
			}
		}
	}
}

// Of two members of one name the last one counts, in a load as in a save.
// White space is no fault.
func TestForeignDataInAnotherSpelling(t *testing.T) {
	inner, pool := open(t)
	id := create(t, inner, 1).ID
	const spelled = "\n {\"a\" :1, \"b\": [ ] ,\"a\":2 } "
	pgtest.Exec(t, pool, "UPDATE pgsession.sessions SET data = $2::text::json WHERE id = $1", id[:],
		spelled)
	rec, err := inner.Load(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := object.Raw(rec.Data).Get("a"); !ok || string(a) != "2" {
		t.Errorf("loaded %s: a is %s", rec.Data, a)
	}
	rec, err = inner.Save(t.Context(), id,
		store.Change{Set: map[string]json.RawMessage{"c": json.RawMessage("3")}})
	if err != nil || string(rec.Data) != `{"a": 2, "b": [], "c": 3}` {
		t.Errorf("saved %s, %v", rec.Data, err)
	}
}

func TestDataThatPostgresRefusesIsAnErrorWithoutTheData(t *testing.T) {
	inner, _ := open(t)
	rec := create(t, inner, 1)
	for what, raw := range map[string]string{
		"NUL": `"canary\u0000"`, "too big": `"` + strings.Repeat("canary", 200_000) + `"`,
	} {
		_, err := inner.Save(t.Context(), rec.ID,
			store.Change{Set: map[string]json.RawMessage{"k": json.RawMessage(raw)}})
		if err == nil || errors.Is(err, sessionstore.ErrUnavailable) ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPruneWorksWhenItsRowIsLost(t *testing.T) {
	store, pool := open(t)
	id := create(t, store, 1).ID
	pgtest.Exec(t, pool, pgtest.Age, id[:], (2 * time.Hour).Seconds())
	pgtest.Exec(t, pool, "DELETE FROM pgsession.prune_state") // as after a restore without data
	if _, err := store.Stats(t.Context(), true); err != nil {
		t.Errorf("Stats: %v", err)
	}
	if n, ok, err := store.Prune(t.Context(), 10); n != 1 || !ok || err != nil {
		t.Errorf("Prune: %d, ok %v, error %v; want 1, true, nil", n, ok, err)
	}
	if stats, err := store.Stats(t.Context(), true); err != nil || stats.LastPruneAt.IsZero() {
		t.Errorf("Stats afterwards: %+v, %v", stats, err)
	}
}
