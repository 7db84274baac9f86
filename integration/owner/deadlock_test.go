package owner_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Revokes, trims, shared saves, shared rotates and touches of the same
// sessions, from two instances, never deadlock.
func TestRevokesDeadlockWithNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const sessions, workers, rounds = 24, 24, 12
	var stores [2]*postgres.Store
	var sent [2]*testkit.Statements
	for i := range stores {
		pool, s := h.pool()
		stores[i], sent[i] = postgres.New(pool, daily, testkit.Patience), s
	}
	fine := func(what string, err error) {
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range rounds {
		ids := make([]store.ID, sessions)
		for i := range ids {
			ids[i] = testkit.NewID()
			_, err := stores[0].Create(t.Context(), store.Draft{ID: ids[i], UserID: "ada"})
			if err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		start := make(chan struct{})
		for i, inner := range stores {
			mine := slices.Clone(ids)
			if i == 1 {
				slices.Reverse(mine)
			}
			touches := make([]store.Touch, sessions)
			for j := range touches {
				touches[j].ID = mine[j]
			}
			for w := range workers {
				all.Go(func() {
					<-start
					_, err := inner.Save(t.Context(), mine[w%sessions],
						store.Change{Set: map[string]json.RawMessage{"k": json.RawMessage("1")}})
					fine("save", err)
					if w%3 == 0 {
						_, err := inner.Rotate(t.Context(), mine[w%sessions], testkit.NewID(),
							store.Change{})
						fine("rotate", err)
					}
				})
			}
			for _, do := range []func() error{
				func() error { return inner.Touch(t.Context(), touches) },
				func() error {
					_, _, err := inner.Revoke(t.Context(),
						store.Selection{UserID: "ada", Keep: sessions / 2})
					return err
				},
				func() error {
					_, _, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"})
					return err
				},
			} {
				all.Go(func() { <-start; fine("touch, trim or revoke", do()) })
			}
		}
		close(start)
		all.Wait()
		_, _, err := stores[0].Revoke(t.Context(), store.Selection{UserID: "ada"})
		fine("revoke", err)
		expect(t, "sessions of the user", pgtest.One[int](t, h.admin, adas), 0)
	}
	for _, s := range sent {
		expect(t, "deadlocks", s.Refused("40P01"), 0)
		if s.Count("SessionSaveMany") == 0 || s.Count("OwnerTrim") == 0 ||
			s.Count("OwnerRevoke") == 0 || s.Count("SessionTouch") == 0 {
			t.Error("not every kind of statement was sent")
		}
	}
}

// A statement that ends many sessions locks their rows in the order of their
// ids. While it waits for the first, it holds none of the others. The rows lie
// on the disk and in the index of the user against that order.
func TestRevokesLockInOrder(t *testing.T) {
	t.Parallel()
	for name, sel := range map[string]store.Selection{
		"all":  {UserID: "ada"},
		"trim": {UserID: "ada", Keep: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			pool, _ := h.pool()
			inner := postgres.New(pool, daily, testkit.Patience)
			ids := make([]store.ID, 12)
			for i := range ids {
				ids[i] = testkit.NewID()
			}
			slices.SortFunc(ids, func(a, b store.ID) int { return slices.Compare(a[:], b[:]) })
			for _, id := range ids { // the first is the oldest
				_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: "ada"})
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range slices.Backward(ids) { // and its row the last
				pgtest.Exec(t, h.admin,
					"UPDATE pgsession.sessions SET user_agent = repeat('x', 512) WHERE id = $1",
					id[:])
			}
			pgtest.Exec(t, h.admin, "VACUUM ANALYZE pgsession.sessions")
			tx := h.begin()
			if _, err := tx.Exec(t.Context(),
				"SELECT FROM pgsession.sessions WHERE id = $1 FOR UPDATE", ids[0][:]); err != nil {
				t.Fatal(err)
			}
			var revoke sync.WaitGroup
			revoke.Go(func() {
				if _, _, err := inner.Revoke(context.Background(), sel); err != nil {
					t.Error(err)
				}
			})
			h.blocked(1)
			const held = "SELECT (SELECT count(*) FROM pgsession.sessions WHERE id <> $1)" +
				" - (SELECT count(*) FROM (SELECT FROM pgsession.sessions WHERE id <> $1 FOR UPDATE SKIP LOCKED) AS f)"
			expect(t, "rows that it holds while it waits for the first",
				pgtest.One[int](t, h.admin, held, ids[0][:]), 0)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			revoke.Wait()
			expect(t, "sessions that are left", pgtest.One[int](t, h.admin, adas), sel.Keep)
		})
	}
}
