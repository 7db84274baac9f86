package sessionstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// Small enough that a batch keeps a processor of the server for some
	// milliseconds at most: a load that comes meanwhile may have to wait that
	// long.
	pruneBatch = 100
	// After each batch the pruner rests this many times as long as the batch
	// took, so that requests have most of the server, however slow it is.
	pruneRest = 3
	// In the background it rests so long that less than one load in a hundred
	// meets a batch, and the p99 of loads stays what it is without a prune.
	pruneGentleRest = 150
	// A run in the background that has not come to an end by then goes on at
	// the other pace: gentle is for sites where a hundred sessions expire in a
	// second, and a larger one must keep up too.
	pruneGentle = 10 * time.Minute
)

// Prune deletes the sessions that have expired, and reasons for [Session.Ended]
// that are too old, in small batches with rests between them. It returns how
// many. When another instance is pruning it returns at once with what it has
// deleted so far. Expired sessions are dead without it; this only frees their
// space. It takes up to a quarter of the server's time of one processor;
// [Manager.Run] is gentler.
func (m *Manager) Prune(ctx context.Context) (int, error) { return m.prune(ctx, 0) }

// prune is gentle for so long.
func (m *Manager) prune(ctx context.Context, gentle time.Duration) (int, error) {
	total, err := m.pruneBatches(ctx, time.Now().Add(gentle))
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

func (m *Manager) pruneBatches(ctx context.Context, hurry time.Time) (total int, err error) {
	for {
		began := time.Now()
		n, ok, err := m.store.Prune(ctx, pruneBatch)
		total += n
		if err != nil || !ok || n < pruneBatch {
			return total, err
		}
		took := time.Since(began)
		// A batch that had to wait itself does not put off the hurry.
		pause := max(pruneRest*took, min(pruneGentleRest*took, time.Until(hurry)))
		if err := rest(ctx, pause); err != nil {
			return total, err
		}
	}
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// pruneForever prunes until ctx ends. The interval varies between half and one
// and a half times what is configured, and begins afresh after each run, so
// that instances started together drift apart.
func (m *Manager) pruneForever(ctx context.Context) {
	if m.cfg.DisablePrune {
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
			_, _ = m.prune(ctx, pruneGentle) // an event reports an error
			timer.Reset(jitter(m.cfg.PruneInterval))
		}
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
