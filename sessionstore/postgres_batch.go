package sessionstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/internal/batch"
)

// How many statements of one kind run at once; what comes meanwhile waits and shares the next. Few statements make large
// batches, which is what the throughput comes from.
const statementsInFlight = 2

// combiners bring calls to statements.
type combiners struct {
	loads   *batch.Combiner[ID, *Record]
	creates *batch.Combiner[Draft, *Record]
	saves   *batch.Combiner[saveCall, *Record]
	rotates *batch.Combiner[rotateCall, *Record]
}

func (p *Postgres) combiners(cfg batch.Config) (c combiners) {
	self := func(id *ID) ID { return *id }
	drafted := func(d *Draft) ID { return d.ID }
	saved := func(c *saveCall) ID { return c.id }
	c.loads = (&statements[ID]{row: self, answer: self, share: true, one: p.loadOne, many: p.loadMany}).combine(cfg)
	c.creates = (&statements[Draft]{row: drafted, answer: drafted, one: p.createOne, many: p.createMany}).combine(cfg)
	c.saves = (&statements[saveCall]{row: saved, answer: saved, one: p.saveOne, many: p.saveMany}).combine(cfg)
	c.rotates = (&statements[rotateCall]{
		row:    func(c *rotateCall) ID { return c.old },
		answer: func(c *rotateCall) ID { return c.id },
		one:    p.rotateOne, many: p.rotateMany,
	}).combine(cfg)
	return c
}

// calls are the combiners to go through.
func (p *Postgres) calls() *combiners {
	if p.distributed.Load() {
		return &p.apart
	}
	return &p.shared
}

type result = batch.Result[*Record]

// statements are the two forms of one operation.
type statements[C any] struct {
	// row is the session that the call works on: a statement for many holds none twice.
	row func(*C) ID
	// answer is the session that comes back.
	answer func(*C) ID
	// share: calls for one session may have the same answer.
	share bool

	one  func(context.Context, *C) (*Record, error)
	many func(context.Context, []C) (rowsRead, error)
}

func (s *statements[C]) combine(cfg batch.Config) *batch.Combiner[C, *Record] {
	cfg.Retry = retrySingly
	return batch.New(s.run, cfg)
}

// run answers the calls that came together. An error means that none of them had an effect.
func (s *statements[C]) run(ctx context.Context, calls []C) ([]result, error) {
	results := make([]result, len(calls))
	if len(calls) == 1 {
		results[0].Value, results[0].Err = s.one(ctx, &calls[0])
		return results, nil
	}

	together := make([]C, 0, len(calls))
	first := make(map[ID]int, len(calls)) // the first call for each row
	var again []int                       // the others
	for i := range calls {
		if _, twice := first[s.row(&calls[i])]; twice {
			again = append(again, i)
			continue
		}
		first[s.row(&calls[i])] = i
		together = append(together, calls[i])
	}
	read, err := s.many(ctx, together)
	if err != nil {
		return nil, err
	}
	answers := read.answers()
	for i := range calls {
		answer, ok := answers[s.answer(&calls[i])]
		if !ok {
			answer.Err = ErrNotFound
		}
		results[i] = answer
	}
	if !s.share {
		for _, i := range again {
			results[i].Value, results[i].Err = s.one(ctx, &calls[i])
		}
	}
	return results, nil
}

// answers maps the rows of a statement to their sessions. A row that can't be
// read is an error of its own session alone.
func (r *rowsRead) answers() map[ID]result {
	answers := make(map[ID]result, len(r.records)+len(r.broken))
	for i := range r.records {
		if rec := &r.records[i]; rec.Version == 0 { // of a load
			answers[rec.ID] = result{Err: ErrExpired}
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
	var refused *refusal
	return errors.As(err, &refused)
}

var errBusy = fmt.Errorf("%w: too many calls wait for Postgres", ErrUnavailable)

// combined makes a call that may share its statement.
func combined[C any](ctx context.Context, p *Postgres, combiner *batch.Combiner[C, *Record], call C) (Record, error) {
	rec, _, err := ask(ctx, p, combiner, call)
	return rec, err
}

// changed is combined for what changes something: who leaves a statement that others share has sent it.
func changed[C any](ctx context.Context, p *Postgres, combiner *batch.Combiner[C, *Record], call C) (Record, error) {
	rec, left, err := ask(ctx, p, combiner, call)
	if left {
		err = fmt.Errorf("%w (%w)", err, ErrUncertain)
	}
	return rec, err
}

// ask translates what the combiner itself has to say.
func ask[C any](ctx context.Context, p *Postgres, combiner *batch.Combiner[C, *Record], call C) (_ Record, left bool, err error) {
	rec, calls, err := combiner.DoCounted(ctx, call)
	if p.tracer != nil {
		noteCompany(ctx, calls)
	}
	left = errors.Is(err, batch.ErrLeft)
	switch {
	case err == nil:
		return *rec, false, nil
	case errors.Is(err, batch.ErrOverloaded):
		err = errBusy
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrUnavailable):
		err = fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, context.DeadlineExceeded)
	case left:
		err = context.Canceled
	}
	return Record{}, left, err
}
