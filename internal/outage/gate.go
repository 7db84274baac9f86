package outage

import (
	"context"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// gate is held by many callers at once, or shut by a restore that is alone. A
// caller that waits for it gives up when its context ends, which it could not
// with a sync.RWMutex.
type gate chan struct{}

func newGate() gate { return make(gate, 1024) }

// enter waits while the gate is shut.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	return fmt.Errorf(
		"%w: timeout while sessions are restored: %w", store.ErrUnavailable, ctx.Err())
}

func (g gate) leave() { <-g }

// shut waits until all callers have left. Only one goroutine may shut the gate
// at a time.
func (g gate) shut() {
	for range cap(g) {
		g <- struct{}{}
	}
}

func (g gate) open() {
	for range cap(g) {
		<-g
	}
}
