package sessionstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Small enough that a batch holds its locks for some milliseconds.
const pruneBatch = 1000

// Prune deletes the sessions that have expired, in small batches, and returns how many. When another instance is
// pruning it returns at once with what it has deleted so far. Expired sessions are dead without it; this only
// frees their space.
func (m *Manager) Prune(ctx context.Context) (int, error) {
	total, err := m.pruneBatches(ctx)
	if total > 0 {
		m.observe(ctx, Event{Kind: EventPruned, Count: total})
	}
	if err != nil {
		err = fmt.Errorf("sessionstore: prune: %w", err)
		if ctx.Err() == nil { // a program that shuts down is no failure
			m.observe(ctx, Event{Kind: EventPruneFailed, Err: err})
		}
	}
	return total, err
}

func (m *Manager) pruneBatches(ctx context.Context) (total int, err error) {
	for {
		n, ok, err := m.store.Prune(ctx, pruneBatch)
		total += n
		if err != nil || !ok || n < pruneBatch {
			return total, err
		}
	}
}

// pruneForever prunes until ctx ends. The interval varies between half and one and a half times what is configured,
// and begins afresh after each run, so that instances started together drift apart.
func (m *Manager) pruneForever(ctx context.Context) {
	if m.cfg.PruneInterval < 0 {
		<-ctx.Done()
		return
	}
	timer := time.NewTimer(jitter(m.cfg.PruneInterval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			_, _ = m.Prune(ctx) // the observer is told
			timer.Reset(jitter(m.cfg.PruneInterval))
		}
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
