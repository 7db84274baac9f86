package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const many = 200

// The most calls that share a statement.
const batch = 64

// wantShared fails unless n calls shared the fewest statements possible. A save
// or a rotate that comes alone has a statement of the same name.
func (c *crew) wantShared(kind string, n int) {
	c.t.Helper()
	alone := inFlight
	if kind == "SessionCreate" {
		alone = 0
	}
	if got, want := c.sent.Count(kind+"Many")-alone, (n+batch-1)/batch; got != want {
		c.t.Errorf("%d calls shared %d statements, want %d", n, got, want)
	}
}

func TestCombinedCreatesGetEachItsOwn(t *testing.T) {
	t.Parallel()
	c := hire(t)
	release := c.jamCreates()
	c.together(many, release, func(ctx context.Context, i int) {
		id := testkit.NewID()
		user := ""
		if i%2 == 0 {
			user = "user" + string(value(i))
		}
		rec, err := c.store.Create(ctx,
			store.Draft{ID: id, UserID: user, Data: value(map[string]int{"n": i})})
		if err != nil || rec.ID != id || rec.UserID != user || rec.Version != 1 ||
			rec.AuthenticatedAt.IsZero() == (user != "") {
			t.Errorf("create %d: %v %q %d: %v", i, rec.ID, rec.UserID, rec.Version, err)
			return
		}
		if n := read[int](t, rec, "n"); n != i {
			t.Errorf("create %d got the data of %d", i, n)
		}
		if n := read[int](t, c.load(id), "n"); n != i {
			t.Errorf("create %d stored the data of %d", i, n)
		}
	})
	c.wantShared("SessionCreate", many)
}

// jamCreates takes the slots with creates whose ids another transaction is
// about to take. It gives them up.
func (c *crew) jamCreates() (release func()) {
	c.t.Helper()
	tx, err := c.admin.Begin(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	var jammed sync.WaitGroup
	for range inFlight {
		id := testkit.NewID()
		const insert = "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES ($1, now(), now())"
		if _, err := tx.Exec(c.t.Context(), insert, id[:]); err != nil {
			c.t.Fatal(err)
		}
		jammed.Go(func() {
			if _, err := c.store.Create(context.Background(), store.Draft{ID: id}); err != nil {
				c.t.Errorf("a create that had to wait: %v", err)
			}
		})
	}
	testkit.Eventually(c.t, "all slots are taken", func() bool {
		return pgtest.One[int](c.t, c.admin, waiting) == inFlight
	})
	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()); jammed.Wait() })
	c.t.Cleanup(release)
	return release
}

func TestCombinedSavesGetEachItsOwn(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(many)
	c.together(many, c.jamSaves(), func(ctx context.Context, i int) {
		change := setting("saved", i)
		change.UserAgent = "agent " + string(value(i))
		if i%3 == 0 {
			change.Removed = []string{"n"}
		}
		rec, err := c.store.Save(ctx, ids[i], change)
		if err != nil || rec.ID != ids[i] || rec.Version != 2 ||
			rec.UserAgent != change.UserAgent || read[int](t, rec, "saved") != i {
			t.Errorf("save %d: %+v: %v", i, rec, err)
			return
		}
		if has := strings.Contains(string(rec.Data), `"n"`); has == (i%3 == 0) {
			t.Errorf("save %d: what another removed is gone, or stays: %s", i, rec.Data)
		}
		if n := read[int](t, c.load(ids[i]), "saved"); n != i {
			t.Errorf("save %d stored the data of %d", i, n)
		}
	})
	c.wantShared("SessionSave", many)
}

func TestCombinedSavesHandNoDataToAnotherUser(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(many)
	pgtest.Exec(t, c.admin,
		"UPDATE pgsession.sessions SET user_id = 'ada' WHERE (data ->> 'n')::int % 2 = 0")
	c.together(many, c.jamSaves(), func(ctx context.Context, i int) {
		change := setting("saved", i)
		change.UserID = []string{"ada", "bob"}[i/2%2]
		rec, err := c.store.Save(ctx, ids[i], change)
		if err != nil || rec.UserID != change.UserID || read[int](t, rec, "saved") != i {
			t.Errorf("save %d: %+v: %v", i, rec, err)
			return
		}
		adas := i%2 == 0
		if has := strings.Contains(string(rec.Data), `"n"`); has == (adas && rec.UserID == "bob") {
			t.Errorf("save %d by %s of a session that was ada's: %t: %s", i, rec.UserID, adas,
				rec.Data)
		}
	})
	c.wantShared("SessionSave", many)
}

func TestCombinedRotatesGetEachItsOwn(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(many)
	release := c.jamRotates()
	c.together(many, release, func(ctx context.Context, i int) {
		id := testkit.NewID()
		rec, err := c.store.Rotate(ctx, ids[i], id, setting("rotated", i))
		if err != nil || rec.ID != id || rec.Version != 2 || read[int](t, rec, "rotated") != i ||
			read[int](t, rec, "n") != i {
			t.Errorf("rotate %d: %+v: %v", i, rec, err)
		}
	})
	c.wantShared("SessionRotate", many)
	n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions")
	if n != many+inFlight {
		t.Errorf("%d rows, want %d", n, many+inFlight)
	}
}

func (c *crew) jamRotates() (release func()) {
	return c.jam(func(id store.ID) error {
		_, err := c.store.Rotate(context.Background(), id, testkit.NewID(), store.Change{})
		return err
	})
}

// The poisoned call is in the middle, so that it shares a statement with
// neighbours before it and after it.
const poisoned = 20

func TestOneRefusedCreateDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	nul := json.RawMessage(`{"k": "\u0000"}`)
	for name, poison := range map[string]struct {
		data  json.RawMessage
		taken bool
		want  func(error) bool
	}{
		"its id is taken": {taken: true, want: func(err error) bool {
			return errors.Is(err, store.ErrExists)
		}},
		"NUL in its data": {data: nul, want: func(err error) bool {
			return err != nil && !errors.Is(err, sessionstore.ErrUnavailable)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			taken := c.sessions(1)[0]
			c.together(2*poisoned, c.jamCreates(), func(ctx context.Context, i int) {
				draft := store.Draft{ID: testkit.NewID(), Data: value(map[string]int{"n": i})}
				if i != poisoned {
					rec, err := c.store.Create(ctx, draft)
					if err != nil || rec.ID != draft.ID || rec.Version != 1 {
						t.Errorf("neighbour %d: %v", i, err)
					}
					return
				}
				if poison.taken {
					draft.ID = taken
				}
				if poison.data != nil {
					draft.Data = poison.data
				}
				if _, err := c.store.Create(ctx, draft); !poison.want(err) {
					t.Errorf("the poisoned one: %v", err)
				}
			})
			if n := pgtest.One[int](t, c.admin,
				"SELECT count(*) FROM pgsession.sessions"); n != 1+inFlight+2*poisoned-1 {
				t.Errorf("%d rows", n)
			}
			if n := read[int](t, c.load(taken), "n"); n != 0 {
				t.Error("the session that was there has changed")
			}
			if c.sent.Count("SessionCreateMany") == 0 {
				t.Error("no statement was shared")
			}
		})
	}
}

func TestOneRefusedSaveDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]struct {
		change store.Change
		gone   bool
		want   func(error) bool
	}{
		"NUL in its data": {
			change: store.Change{Set: map[string]json.RawMessage{"k": json.RawMessage(`"\u0000"`)}},
			want:   refusedData,
		},
		"its data is too big": {
			change: setting("k", strings.Repeat("x", 1<<20+1)), want: refusedData,
		},
		"its session is gone": {change: setting("k", 1), gone: true, want: func(err error) bool {
			return errors.Is(err, sessionstore.ErrNotFound)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			ids := c.sessions(2 * poisoned)
			if poison.gone {
				ids[poisoned] = testkit.NewID()
			}
			c.together(len(ids), c.jamSaves(), func(ctx context.Context, i int) {
				if i == poisoned {
					if _, err := c.store.Save(ctx, ids[i], poison.change); !poison.want(err) {
						t.Errorf("the poisoned one: %v", err)
					}
					return
				}
				// Version 2: saved once, not once with the others and once more
				// alone.
				if rec, err := c.store.Save(ctx, ids[i], setting("saved", i)); err != nil ||
					rec.Version != 2 || read[int](t, rec, "saved") != i {
					t.Errorf("neighbour %d: version %d, %v", i, rec.Version, err)
				}
			})
			if !poison.gone && c.load(ids[poisoned]).Version != 1 {
				t.Error("the refused save has changed something")
			}
			if c.sent.Count("SessionSaveMany") == 0 {
				t.Error("no statement was shared")
			}
		})
	}
}

func refusedData(err error) bool {
	return err != nil && !errors.Is(err, sessionstore.ErrUnavailable) &&
		!errors.Is(err, sessionstore.ErrNotFound)
}

func TestOneRefusedRotateDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(2 * poisoned)
	taken := c.sessions(1)[0]
	c.together(len(ids), c.jamRotates(), func(ctx context.Context, i int) {
		if i == poisoned {
			_, err := c.store.Rotate(ctx, ids[i], taken, store.Change{UserID: "mallory"})
			if !errors.Is(err, store.ErrExists) {
				t.Errorf("the poisoned one: %v", err)
			}
			return
		}
		id := testkit.NewID()
		if rec, err := c.store.Rotate(ctx, ids[i], id, store.Change{}); err != nil ||
			rec.ID != id || rec.Version != 2 || read[int](t, rec, "n") != i {
			t.Errorf("neighbour %d: version %d, %v", i, rec.Version, err)
		}
	})
	if rec := c.load(ids[poisoned]); rec.Version != 1 || rec.UserID != "" {
		t.Errorf("the session whose rotate was refused: %+v", rec)
	}
	if rec := c.load(taken); rec.Version != 1 || rec.UserID != "" {
		t.Errorf("the session whose id was wanted: %+v", rec)
	}
}
