package postgres

import (
	"context"

	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxExpired is the number of expired sessions at which an estimate stops, in
// ExpiryEstimate and DistributedExpired.
const maxExpired = 10_000

// Stats implements [store.Store].
func (s *plainStore) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	return s.stats(ctx, exact, func(ctx context.Context, db querier, stats *store.Stats) error {
		estimate, err := s.queries.ExpiryEstimate(ctx, db)
		stats.Total, stats.Expired, stats.Exact = estimate.Total, estimate.Expired, estimate.Exact
		stats.Active = max(0, stats.Total-stats.Expired)
		return err
	})
}

// stats counts the sessions, or has them estimated.
func (b *base) stats(
	ctx context.Context, exact bool, estimate func(context.Context, querier, *store.Stats) error,
) (s store.Stats, err error) {
	run := func(ctx context.Context, db querier) error {
		prune, err := b.queries.ExpiryLastPrune(ctx, db)
		if err != nil {
			return err
		}
		s = store.Stats{LastPruneAt: prune.LastPruneAt.Time, CountedAt: prune.AskedAt, Exact: exact}
		if exact {
			return b.count(ctx, db, &s)
		}
		err = estimate(ctx, db, &s)
		s.Capped = !s.Exact && s.Expired >= maxExpired
		return err
	}
	err = b.exec.exec(ctx, statement{op: opStats, run: run, on: nodes.Everywhere})
	return s, err
}

// count reads the whole table.
func (b *base) count(ctx context.Context, db querier, s *store.Stats) error {
	count, err := b.queries.ExpiryCount(ctx, db)
	s.Total, s.Active, s.Expired = count.Total, count.Active, count.Total-count.Active
	return err
}

// Prune implements [store.Store], with the function that the migrations make.
func (b *base) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	run := func(ctx context.Context, db querier) error {
		deleted, err := b.queries.ExpiryPrune(ctx, db, int32(max))
		n, ok = int(deleted), deleted >= 0
		return err
	}
	err = b.exec.exec(ctx, statement{op: opPrune, run: run, on: nodes.Everywhere})
	if err != nil || !ok {
		return 0, false, err
	}
	return n, true, nil
}
