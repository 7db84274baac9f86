package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// rowQueues run the calls that wait for a row, in a transaction that may wait
// for its lock. These are the calls that batches left out, which queue by row,
// and logins that count the sessions of a user, which queue by user. A row
// takes one connection, and all rows together half of the pool. So a locked row
// holds up the calls for its own session and no others.
type rowQueues struct {
	exec    *executor
	queries *gen.Queries
	// places are one for each row that has a connection. They are nil on Citus,
	// where the limit of the nodes bounds them.
	places chan struct{}
	// count counts the sessions of a user but for one.
	count func(ctx context.Context, db querier, userID string, spared []byte) (int64, error)

	mu     sync.Mutex
	queues map[store.ID]*rowQueue
}

// rowQueue exists while a call waits for its row.
type rowQueue struct {
	calls   *batch.Combiner[rowCall, *store.Record]
	callers int // guarded by rowQueues.mu
}

// rowCall is a call for one row.
type rowCall struct {
	op  operation
	on  nodes.Place
	run func(context.Context, querier) (*store.Record, error)
}

func newRowQueues(exec *executor, queries *gen.Queries) *rowQueues {
	q := &rowQueues{
		exec: exec, queries: queries, count: queries.OwnerCount, queues: map[store.ID]*rowQueue{},
	}
	if exec.nodes == nil {
		q.places = make(chan struct{}, max(1, exec.pool.size()/2))
	}
	return q
}

// change is wait for a change whose caller needs to know its outcome.
func (q *rowQueues) change(ctx context.Context, id store.ID, call rowCall) (store.Record, error) {
	rec, left, err := q.wait(ctx, id, call)
	if left {
		err = unknownOutcome(err)
	}
	return rec, err
}

// wait runs a call after those for its row that came before it. left: the
// caller gave up while a statement had the call.
func (q *rowQueues) wait(
	ctx context.Context, id store.ID, call rowCall,
) (_ store.Record, left bool, err error) {
	queue := q.enter(id)
	defer q.leave(id, queue)
	rec, calls, err := queue.calls.DoCounted(ctx, call)
	q.exec.noteCalls(ctx, calls)
	if err == nil {
		return *rec, false, nil
	}
	err, left = queueError(err, errLockedTooLong)
	return store.Record{}, left, err
}

func errLockedTooLong() error { return fmt.Errorf("%w: %w", errLocked, context.DeadlineExceeded) }

func (q *rowQueues) enter(id store.ID) *rowQueue {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.queues[id]
	if queue == nil {
		queue = &rowQueue{calls: batch.New(q.run, batch.Config{
			InFlight: 1, Timeout: q.exec.timeout,
			Retry: func(err error) bool { return retrySingly(err) && !errors.Is(err, errLocked) },
		})}
		q.queues[id] = queue
	}
	queue.callers++
	return queue
}

func (q *rowQueues) leave(id store.ID, queue *rowQueue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if queue.callers--; queue.callers == 0 {
		delete(q.queues, id)
	}
}

// run runs the calls for one row in their order and in one transaction. Each
// returns the row as that call left it.
func (q *rowQueues) run(ctx context.Context, calls []rowCall) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, q.exec.timeout)
	defer cancel()
	if q.places != nil {
		select {
		case q.places <- struct{}{}:
			defer func() { <-q.places }()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Canceled
			}
			return nil, errLockedTooLong()
		}
	}
	results := make([]result, len(calls))
	run := func(ctx context.Context, db querier) error {
		if err := q.queries.CatalogLockTimeout(ctx, db, lockTimeout(ctx)); err != nil {
			return err
		}
		for i := range calls {
			rec, err := calls[i].run(ctx, db)
			switch {
			case err == nil, errors.Is(err, store.ErrRevoked),
				errors.Is(err, store.ErrTooManySessions), errors.Is(err, store.ErrNoPendingLogin),
				errors.Is(err, errUserChanged):
			case errors.Is(err, pgx.ErrNoRows):
				err = store.ErrNotFound
			default:
				return err
			}
			results[i] = result{Value: rec, Err: err}
		}
		return nil
	}
	var on nodes.Place
	for i := range calls {
		on = on.Join(calls[i].on)
	}
	err := q.exec.exec(ctx, statement{op: calls[0].op, run: run, tx: true, on: on})
	return results, err
}

// lockTimeout returns milliseconds that end before ctx does: Postgres then
// reports that the call had no effect, and the connection stays good.
func lockTimeout(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	return strconv.FormatInt(max(1, (time.Until(deadline)*3/4).Milliseconds()), 10)
}
