package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Citus finds the node of a session with Postgres's hash of a bytea. Postgres
// 15 has no function of SQL that returns it, but the hash of an array of one
// element is that of the element, and 31.
func TestHashIsThatOfPostgres(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.EmptyDatabase(t))
	var keys [][]byte
	for n := range 70 {
		for fill := range 8 {
			key := make([]byte, n)
			for i := range key {
				key[i] = byte(i*37 + fill*91 + n)
			}
			keys = append(keys, key)
		}
	}
	for range 2000 {
		id := testkit.NewID()
		keys = append(keys, id[:])
	}
	hashes := pgtest.One[[]int32](t, pool, `SELECT array_agg(pg_catalog.hash_array(ARRAY[k.key]) ORDER BY k.n)
		FROM unnest($1::bytea[]) WITH ORDINALITY AS k (key, n)`, keys)
	for i, key := range keys {
		if got, want := nodes.Hash(key), hashes[i]-31; got != want {
			t.Fatalf("hash of %x: %d, want %d", key, got, want)
		}
	}
}

// Every statement of one of two nodes hangs, and so does each that asks both.
// Here they wait for locked rows. All calls for sessions of the other node are
// answered meanwhile.
func TestNodeThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, size := range []int32{4, 16} {
		t.Run(string(value(size)), func(t *testing.T) {
			t.Parallel()
			hangs(t, size)
		})
	}
}

func hangs(t *testing.T, size int32) {
	c := hire(t, func(pc *pgxpool.Config) { pc.MaxConns = size })
	pgtest.Distribute(t, c.admin)
	if err := c.store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, c.admin, pgtest.Locks)
	slow, fast := c.byNode(24)
	idle, fast := fast[:4], fast[4:]
	for _, id := range slow {
		pgtest.Exec(t, c.admin,
			"UPDATE pgsession.sessions SET user_id = 'ada' WHERE id = $1", id[:])
	}
	pgtest.Exec(t, c.admin, pgtest.Enter)
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		"SELECT FROM pgsession.sessions WHERE user_id = 'ada' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	call := func(what string, call func() error) {
		waiting.Go(func() {
			if err := call(); err != nil {
				t.Errorf("%s, after the node hung: %v", what, err)
			}
		})
	}
	for i, id := range slow {
		switch i % 4 {
		case 0:
			call("save", func() error {
				_, err := c.store.Save(t.Context(), id, setting("k", 1))
				return err
			})
		case 1:
			call("step-up", func() error {
				change := setting("k", 1)
				change.StepUp, change.Methods = true, []store.Method{{Name: "password"}}
				_, err := c.store.Save(t.Context(), id, change)
				return err
			})
		case 2:
			call("rotate", func() error {
				_, err := c.store.Rotate(t.Context(), id, ofNode(2), store.Change{})
				return err
			})
		}
		call("touch", func() error { return c.store.Touch(t.Context(), []store.Touch{{ID: id}}) })
		call("delete by handle", func() error {
			_, _, err := c.store.Revoke(t.Context(),
				store.Selection{UserID: "ada", Handle: slow[3].Handle()})
			return err
		})
	}
	call("touch of sessions on both nodes", func() error {
		var all []store.Touch
		for _, id := range slices.Concat(slow, idle) {
			all = append(all, store.Touch{ID: id})
		}
		return c.store.Touch(t.Context(), all)
	})
	testkit.Eventually(t, "the calls hang", func() bool {
		return pgtest.One[int](t, c.admin, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= int(size)*3/4
	})

	var served sync.WaitGroup
	for i, id := range fast {
		served.Go(func() {
			if _, err := c.store.Load(t.Context(), id, 0); err != nil {
				t.Errorf("load: %v", err)
			}
			if _, err := c.store.Save(t.Context(), id, setting("k", i)); err != nil {
				t.Errorf("save: %v", err)
			}
			next := ofNode(2)
			if _, err := c.store.Rotate(t.Context(), id, next, store.Change{}); err != nil {
				t.Errorf("rotate: %v", err)
			}
			if err := c.store.Touch(t.Context(), []store.Touch{{ID: next}}); err != nil {
				t.Errorf("touch: %v", err)
			}
			if _, err := c.store.Delete(t.Context(), next); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
	served.Wait()
	testkit.Eventually(t, "the sessions of the other node are touched", func() bool {
		return pgtest.One[int](t, c.admin, `SELECT count(*) FROM pgsession.sessions
			WHERE id = ANY ($1::bytea[]) AND last_seen_at > created_at`, raw(idle)) == len(idle)
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
}

// byNode makes n sessions on each of the nodes of [pgtest.Distribute].
func (c *crew) byNode(n int) (first, second []store.ID) {
	c.t.Helper()
	for range n {
		first, second = append(first, ofNode(1)), append(second, ofNode(2))
	}
	for _, ids := range [][]store.ID{first, second} {
		for _, id := range ids {
			if _, err := c.store.Create(c.t.Context(), store.Draft{ID: id}); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	return first, second
}

func raw(ids []store.ID) [][]byte {
	var all [][]byte
	for _, id := range ids {
		all = append(all, id[:])
	}
	return all
}

func ofNode(n int) store.ID {
	for {
		id := testkit.NewID()
		if (nodes.Hash(id[:]) >= 0) == (n == 2) {
			return id
		}
	}
}
