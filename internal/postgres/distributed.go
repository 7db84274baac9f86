package postgres

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// On a table that Citus has distributed nothing is shared: a call is a statement of its own, and goes to the one node that has
// the session. A statement for many would ask every node, fail for everybody when one is away, and could not lock its
// rows in order, which is what keeps statements for many from deadlocks. One for a single row has nothing to hold while it waits.

// look finds out whether the table is distributed. Once it is, the store keeps to that: these statements run on any table.
func (p *Store) look(ctx context.Context, db querier) error {
	if p.distributed.Load() {
		return nil
	}
	is, err := schema.Distributed(ctx, db, p.schema)
	if err == nil && is {
		p.distributed.Store(true)
	}
	return err
}

// connections is how many statements can run at once.
func (p *Store) connections() int { return int(p.pool.Config().MaxConns) }

// touchEach touches each session by itself: where the table is distributed, or
// its row is locked. It leaves half of the connections to requests.
func (p *Store) touchEach(ctx context.Context, touches []store.Touch) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout) // for all of them
	defer cancel()
	errs := make([]error, len(touches))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(len(touches), max(1, p.connections()/2)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(touches)); i = next.Add(1) - 1 {
				errs[i] = p.touchOne(ctx, &touches[i])
			}
		})
	}
	all.Wait()
	failed := 0
	var first error
	for _, err := range errs {
		if err != nil {
			failed++
			first = cmp.Or(first, err)
		}
	}
	if first != nil {
		return fmt.Errorf("%d of %d sessions: %w", failed, len(touches), first)
	}
	return nil
}

func (p *Store) touchOne(ctx context.Context, t *store.Touch) error {
	arg := &gen.DistributedTouchParams{
		ID: t.ID[:], IP: ipOrNull(t.IP), UserAgent: orNull(t.UserAgent),
		Idle: span(p.expiry.Idle, !p.expiry.Fixed), Resolution: p.expiry.Resolution(),
	}
	if !p.distributed.Load() {
		_, _, err := p.waitForRow(ctx, t.ID, rowCall{opTouch, func(ctx context.Context, db querier) (*store.Record, error) {
			_, err := p.queries.DistributedTouch(ctx, db, arg)
			return &store.Record{}, err
		}})
		return err
	}
	p.tallies[opTouch].alone(1)
	err := p.run(ctx, opTouch, func(ctx context.Context, db querier) error {
		_, err := p.queries.DistributedTouch(ctx, db, arg)
		return err
	})
	if rowFault(err) {
		p.passOver(ctx, t, err)
		return nil
	}
	return err
}

// guarded runs statements that begin with a lock on a distributed table, and are a transaction there. They are told which
// it is, and don't look themselves: outside a transaction the lock would be gone at once.
func (p *Store) guarded(ctx context.Context, conn *pgxpool.Conn, statements func(db querier, apart bool) error) error {
	if p.distributed.Load() {
		return p.transaction(ctx, conn, func(db querier) error { return statements(db, true) })
	}
	return statements(p.in(conn), false)
}

// holdRevokes keeps whoever revokes all sessions of this one's user, or of everybody, waiting until the transaction ends.
func (p *Store) holdRevokes(ctx context.Context, db querier, id store.ID) error {
	userID, err := p.queries.DistributedUser(ctx, db, id[:])
	if err != nil {
		return err
	}
	return p.queries.DistributedLock(ctx, db, userID)
}

// revokeApart ends the sessions of a user. db is a transaction, and what holdRevokes holds waits for its end.
func (p *Store) revokeApart(ctx context.Context, db querier, s store.Selection) ([][]byte, error) {
	if err := p.queries.OwnerLock(ctx, db, s.UserID); err != nil {
		return nil, err
	}
	if s.Keep > 0 {
		return p.queries.DistributedTrim(ctx, db, s.UserID, int32(s.Keep))
	}
	return p.queries.DistributedRevoke(ctx, db, s.UserID, s.Except[:])
}

// Below smallTable bytes an estimate counts, as ExpiryEstimate does; above, it counts what is in samplePages of the pages.
const (
	smallTable  = 16 << 20
	samplePages = 2000
	pageBytes   = 8192
)

// estimateApart is the estimate of Stats: the table of the coordinator is empty, and has no size.
func (p *Store) estimateApart(ctx context.Context, db querier, s *store.Stats) error {
	size, err := schema.Bytes(ctx, db, p.schema)
	if err != nil {
		return err
	}
	if s.Exact = size <= smallTable; s.Exact {
		count, err := p.queries.ExpiryCount(ctx, db)
		s.Total, s.Active, s.Expired = count.Total, count.Active, count.Total-count.Active
		return err
	}
	share := min(1, samplePages*pageBytes/float64(size))
	sample, err := p.queries.DistributedSample(ctx, db, float32(100*share))
	if err != nil {
		return err
	}
	s.Total = int64(float64(sample) / share)
	s.Expired, err = p.queries.DistributedExpired(ctx, db)
	s.Active = max(0, s.Total-s.Expired)
	return err
}
