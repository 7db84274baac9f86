package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// More sessions are locked than there are slots, and each has more calls than
// there are connections.
func TestLockedRowsHoldUpNoOtherSession(t *testing.T) {
	t.Parallel()
	const locked, callers = 2 * inFlight, 20
	c := hire(t)
	stuck, free := c.sessions(locked), c.sessions(many)
	unlock := c.lock(stuck...)

	var waiters sync.WaitGroup
	for i, id := range stuck {
		for n := range callers {
			waiters.Go(func() {
				var err error
				switch {
				case n == 0:
					err = c.store.Touch(context.Background(), []store.Touch{{ID: id}})
				case i == 0 && n == callers-1: // it comes before or after the saves
					_, err = c.store.Rotate(context.Background(), id, testkit.NewID(),
						store.Change{})
				default:
					_, err = c.store.Save(context.Background(), id,
						setting("k"+string(value(n)), n))
				}
				if err != nil && (i > 0 || !errors.Is(err, sessionstore.ErrNotFound)) {
					t.Errorf("a call for a locked session: %v", err)
				}
			})
		}
	}
	for range callers {
		waiters.Go(func() {
			if _, err := c.store.Delete(context.Background(), stuck[0]); err != nil {
				t.Errorf("the logout of a locked session: %v", err)
			}
		})
	}
	testkit.Eventually(t, "calls wait for their rows", func() bool {
		return pgtest.One[int](t, c.admin, waiting) >= locked
	})

	began := time.Now()
	var all sync.WaitGroup
	for i, id := range free {
		all.Go(func() {
			if _, err := c.store.Load(t.Context(), id, 0); err != nil {
				t.Errorf("load: %v", err)
			}
			if rec, err := c.store.Save(t.Context(),
				id, setting("saved", i)); err != nil || rec.Version != 2 {
				t.Errorf("save: version %d, %v", rec.Version, err)
			}
			if _, err := c.store.Rotate(t.Context(), id, testkit.NewID(),
				store.Change{UserID: "ada"}); err != nil {
				t.Errorf("login: %v", err)
			}
			fresh := testkit.NewID()
			if _, err := c.store.Create(t.Context(), store.Draft{ID: fresh}); err != nil {
				t.Errorf("create: %v", err)
			}
			if err := c.store.Touch(t.Context(), []store.Touch{{ID: fresh}}); err != nil {
				t.Errorf("touch: %v", err)
			}
			if _, err := c.store.Delete(t.Context(), fresh); err != nil {
				t.Errorf("logout: %v", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > timeout {
		t.Errorf("the others took %v: they waited", took)
	}
	if n := pgtest.One[int](t, c.admin, waiting); n > locked {
		t.Errorf("%d statements wait for %d rows", n, locked)
	}
	unlock()
	waiters.Wait()
	for _, id := range stuck[1:] {
		if rec := c.load(id); rec.Version != callers {
			t.Errorf("version %d, want %d", rec.Version, callers)
		}
	}
}

// A touch of many updates all but the one that is locked, and that one later.
func TestTouchOfManyWithALockedOne(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(50)
	pgtest.Exec(t, c.admin, "UPDATE pgsession.sessions SET last_seen_at = now() - interval '10 minutes', created_at = now() - interval '10 minutes'")
	unlock := c.lock(ids[20])
	touches := make([]store.Touch, len(ids), len(ids)+1)
	for i, id := range ids {
		touches[i].ID = id
	}
	touches = append(touches, store.Touch{ID: testkit.NewID()}) // it has ended
	touched := make(chan error, 1)
	go func() { touched <- c.store.Touch(context.Background(), touches) }()
	const seen = `SELECT count(*) FROM pgsession.sessions
		WHERE last_seen_at > now() - interval '5 minutes'`
	testkit.Eventually(t, "the others are touched", func() bool {
		return pgtest.One[int](t, c.admin, seen) == len(ids)-1
	})
	unlock()
	if err := <-touched; err != nil {
		t.Error(err)
	}
	if n := pgtest.One[int](t, c.admin, seen); n != len(ids) {
		t.Errorf("%d of %d sessions were touched", n, len(ids))
	}
}

// Saves of one session share a transaction, and each gets the answer that it
// would get alone.
func TestSavesOfOneSessionAreMerged(t *testing.T) {
	t.Parallel()
	const savers = batch
	c := hire(t)
	id := c.sessions(1)[0]
	var mu sync.Mutex
	versions := map[int64]store.Record{}
	c.together(savers, c.jamSaves(), func(ctx context.Context, i int) {
		change := setting("last", i)
		change.Set["k"+string(value(i))] = value(i)
		rec, err := c.store.Save(ctx, id, change)
		if err != nil || read[int](t, rec, "last") != i {
			t.Errorf("save %d: %s, %v", i, rec.Data, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		versions[rec.Version] = rec
	})
	if len(versions) != savers {
		t.Fatalf("%d versions, want %d", len(versions), savers)
	}
	for v := range int64(savers) { // the session began as version 1, with one value
		var data map[string]json.RawMessage
		if err := json.Unmarshal(versions[v+2].Data, &data); err != nil || len(data) != int(v)+3 {
			t.Errorf("version %d: %d values, %v", v+2, len(data), err)
		}
	}
	if rec := c.load(id); rec.Version != 1+savers ||
		string(rec.Data) != string(versions[1+savers].Data) {
		t.Errorf("version %d: %s", rec.Version, rec.Data)
	}
	// The shared statement has one of them. The first of the rest is alone, and
	// the others follow together.
	if n := c.sent.Count("commit"); n > 3 {
		t.Errorf("%d transactions", n)
	}
}

// One of them is refused: the others are saved.
func TestOneRefusedSaveOfASession(t *testing.T) {
	t.Parallel()
	const savers = 20
	c := hire(t)
	id := c.sessions(1)[0]
	c.together(savers, c.jamSaves(), func(ctx context.Context, i int) {
		change := setting("k"+string(value(i)), i)
		if i == savers/2 {
			change.Set["nul"] = json.RawMessage(`"\u0000"`)
		}
		if _, err := c.store.Save(ctx, id, change); (err != nil) != (i == savers/2) {
			t.Errorf("save %d: %v", i, err)
		}
	})
	if rec := c.load(id); rec.Version != savers {
		t.Errorf("version %d, want %d", rec.Version, savers)
	}
}

// A row that stays locked is no outage. The call fails alone, before its
// deadline, and the connection is good.
func TestARowThatStaysLocked(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const patience = 6 * time.Second // to begin, on a busy machine, what then waits for the lock
	store, pool, sent := c.another(patience)
	id := c.sessions(1)[0]
	unlock := c.lock(id)
	var errs []error
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			_, err := store.Save(context.Background(), id, setting("k", i))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	unlock()
	for _, err := range errs {
		if !errors.Is(err, sessionstore.ErrUnavailable) ||
			errors.Is(err, sessionstore.ErrOutcomeUnknown) {
			t.Errorf("%v, want ErrUnavailable, and that nothing was done", err)
		}
	}
	if sent.Refused("55P03") == 0 {
		t.Error("the server did not give up by itself")
	}
	if rec := c.load(id); rec.Version != 1 {
		t.Errorf("version %d", rec.Version)
	}
	if s := pool.Stat(); s.NewConnsCount() > int64(s.MaxConns()) {
		t.Errorf("%d connections were made", s.NewConnsCount())
	}
}

// Statements for many take the unlocked rows, whatever the order of the ids,
// and wait for nothing.
func TestSharedStatementsWaitForNoRow(t *testing.T) {
	t.Parallel()
	c := hire(t)
	for name, jam := range map[string]func() func(){"save": c.jamSaves, "rotate": c.jamRotates} {
		ids := c.sessions(8)
		slices.SortFunc(ids, func(a, b store.ID) int { return slices.Compare(a[:], b[:]) })
		unlock := func() {}
		release := jam()
		var free sync.WaitGroup
		free.Add(len(ids)) // all calls but one, and the jam
		go func() {
			free.Wait()
			if n := pgtest.One[int](t, c.admin, waiting+" AND query LIKE '%Many%'"); n != 0 {
				t.Errorf("%d shared statements wait", n)
			}
			unlock()
		}()
		c.together(len(ids), func() { unlock = c.lock(ids[0]); release(); free.Done() },
			func(ctx context.Context, i int) {
				var err error
				if name == "save" {
					_, err = c.store.Save(ctx, ids[i], setting("saved", i))
				} else {
					_, err = c.store.Rotate(ctx, ids[i], testkit.NewID(), store.Change{})
				}
				if err != nil {
					t.Errorf("%s %d: %v", name, i, err)
				}
				if i > 0 {
					free.Done()
				}
			})
	}
}
