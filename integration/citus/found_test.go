package citus_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// findsOut has a store that has not checked its table. It learns from a refusal
// that the table is distributed, and no call fails.
func findsOut(t *testing.T, c *cluster) {
	for name, first := range map[string]func(*testing.T, *postgres.Store, []store.ID){
		"by touches": func(t *testing.T, store *postgres.Store, ids []store.ID) {
			if err := store.Touch(t.Context(), touched(ids)); err != nil {
				t.Error(err)
			}
		},
		"by a revoke": func(t *testing.T, inner *postgres.Store, _ []store.ID) {
			_, r, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"})
			if err != nil || r.Count != 20 {
				t.Errorf("revoked %d: %v", r.Count, err)
			}
		},
		"by saves": func(t *testing.T, store *postgres.Store, ids []store.ID) {
			var all sync.WaitGroup
			for _, id := range ids {
				all.Go(func() {
					if _, err := store.Save(t.Context(), id, setting("k")); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.empty(t)
			knows, _ := c.store(t)
			ids := sessions(t, knows, "ada", 20)
			pool, sent := c.pool(t)
			inner := postgres.New(pool, daily, testkit.Patience)
			first(t, inner, ids)
			if sent.Refused("0A000") == 0 {
				t.Error("nothing was refused: this test sees nothing")
			}
			before := sent.Refused("0A000")
			if err := inner.Touch(t.Context(), touched(ids)); err != nil {
				t.Error(err)
			}
			if _, _, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"}); err != nil {
				t.Error(err)
			}
			expect(t, "refusals once it knows", sent.Refused("0A000")-before, 0)
		})
	}
}

// distributedInUse distributes the table of a running application: calls wait,
// and none fails.
func distributedInUse(t *testing.T, c *cluster) {
	pgtest.Exec(t, c.admin, "SELECT undistribute_table('pgsession.user_sessions')")
	pgtest.Exec(t, c.admin, "SELECT undistribute_table('pgsession.sessions')")
	inner, sent := c.store(t)
	ids := sessions(t, inner, "ada", 50)
	expect(t, "entries before", len(c.pairs(t, enteredPairs)), 0)
	var stop atomic.Bool
	var calls atomic.Int64
	var all sync.WaitGroup
	for w := range 24 {
		all.Go(func() {
			for i := w; !stop.Load(); i++ {
				id := ids[i%len(ids)]
				if _, err := inner.Load(t.Context(), id, 0); err != nil {
					t.Errorf("load: %v", err)
				}
				if _, err := inner.Save(t.Context(), id, setting("k")); err != nil {
					t.Errorf("save: %v", err)
				}
				if err := inner.Touch(t.Context(), touched(ids[:5])); err != nil {
					t.Errorf("touch: %v", err)
				}
				calls.Add(1)
			}
		})
	}
	var logins atomic.Int64
	for w := range 8 {
		all.Go(func() {
			for i := w; !stop.Load(); i++ {
				if err := loginOf(t, inner, i); err != nil {
					t.Errorf("login: %v", err)
				}
				logins.Add(1)
			}
		})
	}
	end := sync.OnceFunc(func() { stop.Store(true); all.Wait() })
	defer end()
	some := func(n int64) {
		testkit.Eventually(t, "calls go on", func() bool { return calls.Load() >= n })
	}
	some(200)
	if sent.Count("SessionSaveMany") == 0 {
		t.Error("no statement was shared before: this test sees nothing")
	}
	c.nodes[0].Distribute()
	some(calls.Load() + 200)
	end()
	if sent.Count("DistributedTouch") == 0 {
		t.Error("it has not found out")
	}
	expect(t, "sessions", pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"),
		len(ids)+int(logins.Load()))
	c.entered(t)
}

// loginOf logs a user in: in turn by a creation, a pending login, a save and a
// rotation.
func loginOf(t *testing.T, inner store.Store, i int) error {
	id := testkit.NewID()
	user := fmt.Sprint("user", i)
	if i%4 == 0 {
		_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: user})
		return err
	}
	if _, err := inner.Create(t.Context(), store.Draft{ID: id}); err != nil {
		return err
	}
	c := store.Change{UserID: user}
	switch i % 4 {
	case 1:
		c = store.Change{PendingUserID: user}
	case 2:
		_, err := inner.Save(t.Context(), id, c)
		return err
	}
	_, err := inner.Rotate(t.Context(), id, testkit.NewID(), c)
	return err
}
