package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var (
	// errLeftOut: a shared statement left the call out. Another transaction
	// holds the row, or another call of the same statement changes it.
	errLeftOut = errors.New("left out of a shared statement")
	// errLocked: another transaction held the row for the whole time of the
	// call.
	errLocked = fmt.Errorf("%w: another transaction holds the lock on the session's row", store.ErrUnavailable)
)

// lockedRows runs the calls that shared statements left out. They queue by row,
// and logins that count the user's sessions by user. A row takes one
// connection, and all rows together half of the pool, so a locked row holds up
// the calls for its own session and no others.
type lockedRows struct {
	places chan struct{} // one for each row that has a connection

	mu     sync.Mutex
	queues map[store.ID]*rowQueue
}

// rowQueue is there while a call waits for its row.
type rowQueue struct {
	calls   *batch.Combiner[rowCall, *store.Record]
	callers int // guarded by lockedRows.mu
}

// rowCall is a call for one row.
type rowCall struct {
	op    operation
	write func(context.Context, querier) (*store.Record, error)
}

func newLockedRows(connections int) *lockedRows {
	return &lockedRows{places: make(chan struct{}, max(1, connections/2)), queues: map[store.ID]*rowQueue{}}
}

// waitForRow runs a call that was left out, after those that came before it.
func (p *Store) waitForRow(ctx context.Context, id store.ID, call rowCall) (_ store.Record, left bool, err error) {
	q := p.locked.enter(p, id)
	defer p.locked.leave(id, q)
	rec, calls, err := q.calls.DoCounted(ctx, call)
	if p.Tracer != nil {
		trace.NoteCalls(ctx, calls)
	}
	left = errors.Is(err, batch.ErrLeft)
	switch {
	case err == nil:
		return *rec, false, nil
	case errors.Is(err, batch.ErrOverloaded):
		err = ErrBusy
	case errors.Is(err, context.Canceled):
		err = context.Canceled
	case !errors.Is(err, store.ErrUnavailable) && errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", errLocked, context.DeadlineExceeded)
	}
	return store.Record{}, left, err
}

func (l *lockedRows) enter(p *Store, id store.ID) *rowQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[id]
	if q == nil {
		retry := func(err error) bool { return retrySingly(err) && !errors.Is(err, errLocked) }
		q = &rowQueue{calls: batch.New(p.writeRow, batch.Config{InFlight: 1, Timeout: p.timeout, Retry: retry})}
		l.queues[id] = q
	}
	q.callers++
	return q
}

func (l *lockedRows) leave(id store.ID, q *rowQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.callers--; q.callers == 0 {
		delete(l.queues, id)
	}
}

// writeRow runs calls for one row, in their order and in one transaction. Each
// is answered with the row as that call left it.
func (p *Store) writeRow(ctx context.Context, calls []rowCall) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	select {
	case p.locked.places <- struct{}{}:
		defer func() { <-p.locked.places }()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, context.Canceled
		}
		return nil, fmt.Errorf("%w: %w", errLocked, ctx.Err())
	}
	results := make([]result, len(calls))
	op := calls[0].op
	err := p.do(ctx, op, func(ctx context.Context) error {
		return p.on(ctx, op, func(conn *pgxpool.Conn) error {
			return p.transaction(ctx, conn, func(db querier) error {
				if err := p.queries.CatalogLockTimeout(ctx, db, lockTimeout(ctx)); err != nil {
					return err
				}
				for i := range calls {
					rec, err := calls[i].write(ctx, db)
					if errors.Is(err, pgx.ErrNoRows) {
						err = store.ErrNotFound
					} else if err != nil && !errors.Is(err, store.ErrRevoked) && !errors.Is(err, store.ErrTooManySessions) {
						return err
					}
					results[i] = result{Value: rec, Err: err}
				}
				return nil
			})
		})
	})
	return results, err
}

// lockTimeout is in milliseconds, and ends before ctx does: Postgres then says
// that the call had no effect, and the connection stays good.
func lockTimeout(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	return strconv.FormatInt(max(1, (time.Until(deadline)*3/4).Milliseconds()), 10)
}
