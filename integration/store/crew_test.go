package store_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var daily = store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}

// crew is a store whose statements are recorded, beside a pool of the test's
// own.
type crew struct {
	t     *testing.T
	url   string // for the application's role
	store *postgres.Store
	pool  *pgxpool.Pool // the store's
	sent  *testkit.Statements
	admin *pgxpool.Pool // a superuser's, of the test
}

// hire makes a store on a database of its own. configure is for the store's
// pool.
func hire(t *testing.T, configure ...func(*pgxpool.Config)) *crew {
	t.Helper()
	databaseURL := pgtest.Database(t)
	c := &crew{t: t, url: pgtest.Application(t, databaseURL), admin: pgtest.Pool(t, databaseURL)}
	c.store, c.pool, c.sent = c.another(timeout, configure...)
	return c
}

// another makes a further store on the same database, as another instance does.
func (c *crew) another(patience time.Duration,
	configure ...func(*pgxpool.Config),
) (*postgres.Store, *pgxpool.Pool, *testkit.Statements) {
	c.t.Helper()
	sent := &testkit.Statements{}
	pool := pgtest.Pool(c.t, c.url, append([]func(*pgxpool.Config){func(pc *pgxpool.Config) {
		pc.MaxConns = 8
		pc.ConnConfig.Tracer = sent
		pc.ConnConfig.RuntimeParams["application_name"] = "sessionstore"
	}}, configure...)...)
	return postgres.New(pool, daily, patience), pool, sent
}

func value(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func setting(key string, v any) store.Change {
	return store.Change{Set: map[string]json.RawMessage{key: value(v)}}
}

// read returns one value of a session's data.
func read[T any](t *testing.T, rec store.Record, key string) (v T) {
	t.Helper()
	var data map[string]json.RawMessage
	if err := json.Unmarshal(rec.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data[key] == nil {
		t.Errorf("session %v has no %q", rec.ID, key)
		return v
	}
	if err := json.Unmarshal(data[key], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// sessions makes n sessions, each with its number in n.
func (c *crew) sessions(n int) []store.ID {
	c.t.Helper()
	ids := make([]store.ID, n)
	for i := range ids {
		ids[i] = testkit.NewID()
		_, err := c.store.Create(c.t.Context(),
			store.Draft{ID: ids[i], Data: value(map[string]int{"n": i})})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return ids
}

func (c *crew) load(id store.ID) store.Record {
	c.t.Helper()
	rec, err := c.store.Load(c.t.Context(), id, 0)
	if err != nil {
		c.t.Errorf("Load: %v", err)
	}
	return rec
}

// lock makes statements on rows of sessions wait until release is called.
func (c *crew) lock(ids ...store.ID) (release func()) {
	c.t.Helper()
	tx, err := c.admin.Begin(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	raw := make([][]byte, len(ids))
	for i := range ids {
		raw[i] = ids[i][:]
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	c.t.Cleanup(release)
	tag, err := tx.Exec(c.t.Context(),
		"SELECT FROM pgsession.sessions WHERE id = ANY($1) FOR UPDATE", raw)
	if err != nil || tag.RowsAffected() != int64(len(ids)) {
		c.t.Fatalf("locked %d of %d rows: %v", tag.RowsAffected(), len(ids), err)
	}
	return release
}

// waiting counts the statements of stores that wait for a lock.
const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore' AND wait_event_type = 'Lock'"

// inFlight is how many writes of one kind a store may have in flight.
const inFlight = 2

// jam takes all slots of a store's writes until release is called, with calls
// that wait for the table. Calls made meanwhile have to share statements.
func (c *crew) jam(write func(store.ID) error) (release func()) {
	c.t.Helper()
	ids := c.sessions(inFlight)
	unlock := c.lockTable()
	var jammed sync.WaitGroup
	for _, id := range ids {
		jammed.Go(func() {
			if err := write(id); err != nil {
				c.t.Errorf("a write that had to wait for the table: %v", err)
			}
		})
	}
	testkit.Eventually(c.t, "all slots are taken", func() bool {
		return pgtest.One[int](c.t, c.admin, waiting) == inFlight
	})
	release = sync.OnceFunc(func() { unlock(); jammed.Wait() })
	c.t.Cleanup(release)
	return release
}

// lockTable makes all writes, and no load, wait until release is called.
func (c *crew) lockTable() (release func()) {
	c.t.Helper()
	tx, err := c.admin.Begin(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	c.t.Cleanup(release)
	if _, err := tx.Exec(c.t.Context(), "LOCK TABLE pgsession.sessions IN SHARE MODE"); err != nil {
		c.t.Fatal(err)
	}
	return release
}

func (c *crew) jamSaves() (release func()) {
	return c.jam(func(id store.ID) error {
		_, err := c.store.Save(context.Background(), id, setting("jam", true))
		return err
	})
}

// together makes n calls at once, waits until all of them are queued, and calls
// release. It returns when all have returned.
func (c *crew) together(n int, release func(), call func(ctx context.Context, i int)) {
	c.t.Helper()
	var queued, done sync.WaitGroup
	queued.Add(n)
	for i := range n {
		done.Go(func() {
			call(&testkit.Waiting{Context: c.t.Context(), Notice: sync.OnceFunc(queued.Done)}, i)
		})
	}
	queued.Wait()
	release()
	done.Wait()
}
