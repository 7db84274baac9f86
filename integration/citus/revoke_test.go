package citus_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// Sessions get new ids, on other shards, all the while their user is revoked, from two instances. The shards are not looked at
// in one moment, and still none gets away.
func revokes(t *testing.T, c *cluster) {
	one, sent := c.store(t)
	other, _ := c.store(t)
	for range 12 {
		ids := sessions(t, one, "ada", 12)
		var rotating sync.WaitGroup
		started := make(chan struct{}, len(ids))
		for i, id := range ids {
			store := []*sessionstore.Postgres{one, other}[i%2]
			rotating.Go(func() {
				for n := 0; ; n++ {
					next := newID()
					if _, err := store.Rotate(t.Context(), id, next, sessionstore.Change{}); errors.Is(err, sessionstore.ErrNotFound) {
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
		if _, r, err := one.Revoke(t.Context(), sessionstore.Selection{UserID: "ada"}); err != nil || !r.Committed || r.Count != len(ids) {
			t.Errorf("revoked %d of %d: %v", r.Count, len(ids), err)
		}
		if n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
			t.Errorf("%d sessions got away", n)
			pgtest.Exec(t, c.admin, "TRUNCATE pgsession.sessions") // so that they end
		}
		rotating.Wait()
	}
	expect(t, "deadlocks", sent.refused("40P01"), 0)
}

// What the test in integration/owner does on one Postgres: revokes, trims, saves, rotations and touches of the same sessions,
// from two instances. Statements for one row hold nothing while they wait, and Citus lets those for many in one by one.
func deadlocksNothing(t *testing.T, c *cluster) {
	const workers, rounds = 24, 8
	var stores [2]*sessionstore.Postgres
	var sent [2]*statements
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
		for i, store := range stores {
			mine := slices.Clone(ids)
			if i == 1 {
				slices.Reverse(mine)
			}
			for w := range workers {
				all.Go(func() {
					<-start
					_, err := store.Save(t.Context(), mine[w], setting("k"))
					fine("save", err)
					if w%3 == 0 {
						_, err := store.Rotate(t.Context(), mine[w], newID(), sessionstore.Change{})
						fine("rotate", err)
					}
				})
			}
			for _, sel := range []sessionstore.Selection{{UserID: "ada", Keep: workers / 2}, {UserID: "ada"}} {
				all.Go(func() {
					<-start
					_, _, err := store.Revoke(t.Context(), sel)
					fine("trim or revoke", err)
				})
			}
			all.Go(func() { <-start; fine("touch", store.Touch(t.Context(), touched(mine))) })
		}
		close(start)
		all.Wait()
		_, _, err := stores[0].Revoke(t.Context(), sessionstore.Selection{UserID: "ada"})
		fine("revoke", err)
		expect(t, "sessions of the user", pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
	}
	for _, s := range sent {
		expect(t, "deadlocks", s.refused("40P01"), 0)
		s.apart(t)
	}
}
