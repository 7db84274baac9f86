package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// vanishing is a Postgres that can go away.
type vanishing struct {
	store.Store
	away  atomic.Bool
	asked atomic.Int32
}

func (o *vanishing) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	o.asked.Add(1)
	if o.away.Load() {
		return nil, nil, fmt.Errorf("%w: nobody there", sessionstore.ErrUnavailable)
	}
	return o.Store.Alive(ctx, ids)
}

func (o *vanishing) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	if o.away.Load() {
		return store.Record{}, fmt.Errorf("%w: nobody there", sessionstore.ErrUnavailable)
	}
	return o.Store.Load(ctx, id, floor)
}

// In an emergency what this process knows is told, and what it does not know is neither alive nor dead.
func TestAliveInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
		truth := &vanishing{Store: sessionstore.NewMem(expiry, 0)}
		inner := sessionstore.NewEmergency(truth, newSlotCache(), halfMinute, expiry, nil)
		ctx := t.Context()
		create := func(id byte) store.ID {
			rec, err := inner.Create(ctx, store.Draft{ID: store.ID{id}, UserID: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			return rec.ID
		}
		before, loggedOut := create(1), create(2)
		truth.away.Store(true)
		inner.Begin(sessionstore.ErrUnavailable)
		began, over := create(3), create(4)
		for _, id := range []store.ID{loggedOut, over} {
			if _, err := inner.Delete(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		asked := truth.asked.Load()
		alive, ended, err := inner.Alive(ctx, []store.ID{before, loggedOut, began, over})
		expect(t, "alive", fmt.Sprint(alive), fmt.Sprint([]store.ID{began}))
		expect(t, "ended", fmt.Sprint(ended), fmt.Sprint([]store.ID{loggedOut, over}))
		expect(t, "error", errors.Is(err, sessionstore.ErrUnavailable), true)
		_, _, err = inner.Alive(ctx, []store.ID{began, over})
		expect(t, "error of what is known here", err, nil)
		expect(t, "questions to Postgres, which is away", truth.asked.Load(), asked)

		truth.away.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		alive, ended, err = inner.Alive(ctx, []store.ID{before, loggedOut, began, over})
		expect(t, "alive afterwards", fmt.Sprint(alive), fmt.Sprint([]store.ID{before, began}))
		expect(t, "ended afterwards", fmt.Sprint(ended), fmt.Sprint([]store.ID{loggedOut, over}))
		expect(t, "error afterwards", err, nil)
		if err := inner.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The cache has not heard of a revoke: the truth is asked.
func TestAliveAsksTheTruth(t *testing.T) {
	expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	truth := sessionstore.NewMem(expiry, 0)
	cache := newSlotCache()
	inner := sessionstore.NewCached(truth, cache, halfMinute, expiry)
	t.Cleanup(inner.Close)
	rec, err := inner.Create(t.Context(), store.Draft{ID: store.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Save(t.Context(), rec.ID, store.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := truth.Delete(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Load(t.Context(), rec.ID, 0); err != nil {
		t.Fatal("the cache does not have it, so this shows nothing: ", err)
	}
	alive, ended, err := inner.Alive(t.Context(), []store.ID{rec.ID})
	expect(t, "alive, ended", fmt.Sprint(len(alive), len(ended), err), "0 1 <nil>")
}

func TestAliveGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	inner := sessionstore.NewEmergency(sessionstore.NewMem(expiry, 0), nil, halfMinute, expiry, nil)
	defer inner.Close()
	for _, ids := range [][]store.ID{nil, {{1}}} {
		if _, _, err := inner.Alive(ctx, ids); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
	}
}
