package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// The contract holds in a schema of another name, in a database that has no
// other. A statement that names the default would fail.
//
// Slow: the whole contract again, whose core TestTwoSchemasInOneDatabase has.
func TestSlowTheContractInASchemaOfAnotherName(t *testing.T) {
	const name = "shop_sessions"
	pool := pgtest.Pool(t, pgtest.EmptyDatabase(t))
	if _, err := db.Up(t.Context(), pool, db.Options{Schema: name}); err != nil {
		t.Fatal(err)
	}
	in := func(t *testing.T, e store.Expiry) *aged {
		store, err := postgres.NewIn(pool, name, e, timeout)
		if err != nil {
			t.Fatal(err)
		}
		return &aged{store, e}
	}
	if err := in(t,
		store.Expiry{Idle: time.Hour, Absolute: time.Hour}).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			pgtest.Exec(t, pool, "TRUNCATE shop_sessions.sessions, shop_sessions.marks")
			pgtest.Exec(t, pool,
				"UPDATE shop_sessions.prune_state SET last_prune_at = NULL, pruned_total = 0")
			return in(t, e)
		},
		Age: func(t *testing.T, _ store.Store, id store.ID, d time.Duration) {
			if pgtest.Exec(t, pool, pgtest.AgeIn(name), id[:], d.Seconds()) != 1 {
				t.Fatal("no session to age")
			}
		},
		Peer: func(t *testing.T, s store.Store) store.Store { return in(t, s.(*aged).expiry) },
	})
}

func TestTwoSchemasInOneDatabase(t *testing.T) {
	pool := pgtest.Pool(t, pgtest.Database(t))
	if _, err := db.Up(t.Context(), pool, db.Options{Schema: "other"}); err != nil {
		t.Fatal(err)
	}
	hour := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	one := postgres.New(pool, hour, timeout)
	other, err := postgres.NewIn(pool, "other", hour, timeout)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := create(t, one, 1), create(t, other, 2)
	if _, err := other.Load(t.Context(), mine.ID, 0); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("a session of the first is found in the second: %v", err)
	}
	if _, err := other.Delete(t.Context(), mine.ID); err != nil {
		t.Fatal(err)
	}
	if _, r, err := one.Revoke(t.Context(), store.Selection{All: true}); err != nil ||
		r.Count != 1 {
		t.Errorf("all of the first: %d, %v", r.Count, err)
	}
	if _, err := other.Load(t.Context(), theirs.ID, 0); err != nil {
		t.Errorf("a session of the second, after all of the first were ended: %v", err)
	}
}

func TestAHostileSchemaNameIsRefused(t *testing.T) {
	pool := pgtest.Pool(t, pgtest.EmptyDatabase(t))
	for _, name := range []string{
		"", "a.b", `"x"`, "x; drop schema public", "Upper", "pg_x", "select", "public", "é",
	} {
		if _, err := postgres.NewIn(pool, name, store.Expiry{}, timeout); err == nil {
			t.Errorf("%q is taken for the name of a schema", name)
		}
	}
}
