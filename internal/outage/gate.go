package outage

import (
	"context"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// gate lets many in, or one who shuts it and is alone. Who waits at it gives up when its context ends, which a
// sync.RWMutex can't do.
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
	return fmt.Errorf("%w: no answer in time: %w", store.ErrUnavailable, ctx.Err())
}

func (g gate) leave() { <-g }

// shut waits till all have left. Only one may shut it at a time.
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
