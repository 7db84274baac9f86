package sessionstore

import (
	"context"
	"fmt"
)

// Stats counts the sessions. It reads them all: for a big table see
// [Manager.Estimate].
func (m *Manager) Stats(ctx context.Context) (Stats, error) { return m.stats(ctx, true) }

// Estimate counts the sessions cheaply: exactly up to a table of 16 MiB, and by
// the planner's statistics above. Stats.Exact reports which. An estimate counts
// at most 10,000 expired sessions: if it is Stats.Capped, there are at least so
// many, and at most Stats.Active are alive.
func (m *Manager) Estimate(ctx context.Context) (Stats, error) { return m.stats(ctx, false) }

func (m *Manager) stats(ctx context.Context, exact bool) (Stats, error) {
	stats, err := m.store.Stats(ctx, exact)
	if err != nil {
		return Stats{}, fmt.Errorf("sessionstore: stats: %w", err)
	}
	return stats, nil
}
