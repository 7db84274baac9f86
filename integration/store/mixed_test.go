package store_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Two instances save, touch and delete the same sessions in opposite orders.
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
	slices.SortFunc(ids, func(a, b store.ID) int { return slices.Compare(a[:], b[:]) })
	backwards := slices.Clone(ids)
	slices.Reverse(backwards)
	sides := []struct {
		store *postgres.Store
		ids   []store.ID
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
						_, err := side.store.Save(t.Context(), id, setting(key, round))
						if err != nil {
							t.Errorf("save: %v", err)
							return
						}
					}
				}
			})
		}
		all.Go(func() {
			touches := make([]store.Touch, sessions)
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

	if n := c.sent.Refused("40P01") + peerSent.Refused("40P01"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	if c.sent.Count("SessionSaveMany") == 0 || peerSent.Count("SessionSaveMany") == 0 {
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
