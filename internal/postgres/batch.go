package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// statementsInFlight is how many batches of one operation run at once. Calls
// that come meanwhile wait and share the next. Few statements make large
// batches, which is where the throughput comes from.
const statementsInFlight = 2

// combined brings the calls of one operation to statements. A call that comes
// while a statement is free runs alone, any other waits and shares the next.
type combined[C any] struct {
	op operation

	// row returns the session that a call works on: a batch holds none twice.
	row func(*C) store.ID
	// result returns the session that comes back. Without batch it is nil if
	// that is row's.
	result func(*C) store.ID
	// share: calls for one session may have the same result.
	share bool
	// login returns the login that a call writes. It is nil if the operation
	// has none.
	login  func(*C) *login
	logins *logins

	// single answers one call.
	single func(context.Context, querier, *C) (*store.Record, error)
	// tx: single needs a transaction.
	tx bool
	// batch answers many calls; nil if each has a statement of its own.
	batch func(context.Context, querier, []C) (rowsRead, error)
	// exist returns those of the sessions that exist. It is nil if a batch
	// waits for locked rows. Otherwise a session without a result may be
	// locked.
	exist func(context.Context, []store.ID) ([]store.ID, error)
	// events and kind record the calls that have an event. kind is empty for
	// one that has none.
	events recorder
	kind   func(*C) string

	exec  *executor
	rows  *rowQueues
	queue *batch.Combiner[C, *store.Record]
}

type result = batch.Result[*store.Record]

// errLeftOut: a batch left the call out. Another transaction holds the row, or
// another call of the same batch changes it.
var errLeftOut = errors.New("left out of a shared statement")

// start makes the queue.
func (c combined[C]) start(exec *executor, rows *rowQueues, cfg batch.Config) *combined[C] {
	c.exec, c.rows = exec, rows
	cfg.Timeout, cfg.Retry = exec.timeout, retrySingly
	c.queue = batch.New(c.run, cfg)
	return &c
}

// call makes a call. If its caller gives up while a statement has it, the
// outcome of a change is unknown.
func (c *combined[C]) call(ctx context.Context, call C) (store.Record, error) {
	rec, calls, err := c.queue.DoCounted(ctx, call)
	c.exec.noteCalls(ctx, calls)
	if errors.Is(err, errLeftOut) {
		return c.rows.change(ctx, c.row(&call), c.alone(&call))
	}
	if err == nil {
		return *rec, nil
	}
	err, left := queueError(err, c.exec.pool.noReply)
	if left && operations[c.op].effect != reading {
		err = unknownOutcome(err)
	}
	return store.Record{}, err
}

// change makes a call that may be a login. A login with a limit counts the
// sessions of its user first. own: the statement for many can't make the call.
func (c *combined[C]) change(
	ctx context.Context, call C, userID string, limit int, own bool,
) (store.Record, error) {
	alone := c.alone(&call)
	if recorded, ok := c.recorded(ctx, &call, alone); ok {
		alone, own = recorded, true
	}
	switch {
	case userID != "" && limit > 0:
		return c.rows.login(ctx, userID, c.row(&call), limit, alone)
	case own:
		c.exec.tallies[c.op].add(1)
		return c.rows.change(ctx, c.row(&call), alone)
	}
	return c.call(ctx, call)
}

// recorded returns a call with its event, if it has one.
func (c *combined[C]) recorded(ctx context.Context, call *C, alone rowCall) (rowCall, bool) {
	if !c.events.on() {
		return alone, false
	}
	note, kind := store.NoteOf(ctx), c.kind(call)
	if !c.events.records(&note, kind) {
		return alone, false
	}
	return rowCall{c.op, alone.on, func(ctx context.Context, db querier) (*store.Record, error) {
		rec, err := alone.run(ctx, db)
		if err == nil {
			err = c.events.change(ctx, db, &note, kind, rec)
		}
		return rec, err
	}}, true
}

// alone is a call that waits for its row.
func (c *combined[C]) alone(call *C) rowCall {
	return rowCall{c.op, c.on(call), func(ctx context.Context, db querier) (*store.Record, error) {
		return c.single(ctx, db, call)
	}}
}

// on returns the nodes of Citus that a call asks: a rotation asks two.
func (c *combined[C]) on(call *C) nodes.Place {
	switch {
	case c.exec.nodes == nil:
		return nodes.Place{}
	case c.result == nil:
		return c.exec.nodes.at(c.row(call))
	}
	return c.exec.nodes.at(c.row(call), c.result(call))
}

// run answers calls that came together. An error means that none of them had an
// effect. It returns errLeftOut for a call that must wait for its row: the slot
// is not held for a row that is locked, nor for a second call of a row.
func (c *combined[C]) run(ctx context.Context, calls []C) ([]result, error) {
	if c.batch == nil || len(calls) == 1 && c.exist == nil {
		return c.runSingle(ctx, &calls[0])
	}
	together := make([]C, 0, len(calls))
	first := make(map[store.ID]int, len(calls)) // the first call for each row
	for i := range calls {
		if _, twice := first[c.row(&calls[i])]; !twice {
			first[c.row(&calls[i])] = i
			together = append(together, calls[i])
		}
	}
	var byID map[store.ID]result
	run := func(ctx context.Context, db querier) error {
		read, err := c.batch(ctx, db, together)
		byID = read.byID()
		return err
	}
	then := c.look(together, func(call *C) *store.Record { return byID[c.result(call)].Value })
	err := c.exec.exec(ctx, statement{op: c.op, run: run, then: then})
	if err != nil {
		return nil, err
	}
	locked := c.locked(ctx, together, byID)
	results := make([]result, len(calls))
	for i := range calls {
		row := c.row(&calls[i])
		r, ok := byID[c.result(&calls[i])]
		switch {
		case !c.share && first[row] != i, locked[row]:
			r = result{Err: errLeftOut}
		case !ok:
			r.Err = store.ErrNotFound
		}
		results[i] = r
	}
	return results, nil
}

// look is the statement that follows one of logins. It looks for revoke marks
// for those that were written, as each login must once it has committed. A
// login that it leaves without an answer looks by itself, which takes a second
// turn in a queue. written returns the row that a call has written. look is nil
// if no call is a login.
func (c *combined[C]) look(calls []C, written func(*C) *store.Record) *statement {
	if c.login == nil {
		return nil
	}
	isLogin := func(call C) bool { return c.login(&call).userID != "" }
	if !slices.ContainsFunc(calls, isLogin) {
		return nil
	}
	return &statement{op: opLook, run: func(ctx context.Context, db querier) error {
		var logins []*login
		for i := range calls {
			of, rec := c.login(&calls[i]), written(&calls[i])
			if of.userID != "" && rec != nil {
				of.began = of.began.In(rec)
				logins = append(logins, of)
			}
		}
		return c.logins.lookAfter(ctx, db, logins)
	}}
}

// runSingle sends the statement for one call, which may wait for a locked row.
func (c *combined[C]) runSingle(ctx context.Context, call *C) ([]result, error) {
	var rec *store.Record
	run := func(ctx context.Context, db querier) (err error) {
		rec, err = c.single(ctx, db, call)
		return err
	}
	then := c.look([]C{*call}, func(*C) *store.Record { return rec })
	err := c.exec.exec(ctx, statement{
		op: c.op, run: run, tx: c.tx, on: c.on(call), then: then,
	})
	return []result{{Value: rec, Err: err}}, nil
}

// locked returns the rows that exist and have no result. If Postgres does not
// say which exist, all count as locked: the calls then wait, each in its own
// time.
func (c *combined[C]) locked(
	ctx context.Context, calls []C, results map[store.ID]result,
) map[store.ID]bool {
	if c.exist == nil || len(results) == len(calls) {
		return nil
	}
	var rest []store.ID
	for i := range calls {
		if _, ok := results[c.result(&calls[i])]; !ok {
			rest = append(rest, c.row(&calls[i]))
		}
	}
	if exist, err := c.exist(ctx, rest); err == nil {
		rest = exist
	}
	locked := make(map[store.ID]bool, len(rest))
	for _, id := range rest {
		locked[id] = true
	}
	return locked
}

// byID maps the rows of a statement to their sessions. A row that can't be read
// is an error of its own session alone.
func (r *rowsRead) byID() map[store.ID]result {
	results := make(map[store.ID]result, len(r.records)+len(r.broken))
	for i := range r.records {
		rec := &r.records[i]
		results[rec.ID] = result{Value: rec}
	}
	for id, err := range r.over {
		results[id] = result{Err: err}
	}
	for _, b := range r.broken {
		if id, ok := idOf(b.id); ok {
			results[id] = result{Err: b.err}
		}
	}
	return results
}
