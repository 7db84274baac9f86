package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// How many statements of one kind run at once; what comes meanwhile waits and shares the next. Few statements make large
// batches, which is what the throughput comes from.
const statementsInFlight = 2

// combiners bring calls to statements.
type combiners struct {
	loads   *batch.Combiner[store.ID, *store.Record]
	creates *batch.Combiner[store.Draft, *store.Record]
	saves   *batch.Combiner[saveCall, *store.Record]
	rotates *batch.Combiner[rotateCall, *store.Record]
}

func (p *Store) combiners(cfg batch.Config) (c combiners) {
	self := func(id *store.ID) store.ID { return *id }
	drafted := func(d *store.Draft) store.ID { return d.ID }
	saved := func(c *saveCall) store.ID { return c.id }
	c.loads = (&statements[store.ID]{row: self, answer: self, share: true, one: p.loadOne, many: p.loadMany}).combine(cfg)
	c.creates = (&statements[store.Draft]{row: drafted, answer: drafted, one: p.createOne, many: p.createMany}).combine(cfg)
	saves := &statements[saveCall]{row: saved, answer: saved, alive: p.present, apart: p.distributed.Load, one: p.saveOne, many: p.saveMany}
	rotates := &statements[rotateCall]{
		row:    func(c *rotateCall) store.ID { return c.old },
		answer: func(c *rotateCall) store.ID { return c.id },
		alive:  p.present, apart: p.distributed.Load, one: p.rotateOne, many: p.rotateMany,
	}
	c.saves, c.rotates = saves.combine(cfg), rotates.combine(cfg)
	return c
}

// present returns those of the sessions that exist.
func (p *Store) present(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	alive, _, err := p.Alive(ctx, ids)
	return alive, err
}

// calls are the combiners to go through.
func (p *Store) calls() *combiners {
	if p.distributed.Load() {
		return &p.apart
	}
	return &p.shared
}

type result = batch.Result[*store.Record]

// statements are the two forms of one operation.
type statements[C any] struct {
	// row is the session that the call works on: a statement for many holds none twice.
	row func(*C) store.ID
	// answer is the session that comes back.
	answer func(*C) store.ID
	// share: calls for one session may have the same answer.
	share bool
	// alive returns the sessions that exist. Without it, a session that the
	// shared statement does not answer is not there; with it, its row may be
	// locked.
	alive func(context.Context, []store.ID) ([]store.ID, error)

	// apart reports whether the table is distributed: then no call shares a
	// statement.
	apart func() bool

	one  func(context.Context, *C) (*store.Record, error)
	many func(context.Context, []C) (rowsRead, error)
}

func (s *statements[C]) combine(cfg batch.Config) *batch.Combiner[C, *store.Record] {
	cfg.Retry = retrySingly
	return batch.New(s.run, cfg)
}

// run answers the calls that came together. An error means that none of them
// had an effect. What it leaves out is answered with errLeftOut: the slot is
// not held for a row that is locked, nor for calls that have one row in common.
func (s *statements[C]) run(ctx context.Context, calls []C) ([]result, error) {
	results := make([]result, len(calls))
	if len(calls) == 1 && (s.alive == nil || s.apart()) {
		return s.alone(ctx, calls)
	}

	together := make([]C, 0, len(calls))
	first := make(map[store.ID]int, len(calls)) // the first call for each row
	for i := range calls {
		if _, twice := first[s.row(&calls[i])]; !twice {
			first[s.row(&calls[i])] = i
			together = append(together, calls[i])
		}
	}
	read, err := s.many(ctx, together)
	if err != nil && len(calls) == 1 && s.apart() { // found out by this statement
		return s.alone(ctx, calls)
	}
	if err != nil {
		return nil, err
	}
	answers := read.answers()
	locked := s.locked(ctx, together, answers)
	for i := range calls {
		row := s.row(&calls[i])
		answer, ok := answers[s.answer(&calls[i])]
		switch {
		case !s.share && first[row] != i, locked[row]:
			answer = result{Err: errLeftOut}
		case !ok:
			answer.Err = store.ErrNotFound
		}
		results[i] = answer
	}
	return results, nil
}

// alone sends the statement for one call. It may wait for a locked row.
func (s *statements[C]) alone(ctx context.Context, calls []C) ([]result, error) {
	rec, err := s.one(ctx, &calls[0])
	return []result{{Value: rec, Err: err}}, nil
}

// locked returns the rows without an answer that exist. If Postgres does not
// say, they count as locked: the calls then find out, each in its own time.
func (s *statements[C]) locked(ctx context.Context, calls []C, answers map[store.ID]result) map[store.ID]bool {
	if s.alive == nil || len(answers) == len(calls) {
		return nil
	}
	var rest []store.ID
	for i := range calls {
		if _, ok := answers[s.answer(&calls[i])]; !ok {
			rest = append(rest, s.row(&calls[i]))
		}
	}
	if alive, err := s.alive(ctx, rest); err == nil {
		rest = alive
	}
	locked := make(map[store.ID]bool, len(rest))
	for _, id := range rest {
		locked[id] = true
	}
	return locked
}

// answers maps the rows of a statement to their sessions. A row that can't be
// read is an error of its own session alone.
func (r *rowsRead) answers() map[store.ID]result {
	answers := make(map[store.ID]result, len(r.records)+len(r.broken))
	for i := range r.records {
		if rec := &r.records[i]; rec.Version == 0 { // of a load
			answers[rec.ID] = result{Err: store.ErrExpired}
		} else {
			answers[rec.ID] = result{Value: rec}
		}
	}
	for _, b := range r.broken {
		if id, ok := idOf(b.id); ok {
			answers[id] = result{Err: b.err}
		}
	}
	return answers
}

// retrySingly: the server refused a shared statement as a whole, and it had no effect. One of the calls may be to
// blame, or somebody cancelled the statement. When the server is away, or nobody knows what it did, nothing is repeated.
func retrySingly(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.stage == sent && classes[f.class].alone
}

var ErrBusy = error(&failure{
	verdict: verdict{class: classBusy, stage: connecting}, is: []error{store.ErrUnavailable},
	text: fmt.Sprintf("%v: too many calls wait for Postgres", store.ErrUnavailable),
})

// combined makes a call that may share its statement.
func combined[C any](ctx context.Context, p *Store, combiner *batch.Combiner[C, *store.Record], call C) (store.Record, error) {
	rec, _, err := ask(ctx, p, combiner, call)
	return rec, err
}

// changed is combined for what changes the row: a caller that leaves a shared
// statement has sent it. row is for the case that the shared statement leaves
// it out.
func changed[C any](
	ctx context.Context, p *Store, combiner *batch.Combiner[C, *store.Record], call C, id store.ID, row rowCall,
) (store.Record, error) {
	rec, left, err := ask(ctx, p, combiner, call)
	if errors.Is(err, errLeftOut) {
		rec, left, err = p.waitForRow(ctx, id, row)
	}
	if left {
		err = fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown)
	}
	return rec, err
}

// ask translates what the combiner itself has to say.
func ask[C any](ctx context.Context, p *Store, combiner *batch.Combiner[C, *store.Record], call C) (_ store.Record, left bool, err error) {
	rec, calls, err := combiner.DoCounted(ctx, call)
	if p.Tracer != nil {
		trace.NoteCalls(ctx, calls)
	}
	left = errors.Is(err, batch.ErrLeft)
	switch {
	case err == nil:
		return *rec, false, nil
	case errors.Is(err, batch.ErrOverloaded):
		err = ErrBusy
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable):
		err = p.noReply()
	case left:
		err = context.Canceled
	}
	return store.Record{}, left, err
}
