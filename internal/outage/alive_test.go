package outage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// In an emergency Alive answers for the sessions that began or ended here. For
// all others it returns an error.
func TestAliveInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
		inner := outagetest.New(t, halfMinute, expiry)
		ctx := t.Context()
		create := func(id byte) store.ID {
			rec, err := inner.Create(ctx, store.Draft{ID: store.ID{id}, UserID: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			return rec.ID
		}
		before, loggedOut := create(1), create(2)
		down := inner.Postgres.Down(store.OpAlive, store.OpLoad)
		inner.Detector.Begin(store.ErrUnavailable)
		began, over := create(3), create(4)
		for _, id := range []store.ID{loggedOut, over} {
			if _, err := inner.Delete(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		inner.Postgres.Forget()
		alive, ended, err := inner.Alive(ctx, []store.ID{before, loggedOut, began, over})
		expect(t, "alive", fmt.Sprint(alive), fmt.Sprint([]store.ID{began}))
		expect(t, "ended", fmt.Sprint(ended), fmt.Sprint([]store.ID{loggedOut, over}))
		expect(t, "error", errors.Is(err, store.ErrUnavailable), true)
		_, _, err = inner.Alive(ctx, []store.ID{began, over})
		expect(t, "error for sessions of this process", err, nil)
		expect(t, "calls of Postgres", asked(inner.Postgres), "")

		down.Release()
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

func TestAliveGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	inner := outagetest.Wire(memory.New(expiry, memory.Options{}), nil, halfMinute, expiry, nil)
	defer inner.Close()
	for _, ids := range [][]store.ID{nil, {{1}}} {
		if _, _, err := inner.Alive(ctx, ids); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
	}
}
