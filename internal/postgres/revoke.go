package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
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
// A locked session holds up none of the others: batches skip it, and the sweep
// waits for it alone, so a sweep does not deadlock.
type sweep struct {
	p   *Store
	sel store.Selection
	// ids are the sessions that were ended, and those that may have been when
	// an answer was lost; not with Selection.All.
	ids   []store.ID
	count int
	kept  keptRows
}

// run ends what it sees and no other transaction holds. Afterwards it ends what
// began no later than the revoke, and waits for one locked session at a time.
// It stops when a statement that passes over none has seen none.
func (s *sweep) run(ctx context.Context) error {
	began, err := s.p.mark(ctx, &s.sel)
	if err != nil {
		return err
	}
	until := endOfTime
	var locked error // of a wait for a locked session
	for {
		if err := s.pass(ctx, until); err != nil {
			return s.orLocked(ctx, err, locked)
		}
		until = began.Add(coherence.Allowance)
		seen, err := s.once(ctx, until)
		switch {
		case errors.Is(err, errLocked) && !s.late(ctx):
			locked = err
		case errors.Is(err, errLocked):
			return s.orLocked(ctx, err, err)
		case err != nil:
			return s.orLocked(ctx, err, locked)
		case !seen:
			return nil
		}
	}
}

// orLocked is the error of a sweep. If the caller's deadline ended it, the
// cause is the session that it waited for.
func (s *sweep) orLocked(ctx context.Context, err, locked error) error {
	if locked == nil || err != locked && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("row locked: %w: end that transaction, which pg_blocking_pids and pg_stat_activity show,"+
		" and repeat the revoke", locked)
}

// late reports whether the caller's deadline leaves no time for another wait.
func (s *sweep) late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < s.p.timeout/8
}

// patience is for how long a statement waits for a row. Postgres may count it
// twice, for its turn and for the row, and must refuse before the deadline.
func (s *sweep) patience(ctx context.Context) string {
	wait := s.p.timeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	return strconv.FormatInt(max(1, (wait/3).Milliseconds()), 10)
}

// pass ends the sessions that began no later than until and are not locked, in
// batches in the order of their ids.
func (s *sweep) pass(ctx context.Context, until time.Time) error {
	var after store.ID
	for {
		found, err := s.find(ctx, after, until)
		if err != nil || len(found) == 0 {
			return err
		}
		last := len(found) < revokeFound
		copy(after[:], found[len(found)-1])
		for len(found) > 0 {
			n := min(len(found), revokeAtOnce)
			if err := s.end(ctx, found[:n]); err != nil {
				return err
			}
			found = found[n:]
		}
		if last {
			return nil
		}
	}
}

func (s *sweep) find(ctx context.Context, after store.ID, until time.Time) (found [][]byte, err error) {
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
	if unknown := errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrBrokenRow); unknown && !s.sel.All {
		gone = batch
	}
	s.ended(gone, n, err)
	return err
}

// once ends a session that began no later than until, and waits if its row is
// locked. It reports whether it saw one: none is the end.
func (s *sweep) once(ctx context.Context, until time.Time) (seen bool, err error) {
	within := s.p.timeout
	if s.sel.All || s.count >= revokeAtOnce {
		within = max(within, sweepTimeout) // it reads over the rows that are gone
	}
	var first []byte
	var gone [][]byte
	n := 0
	err = s.change(ctx, within, func(ctx context.Context, db querier) error {
		if s.sel.All {
			row, err := s.p.queries.AllRevoke(ctx, db, s.patience(ctx), until)
			if err != nil {
				return err
			}
			first, n = row.Seen, int(row.Ended)
			return s.kept.check(first, n)
		}
		row, err := s.p.queries.OwnerRevoke(ctx, db, &gen.OwnerRevokeParams{
			UserID: s.sel.UserID, Spared: s.sel.Except[:], Until: until, Max: 1, Patience: s.patience(ctx),
		})
		if err != nil {
			return err
		}
		first, gone, n = row.Seen, row.IDs, len(row.IDs)
		return s.kept.check(first, n)
	})
	s.ended(gone, n, err)
	return len(first) > 0, err
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
