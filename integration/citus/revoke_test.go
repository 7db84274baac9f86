package citus_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Sessions get new ids, on other shards, while two instances revoke their user,
// or all sessions. The shards are not read in one moment, and still no session
// survives.
func revokes(t *testing.T, c *cluster) {
	for what, sel := range map[string]store.Selection{
		"a user": {UserID: "ada"}, "everybody": {All: true},
	} {
		t.Run(what, func(t *testing.T) { revokesAll(t, c, sel) })
	}
}

func revokesAll(t *testing.T, c *cluster, sel store.Selection) {
	one, sent := c.store(t)
	other, _ := c.store(t)
	for round := range 12 {
		sel := store.Selection{UserID: "ada"}
		if round%3 == 2 {
			sel = store.Selection{All: true}
		}
		ids := sessions(t, one, "ada", 12)
		var rotating sync.WaitGroup
		started := make(chan struct{}, len(ids))
		for i, id := range ids {
			inner := []*postgres.Store{one, other}[i%2]
			rotating.Go(func() {
				for n := 0; ; n++ {
					next := testkit.NewID()
					if _, err := inner.Rotate(t.Context(),
						id, next, store.Change{}); errors.Is(err, sessionstore.ErrNotFound) {
						return
					} else if err != nil {
						t.Errorf("rotate: %v", err)
						return
					}
					if id = next; n == 0 {
						started <- struct{}{}
					}
				}
			})
		}
		for range ids {
			<-started
		}
		if _, r, err := one.Revoke(t.Context(), sel); err != nil || !r.Committed ||
			r.Count != len(ids) {
			t.Errorf("revoked %d of %d: %v", r.Count, len(ids), err)
		}
		if n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
			// So that they end.
			pgtest.Exec(t, c.admin, "TRUNCATE pgsession.sessions, pgsession.marks")
		}
		rotating.Wait()
	}
	expect(t, "deadlocks", sent.Refused("40P01"), 0)
}

// The same test as in integration/owner on one Postgres: revokes, trims, saves,
// rotates and touches of the same sessions, from two instances. Statements for
// one row hold nothing while they wait, and Citus lets those for many in one by
// one.
func deadlocksNothing(t *testing.T, c *cluster) {
	const workers, rounds = 24, 8
	var stores [2]*postgres.Store
	var sent [2]*testkit.Statements
	for i := range stores {
		stores[i], sent[i] = c.store(t)
	}
	fine := func(what string, err error) {
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range rounds {
		ids := sessions(t, stores[0], "ada", workers)
		var all sync.WaitGroup
		start := make(chan struct{})
		for i, inner := range stores {
			mine := slices.Clone(ids)
			if i == 1 {
				slices.Reverse(mine)
			}
			for w := range workers {
				all.Go(func() {
					<-start
					_, err := inner.Save(t.Context(), mine[w], setting("k"))
					fine("save", err)
					if w%3 == 0 {
						_, err := inner.Rotate(t.Context(), mine[w], testkit.NewID(),
							store.Change{})
						fine("rotate", err)
					}
				})
			}
			for _, sel := range []store.Selection{
				{UserID: "ada", Keep: workers / 2}, {UserID: "ada"},
			} {
				all.Go(func() {
					<-start
					_, _, err := inner.Revoke(t.Context(), sel)
					fine("trim or revoke", err)
				})
			}
			all.Go(func() { <-start; fine("touch", inner.Touch(t.Context(), touched(mine))) })
		}
		close(start)
		all.Wait()
		_, _, err := stores[0].Revoke(t.Context(), store.Selection{UserID: "ada"})
		fine("revoke", err)
		expect(t, "sessions of the user",
			pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
	}
	for _, s := range sent {
		expect(t, "deadlocks", s.Refused("40P01"), 0)
		apart(t, s)
	}
}

// A revoke in a transaction of the application: new ids of the user wait for
// its end, and are refused then.
func revokesInATransaction(t *testing.T, c *cluster) {
	m, _ := site(t, c.application, testkit.Patience)
	inner, _ := c.store(t)
	ids := sessions(t, inner, "ada", 8)
	pool, _ := c.pool(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if n, err := m.WithTx(tx).RevokeUser(t.Context(), "ada"); err != nil || n != len(ids) {
		t.Fatalf("%d sessions end: %v", n, err)
	}
	var rotating sync.WaitGroup
	for _, id := range ids {
		rotating.Go(func() {
			_, err := inner.Rotate(t.Context(), id, testkit.NewID(), store.Change{})
			if !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("rotate: %v", err)
			}
		})
	}
	const held = "SELECT count(*) FROM pg_locks" +
		" WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
	// Those that ask two nodes have a quarter of the pool's 16 connections.
	testkit.Eventually(t, "they wait", func() bool {
		return pgtest.One[int](t, c.admin, held) >= 4
	})
	if _, err := inner.Load(t.Context(), ids[0], 0); err != nil {
		t.Errorf("a load before the commit: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	rotating.Wait()
	expect(t, "sessions of the user",
		pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
}

// Logins of one user at once, with a limit of two sessions.
func admitsAsManyAsMay(t *testing.T, c *cluster) {
	one, _ := c.store(t)
	other, _ := c.store(t)
	var logins sync.WaitGroup
	var in, out atomic.Int64
	for i := range 12 {
		logins.Go(func() {
			inner := []*postgres.Store{one, other}[i%2]
			_, err := inner.Create(t.Context(),
				store.Draft{ID: testkit.NewID(), UserID: "ada", MaxSessions: 2})
			switch {
			case err == nil:
				in.Add(1)
			case errors.Is(err, sessionstore.ErrTooManySessions):
				out.Add(1)
			default:
				t.Errorf("create: %v", err)
			}
		})
	}
	logins.Wait()
	expect(t, "logins", in.Load(), 2)
	expect(t, "refused", out.Load(), 10)
}

// An interrupted commit: a rotation has committed on the coordinator, and its
// new row is on a node that has prepared it and nothing else. A revoke waits
// until Citus has recovered it, and ends that session too.
func waitsForAnInterruptedCommit(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	for what, sel := range map[string]store.Selection{
		"a user": {UserID: "ada"}, "all users": {All: true},
	} {
		t.Run(what, func(t *testing.T) {
			id := sessions(t, inner, "ada", 1)[0]
			commit := c.interrupt(t, id)
			done := make(chan int, 1)
			go func() {
				_, r, err := inner.Revoke(t.Context(), sel)
				if err != nil {
					t.Error(err)
				}
				done <- r.Count
			}()
			testkit.Eventually(t, "the revoke waits", func() bool {
				return pgtest.One[int](t, c.admin, `SELECT count(*) FROM pg_stat_activity
					WHERE state = 'idle in transaction'
						AND (query LIKE '%run_command_on_all_nodes%'
							OR query LIKE '%pg_prepared_xact%')`) > 0
			})
			commit()
			expect(t, "sessions that ended", <-done, 1)
			expect(t, "sessions of the user",
				pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
		})
	}
}

// shard returns the name of the shard that a session is in, and the port of its
// node.
func (c *cluster) shard(t *testing.T, id store.ID) (name, port string) {
	t.Helper()
	const where = ` FROM citus_shards WHERE shardid =
		get_shard_id_for_distribution_column('pgsession.sessions', $1::bytea)`
	return pgtest.One[string](t, c.admin, "SELECT shard_name::text"+where, id[:]),
		pgtest.One[string](t, c.admin, "SELECT nodeport::text"+where, id[:])
}
