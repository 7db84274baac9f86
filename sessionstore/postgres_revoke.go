package sessionstore

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/gen"
)

const (
	// revokeAtOnce bounds the sessions that one transaction ends.
	revokeAtOnce = 1000
	// revokeFound bounds the ids that one statement finds.
	revokeFound = 50_000
	// sweepTimeout bounds a statement that reads all sessions of a user, or the
	// whole table.
	sweepTimeout = 5 * time.Minute
)

// sweep revokes all sessions of a user, or of all users, on a table that is
// not distributed. The caller's context bounds it as a whole. Each statement
// is a transaction with a deadline of its own, and what it ended stays ended
// when a later one fails: the same call goes on from there.
//
// Rows are locked in the order of their ids, as by every statement that locks
// many, so a sweep does not deadlock with a touch.
type sweep struct {
	p   *Postgres
	sel Selection
	// ids are the sessions that were ended, and those that may have been when
	// an answer was lost; not with Selection.All.
	ids   []ID
	count int
}

// run ends what it sees. Afterwards it ends what began no later than the
// revoke, and stops when a statement has seen none of it.
func (s *sweep) run(ctx context.Context) error {
	began, many, err := s.begin(ctx)
	if err != nil {
		return err
	}
	until := endOfTime
	for {
		if many {
			if err := s.pass(ctx, until); err != nil {
				return err
			}
			until = began.Add(coherence.Allowance)
		}
		seen, err := s.once(ctx, until)
		if err != nil || seen == 0 {
			return err
		}
		many, until = seen == revokeAtOnce, began.Add(coherence.Allowance)
	}
}

// begin adds the mark, and returns its time and whether there may be more sessions
// than one transaction should end.
func (s *sweep) begin(ctx context.Context) (at time.Time, many bool, err error) {
	if s.sel.All {
		at, err = s.p.mark(ctx, &s.sel)
		return at, true, err
	}
	key := s.sel.key()
	err = s.p.run(ctx, opMark, func(ctx context.Context, db querier) error {
		row, err := s.p.queries.MarkAddSized(ctx, db, &gen.MarkAddSizedParams{
			ID: s.sel.Mark[:], Key: key[:], UserID: s.sel.UserID, Max: revokeAtOnce,
		})
		if err == nil {
			at, many = row.RevokedAt, row.Size == revokeAtOnce
		}
		return err
	})
	return at, many, err
}

// pass ends the sessions that began no later than until, in batches in the
// order of their ids.
func (s *sweep) pass(ctx context.Context, until time.Time) error {
	var after ID
	for {
		found, err := s.find(ctx, after, until)
		if err != nil || len(found) == 0 {
			return err
		}
		copy(after[:], found[len(found)-1])
		for len(found) > 0 {
			n := min(len(found), revokeAtOnce)
			if err := s.end(ctx, found[:n]); err != nil {
				return err
			}
			found = found[n:]
		}
	}
}

func (s *sweep) find(ctx context.Context, after ID, until time.Time) (found [][]byte, err error) {
	err = s.p.runWithin(ctx, max(s.p.timeout, sweepTimeout), opRevoke, func(ctx context.Context, db querier) (err error) {
		if s.sel.All {
			found, err = s.p.queries.AllFind(ctx, db, &gen.AllFindParams{After: after[:], Until: until, Max: revokeFound})
			return err
		}
		found, err = s.p.queries.OwnerFind(ctx, db, &gen.OwnerFindParams{
			UserID: s.sel.UserID, After: after[:], Spared: s.sel.Except[:], Until: until, Max: revokeFound,
		})
		return err
	})
	return found, err
}

// end ends a batch. If its answer is lost, all of the batch may have ended.
func (s *sweep) end(ctx context.Context, batch [][]byte) error {
	var gone [][]byte
	n := 0
	err := s.change(ctx, s.p.timeout, func(ctx context.Context, db querier) error {
		if s.sel.All {
			rows, err := s.p.queries.AllEnd(ctx, db, batch)
			n = int(rows)
			return err
		}
		ended, err := s.p.queries.OwnerEnd(ctx, db, batch, s.sel.UserID)
		gone, n = ended, len(ended)
		return err
	})
	if outcomeOf(err) == coherence.Uncertain && !s.sel.All {
		gone = batch
	}
	s.ended(gone, n, err)
	return err
}

// once ends what began no later than until, up to revokeAtOnce sessions, and
// returns how many it saw: none is the end.
func (s *sweep) once(ctx context.Context, until time.Time) (seen int, err error) {
	within := s.p.timeout
	if s.sel.All || s.count >= revokeAtOnce {
		within = max(within, sweepTimeout) // it reads over the rows that are gone
	}
	var gone [][]byte
	n := 0
	err = s.change(ctx, within, func(ctx context.Context, db querier) error {
		if s.sel.All {
			row, err := s.p.queries.AllRevoke(ctx, db, until, revokeAtOnce)
			if err == nil {
				seen, n = int(row.Seen), int(row.Ended)
			}
			return err
		}
		row, err := s.p.queries.OwnerRevoke(ctx, db, &gen.OwnerRevokeParams{
			UserID: s.sel.UserID, Spared: s.sel.Except[:], Until: until, Max: revokeAtOnce,
		})
		if err == nil {
			seen, gone, n = int(row.Seen), row.IDs, len(row.IDs)
		}
		return err
	})
	s.ended(gone, n, err)
	return seen, err
}

// change runs a statement that deletes.
func (s *sweep) change(ctx context.Context, within time.Duration, statement func(context.Context, querier) error) error {
	return s.p.runWithin(ctx, within, opRevoke, statement)
}

func (s *sweep) ended(gone [][]byte, n int, err error) {
	for _, id := range gone {
		if id, ok := idOf(id); ok { // no token leads to any other
			s.ids = append(s.ids, id)
		}
	}
	if s.count += n; err == nil && n > 0 && s.sel.Progress != nil {
		s.sel.Progress(s.count)
	}
}
