package outage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// No call is inside while the gate is shut. A call that waits for it gives up
// when its context ends.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		inside := false
		for range 100 {
			go func() {
				if g.enter(context.Background()) == nil {
					if inside {
						t.Error("a call is inside while the gate is shut")
					}
					time.Sleep(time.Second)
					g.leave()
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		g.shut()
		if time.Since(began) != time.Second {
			t.Errorf("shut after %v, want after all calls have left", time.Since(began))
		}
		inside = true
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := g.enter(ctx); !errors.Is(err, store.ErrUnavailable) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("out of time: %v", err)
		}
		ctx, leave := context.WithCancel(context.Background())
		leave()
		if err := g.enter(ctx); err != context.Canceled {
			t.Errorf("left: %v", err)
		}
		inside = false
		g.open()
		if err := g.enter(context.Background()); err != nil {
			t.Error(err)
		}
		g.leave()
		if len(g) != 0 {
			t.Errorf("%d calls are still inside", len(g))
		}
	})
}
