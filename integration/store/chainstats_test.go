package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// manager returns a Manager over the crew's pool. Its store counts for itself.
func (c *crew) manager() *sessionstore.Manager {
	c.t.Helper()
	m, err := sessionstore.New(c.t.Context(), c.pool, config(""))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = m.Close() })
	return m
}

// counted compares counts, and ignores durations.
func counted(t *testing.T, what string, got, want store.CallStats) {
	t.Helper()
	if (got.Took > 0) != (want.Statements > 0) {
		t.Errorf("%s: %d statements took %v", what, want.Statements, got.Took)
	}
	got.Took = 0
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestChainStatsOfCallsThatShareStatements(t *testing.T) {
	t.Parallel()
	c := hire(t)
	m := c.manager()
	inner := m.Store()
	before := m.Metrics().Postgres
	counted(t, "saves before any", before.Saves, store.CallStats{})
	if before.Pool.Max != 8 || before.Pool.Acquires == 0 || before.Pool.Waits == 0 ||
		before.Pool.Waited <= 0 || before.Pool.Used != 0 || before.Pool.Idle == 0 {
		t.Errorf("the pool: %+v", before.Pool)
	}

	ids := c.sessions(many)
	save := func(ctx context.Context, id store.ID) error {
		_, err := inner.Save(ctx, id, setting("saved", true))
		return err
	}
	release := c.jam(func(id store.ID) error { return save(context.Background(), id) })
	if used := m.Metrics().Postgres.Pool.Used; used != inFlight {
		t.Errorf("%d connections are used, want %d", used, inFlight)
	}
	c.together(many, release, func(ctx context.Context, i int) {
		if err := save(ctx, ids[i]); err != nil {
			t.Errorf("save %d: %v", i, err)
		}
	})
	counted(t, "saves", m.Metrics().Postgres.Saves, store.CallStats{
		Calls: inFlight + many, Statements: inFlight + (many+batch-1)/batch, Shared: many,
		Largest: batch,
	})
}

func TestChainStatsOfEveryOtherCall(t *testing.T) {
	t.Parallel()
	c := hire(t)
	m := c.manager()
	inner, ctx, id, next := m.Store(), t.Context(), testkit.NewID(), testkit.NewID()
	_, created := inner.Create(ctx, store.Draft{ID: id})
	_, loaded := inner.Load(ctx, id, 0)
	_, rotated := inner.Rotate(ctx, id, next, store.Change{UserID: "ada"})
	_, admitted := inner.Create(ctx,
		store.Draft{ID: testkit.NewID(), UserID: "ada", MaxSessions: 5})
	touched := inner.Touch(ctx, []store.Touch{{ID: next}, {ID: testkit.NewID()}, {ID: next}})
	_, deleted := inner.Delete(ctx, next)
	if err := errors.Join(created, loaded, rotated, admitted, touched, deleted); err != nil {
		t.Fatal(err)
	}
	got, alone := m.Metrics().Postgres, store.CallStats{Calls: 1, Statements: 1, Largest: 1}
	counted(t, "creates", got.Creates, store.CallStats{Calls: 2, Statements: 2, Largest: 1})
	counted(t, "loads", got.Loads, alone)
	counted(t, "saves", got.Saves, store.CallStats{})
	counted(t, "rotates", got.Rotates, alone)
	counted(t, "touches", got.Touches,
		store.CallStats{Calls: 2, Statements: 1, Shared: 2, Largest: 2})
	counted(t, "deletes", got.Deletes, alone)
}

func TestChainStatsOfCallsThatAreTooMany(t *testing.T) {
	t.Parallel()
	const room, tooMany = 4096, 3
	c := hire(t)
	m := c.manager()
	save := func(id store.ID) error {
		_, err := m.Store().Save(context.Background(), id, setting("saved", true))
		return err
	}
	release := c.jam(save)
	var all sync.WaitGroup
	for range room + tooMany {
		all.Go(func() {
			err := save(testkit.NewID())
			if !errors.Is(err, sessionstore.ErrNotFound) &&
				!errors.Is(err, sessionstore.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	testkit.Eventually(t, "some are refused", func() bool {
		return m.Metrics().Postgres.Saves.Overloaded == tooMany
	})
	release()
	all.Wait()
	got := m.Metrics().Postgres.Saves
	if got.Calls != inFlight+room+tooMany || got.Overloaded != tooMany {
		t.Errorf("%+v", got)
	}
}
