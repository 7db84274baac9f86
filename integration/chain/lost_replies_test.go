package chain_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// written lists how Postgres's replies to a committed change begin.
var written = []string{"INSERT 0 ", "UPDATE ", "DELETE "}

// ended is how its replies to a delete and to a revoke begin, which insert the
// endings and select what was ended.
const ended = "SELECT "

// Postgres has committed, and the reply is lost. That is never a success nor a
// failure, and a retry is safe.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i, j := r.open(withoutEmergency, withoutRedis), r.open(withoutEmergency, withoutRedis)
	ctx := t.Context()
	changed := i.toPostgres.trap("loss", "downstream", written...)
	deleted := j.toPostgres.trap("loss", "downstream", ended)
	const rounds = 3

	// loseIn loses the next reply of an instance and returns the error of the
	// call.
	loseIn := func(in *instance, lost *trap, call func() error) error {
		t.Helper()
		// so that the connection is good
		if err := in.manager.Store().Touch(ctx, []store.Touch{{ID: testkit.NewID()}}); err != nil {
			t.Fatal(err)
		}
		lost.left.Store(1)
		err := call()
		if lost.left.Load() >= 1 {
			t.Fatal("no answer was lost: this test sees nothing")
		}
		lost.left.Store(0)
		return err
	}
	lose := func(call func() error) error { t.Helper(); return loseIn(i, changed, call) }
	uncertain := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, sessionstore.ErrOutcomeUnknown) ||
			!errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrOutcomeUnknown", what, err)
		}
	}
	for range rounds {
		id, next := testkit.NewID(), testkit.NewID()
		draft := store.Draft{ID: id, UserID: "alice"}
		uncertain("create", lose(func() error { _, err := i.Create(ctx, draft); return err }))
		if _, err := i.Create(ctx, draft); !errors.Is(err, store.ErrExists) {
			t.Errorf("create, again: %v, want ErrExists: the first was made", err)
		}
		uncertain("save", lose(func() error {
			_, err := i.Save(ctx, id, setting("n", 1))
			return err
		}))
		if rec, err := i.Save(ctx, id, setting("n", 1)); err != nil || number(rec, "n") != 1 ||
			rec.Version != 3 {
			t.Errorf("save, again: version %d, %v", rec.Version, err)
		}
		change := store.Change{UserID: "bob"}
		uncertain("rotate", lose(func() error {
			_, err := i.Rotate(ctx, id, next, change)
			return err
		}))
		if _, err := i.Rotate(ctx, id, next, change); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("rotate, again: %v, want ErrNotFound: the session has moved", err)
		}
		if rec, err := i.Load(ctx, next, 0); err != nil || rec.UserID != "bob" {
			t.Errorf("the session that was moved: %v", err)
		}
		// Deleting twice equals deleting once, so the store repeats the call.
		err := loseIn(j, deleted, func() error { _, err := j.Delete(ctx, next); return err })
		if err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := i.Load(ctx, next, 0); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("the session that was deleted: %v", err)
		}
	}
	if n := pgtest.One[int](t, r.admin, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	t.Logf("%d lost answers", len(changed.sprung)+len(deleted.sprung))
}

// A revoke all of whose replies are lost is not reported as committed, and not
// refused. The cache gets a tombstone.
func TestARevokeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.open(withoutEmergency), r.open()
	id := a.create(t)
	a.warm(t, id)
	b.warm(t, id)
	// No new connection succeeds either.
	lost := a.toPostgres.trap("loss", "downstream", ended, "server_version\x00")
	lost.left.Store(1000)
	revoked, err := a.revoke(t, id)
	if !errors.Is(err, sessionstore.ErrOutcomeUnknown) || revoked.Committed {
		t.Fatalf("%+v, %v", revoked, err)
	}
	// in fact it was deleted
	if _, err := b.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("elsewhere: %v", err)
	}
	lost.left.Store(0)
	if revoked, err := a.Delete(t.Context(), id); err != nil || !revoked.Committed {
		t.Errorf("again: %+v, %v", revoked, err)
	}
}

// Connections are cut at any moment under load. An acknowledged change is
// there, and one that was refused is not.
func TestConnectionsThatAreCutAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutEmergency)
	lost := i.toPostgres.trap("loss", "downstream", "T\x00\x00", "D\x00\x00", "INSERT", "UPDATE",
		"DELETE", "1\x00\x00\x00", "2\x00\x00\x00")
	const visitors, turns = 8, 40
	type change struct {
		key string
		err error
	}
	ids := make([]store.ID, visitors)
	changes := make([][]change, visitors)
	var all sync.WaitGroup
	for v := range visitors {
		ids[v] = i.create(t)
	}
	for v := range visitors {
		all.Go(func() {
			for n := range turns {
				if n%5 == v%5 {
					lost.left.Store(1)
				}
				key := fmt.Sprintf("k%d", n)
				_, err := i.Save(context.Background(), ids[v], setting(key, n))
				changes[v] = append(changes[v], change{key, err})
			}
		})
	}
	all.Wait()
	lost.left.Store(0)

	var made, unmade, unknown, unknownMade int
	for v := range visitors {
		rec, err := i.Load(t.Context(), ids[v], 1<<40) // no cache has this version
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes[v] {
			there := has(rec, c.key)
			switch {
			case c.err == nil:
				made++
				if !there {
					t.Errorf("%s was acknowledged and is not there", c.key)
				}
			case errors.Is(c.err, sessionstore.ErrOutcomeUnknown):
				unknown++
				if there {
					unknownMade++
				}
			case errors.Is(c.err, sessionstore.ErrUnavailable):
				unmade++
				if there {
					t.Errorf("%s failed for certain and is there: %v", c.key, c.err)
				}
			default:
				t.Errorf("%s: %v", c.key, c.err)
			}
		}
	}
	t.Logf("%d changes made, %d refused, %d uncertain, of which %d were made", made, unmade,
		unknown, unknownMade)
	if unknown == 0 {
		t.Error("nothing was uncertain: this test sees nothing")
	}
}
