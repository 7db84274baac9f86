package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// PG-06, COH-10: two instances save, touch and delete the same sessions in opposite orders.
func TestTwoInstancesNeitherDeadlockNorLose(t *testing.T) {
	t.Parallel()
	c := hire(t)
	peer, _, peerSent := c.another(timeout)
	const (
		sessions = 40
		writers  = 48 // on each instance
		rounds   = 2
	)
	ids := c.sessions(sessions)
	slices.SortFunc(ids, func(a, b sessionstore.ID) int { return slices.Compare(a[:], b[:]) })
	backwards := slices.Clone(ids)
	slices.Reverse(backwards)
	sides := []struct {
		store *sessionstore.Postgres
		ids   []sessionstore.ID
		name  string
	}{{c.store, ids, "a"}, {peer, backwards, "b"}}

	var all sync.WaitGroup
	for _, side := range sides {
		for w := range writers {
			all.Go(func() {
				key := side.name + string(value(w))
				for round := range rounds {
					for i := range sessions {
						id := side.ids[(i+w)%sessions] // so that each statement has many of them
						if _, err := side.store.Save(t.Context(), id, setting(key, round)); err != nil {
							t.Errorf("save: %v", err)
							return
						}
					}
				}
			})
		}
		all.Go(func() {
			touches := make([]sessionstore.Touch, sessions)
			for i := range touches {
				touches[i].ID = side.ids[i]
			}
			for range 10 * rounds {
				if err := side.store.Touch(t.Context(), touches); err != nil {
					t.Errorf("touch: %v", err)
				}
			}
		})
	}
	all.Wait()

	if n := c.sent.refused("40P01") + peerSent.refused("40P01"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	if c.sent.count("SessionSaveMany") == 0 || peerSent.count("SessionSaveMany") == 0 {
		t.Error("no statement was shared: this test sees nothing")
	}
	for _, id := range ids {
		rec := c.load(id)
		if rec.Version != 1+2*writers*rounds {
			t.Errorf("session %v has version %d, want %d", id, rec.Version, 1+2*writers*rounds)
		}
		for _, side := range sides {
			for w := range writers {
				if got := read[int](t, rec, side.name+string(value(w))); got != rounds-1 {
					t.Errorf("session %v lost a save of %s%d: round %d", id, side.name, w, got)
				}
			}
		}
	}
}

// Statements for many lock their rows in the order of the ids, whatever the order of the calls: the one that comes
// second waits at the first row that both want, and holds none that the other still needs.
func TestSharedStatementsLockInOrder(t *testing.T) {
	t.Parallel()
	for name, save := range map[string]bool{"saves": true, "rotates": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			// The rows lie on the disk against the order of their ids.
			ids := c.sessions(8)
			slices.SortFunc(ids, func(a, b sessionstore.ID) int { return slices.Compare(b[:], a[:]) })
			for _, id := range ids {
				pgtest.Exec(t, c.admin, "UPDATE pgsession.sessions SET version = 1, user_agent = repeat('x', 512) WHERE id = $1", id[:])
			}
			slices.Reverse(ids)

			release := c.jamSaves()
			if !save {
				release()
				release = c.jamRotates()
			}
			unlock := func() {}
			var calls sync.WaitGroup
			calls.Go(func() {
				c.together(len(ids), func() { unlock = c.lock(ids[0]); release() }, func(ctx context.Context, i int) {
					var err error
					if save {
						_, err = c.store.Save(ctx, ids[i], setting("saved", i))
					} else {
						_, err = c.store.Rotate(ctx, ids[i], newID(), sessionstore.Change{})
					}
					if err != nil {
						t.Errorf("call %d: %v", i, err)
					}
				})
			})
			const stuck = waiting + " AND query LIKE '%Many%'"
			eventually(t, "the shared statement waits for the first row", func() bool { return pgtest.One[int](t, c.admin, stuck) == 1 })
			// It must hold none of the others.
			const free = "SELECT count(*) FROM (SELECT FROM pgsession.sessions WHERE id = ANY($1) FOR UPDATE SKIP LOCKED) AS f"
			rest := make([][]byte, 0, len(ids))
			for i := range ids[1:] {
				rest = append(rest, ids[i+1][:])
			}
			if n := pgtest.One[int](t, c.admin, free, rest); n != len(rest) {
				t.Errorf("while it waits for the first of %d rows, it holds %d of the others", len(ids), len(rest)-n)
			}
			unlock()
			calls.Wait()
		})
	}
}
