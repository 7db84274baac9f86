package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Every statement takes the way of this file, from top to bottom: exec traces
// it, retry bounds, counts and repeats it, withConn runs it on one connection.
// deadline.go ends it when its time is over or its caller has left.
// classify says what an error means, and translate makes the caller's of it.

// statement is the SQL of one call, or of the calls that share it, as data for
// exec.
type statement struct {
	op operation
	// run sends the SQL, which may be several statements on one connection. A
	// second attempt calls it again.
	run func(ctx context.Context, db querier) error
	// conn runs in place of run, for what needs the connection itself.
	conn func(ctx context.Context, conn *pgxpool.Conn) error
	// tx runs it in a READ COMMITTED transaction.
	tx bool
	// on says which nodes of a Citus cluster it asks. A plain table ignores it.
	on nodes.Place
	// then runs on the same connection, in a transaction of its own, once this
	// one has committed. Nothing depends on its error; nil is none.
	then *statement
	// within bounds all attempts together; 0 is the Store's timeout.
	within time.Duration
}

// executor runs statements. Its fields don't change.
type executor struct {
	pool    *pool
	timeout time.Duration
	tracer  store.Tracer // nil for none
	tallies *tallies
	// plans is nil if Postgres keeps all plans.
	plans *plans
	// nodes bounds the statements for one node of Citus; nil for a plain table.
	nodes *nodeLimit
	// isolate repeats a conflict in a READ COMMITTED transaction. A role or a
	// database can have a stricter isolation. There, each row that another
	// statement has just changed is a conflict.
	isolate bool
	// detectCitus asks whether Citus has distributed the table. It is asked if
	// Postgres does not support a statement; nil is never.
	detectCitus func(context.Context, querier) (bool, error)
	// onCitus is the error of a statement after Citus was found; nil is
	// errDistributed.
	onCitus error
}

const maxAttempts = 3

// exec runs a statement and returns an error that callers may see.
func (x *executor) exec(ctx context.Context, s statement) error {
	if x.tracer == nil {
		return x.retry(ctx, s)
	}
	return x.traced(ctx, s.op, func(ctx context.Context) error { return x.retry(ctx, s) })
}

// traced reports a statement to the Tracer.
func (x *executor) traced(
	ctx context.Context, op operation, run func(context.Context) error,
) (err error) {
	call := store.Call{Layer: store.LayerStatement, Operation: operations[op].name}
	trace.Run(ctx, x.tracer, call, func(ctx context.Context) store.CallResult {
		err = run(ctx)
		return store.CallResult{Err: err, SQLState: sqlState(err)}
	})
	return err
}

// retry repeats a statement where that is safe and can help.
func (x *executor) retry(caller context.Context, s statement) error {
	tally, began := &x.tallies[s.op], time.Now()
	defer func() { tally.took.Add(int64(time.Since(began))) }()
	ctx := x.pool.alarm.bound(caller, began.Add(cmp.Or(s.within, x.timeout)))
	defer ctx.finish()

	effect, uncertain := operations[s.op].effect, false
	var err error
	for range maxAttempts {
		tally.statements.Add(1)
		if err = x.withConn(ctx, s); err == nil || errors.Is(err, store.ErrBrokenRow) {
			return err
		}
		v := classify(err, x.pool.contacted.Load())
		if v.class != classResult {
			x.nodes.noteFailure()
		}
		uncertain = uncertain || effect != reading && v.outcome() != noEffect
		if ctx.Err() != nil {
			break
		}
		x.pool.renew(v.reset()) // the pool may have more such connections than there are attempts
		if v.class == classUnsupported && x.distributed(ctx) {
			return cmp.Or(x.onCitus, errDistributed)
		}
		if !v.retries(effect) {
			break
		}
		s.tx = s.tx || v.class == classConflict && x.isolate
	}
	err = x.pool.translate(ctx, err)
	if uncertain && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled)) {
		err = unknownOutcome(err)
	}
	return err
}

// unknownOutcome adds to an error that the change may have been made.
func unknownOutcome(err error) error { return fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown) }

// withConn runs a statement on one connection. Before one that only reads it
// rechecks target_session_attrs, at most once a second. It returns
// errUnreplicated if a commit's wait for a synchronous standby was cancelled.
// If the context ends while Postgres has the statement, pgx closes the
// connection.
func (x *executor) withConn(within *bounded, s statement) error {
	if err := x.nodes.enter(within, s.on); err != nil {
		return err
	}
	conn, err := x.pool.acquire(within)
	if err != nil {
		x.nodes.drop(s.on)
		return err
	}
	defer x.nodes.release(conn, s.on)
	pc := conn.Conn().PgConn()
	ctx, err := within.attach(pc)
	if err != nil {
		return &acquireError{error: err}
	}
	defer within.detach(pc)
	if operations[s.op].effect == reading {
		if err := x.pool.recheck(ctx, pc); err != nil {
			return err
		}
	}
	waits := waitsOf(pc)
	before := waits.count()
	switch {
	case s.conn != nil:
		err = s.conn(ctx, conn)
	case s.tx:
		err = x.transaction(ctx, conn, s.run)
	default:
		err = s.run(ctx, x.pool.querier(conn, x.plans))
	}
	if err != nil {
		return err
	}
	if waits.count() > before && operations[s.op].effect != reading {
		return errUnreplicated
	}
	if s.then != nil {
		x.follow(ctx, conn, s.then)
	}
	x.plans.measure(ctx, conn, x.pool.schema)
	if x.nodes.due() {
		_ = x.nodes.learn(ctx, x.pool.querier(conn, x.plans)) // the next minute asks again
	}
	return nil
}

// follow runs the statement after another one, once. A Tracer sees it within
// that one.
func (x *executor) follow(ctx context.Context, conn *pgxpool.Conn, s *statement) {
	tally, began := &x.tallies[s.op], time.Now()
	tally.statements.Add(1)
	run := func(ctx context.Context) error { return s.run(ctx, x.pool.querier(conn, x.plans)) }
	if x.tracer == nil {
		_ = run(ctx)
	} else {
		_ = x.traced(ctx, s.op, run)
	}
	tally.took.Add(int64(time.Since(began)))
}

// transaction runs statements that must see what others committed while an
// earlier one of them waited, whatever isolation the database has by default.
func (x *executor) transaction(
	ctx context.Context, conn *pgxpool.Conn, run func(context.Context, querier) error,
) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after the commit
	if err := run(ctx, x.pool.querier(tx, x.plans)); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return commitError{err}
	}
	return nil
}

// distributed asks the catalog whether Citus has distributed the table. If
// Citus can't run a statement, Postgres reports the SQLSTATE of any statement
// that is not supported.
func (x *executor) distributed(ctx context.Context) bool {
	if x.detectCitus == nil {
		return false
	}
	conn, err := x.pool.acquire(ctx)
	if err != nil {
		return false
	}
	defer conn.Release()
	is, err := x.detectCitus(ctx, x.pool.querier(conn, x.plans))
	return err == nil && is
}

// noteCalls reports to the Tracer how many calls shared a statement.
func (x *executor) noteCalls(ctx context.Context, calls int) {
	if x.tracer != nil {
		trace.NoteCalls(ctx, calls)
	}
}
