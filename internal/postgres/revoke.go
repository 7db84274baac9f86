package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Revoke implements [store.Store]. It does not repeat a statement whose reply
// was lost: the second reply would lack the ids that the first attempt ended,
// and the cache would keep them.
func (s *plainStore) Revoke(
	ctx context.Context, sel store.Selection,
) (ids []store.ID, r store.Revocation, err error) {
	n := 0
	if isOne(&sel) {
		run := func(ctx context.Context, db querier) (err error) {
			if ids, n, err = s.revokeRows(ctx, db, sel, s); err == nil {
				err = s.addRevoke(ctx, db, &sel, ids, n)
			}
			return err
		}
		err = s.exec.exec(ctx, statement{op: opRevoke, run: run, tx: s.events.on()})
	} else {
		sweep := sweep{s: s, sel: sel}
		err = sweep.run(ctx)
		ids, n = sweep.ids, sweep.count
		if err == nil && s.events.on() {
			run := func(ctx context.Context, db querier) error {
				return s.addRevoke(ctx, db, &sel, nil, n)
			}
			err = s.exec.exec(ctx, statement{op: opRevoke, run: run})
		}
	}
	return ids, revocation(n, err), err
}

// revocation says what a revoke without a cache promises.
func revocation(n int, err error) store.Revocation {
	return store.Revocation{Count: n, Committed: err == nil, CacheAcked: true}
}

// isOne reports whether one statement ends the selection, whatever the size of
// the table: one session, those beyond a limit, or none.
func isOne(s *store.Selection) bool {
	return !s.All && s.Tag == (store.Tag{}) && (s.UserID == "" || s.Handle != "" || s.Keep > 0)
}

// addMark adds the mark of a revoke and returns its time. It must be committed
// before the revoke ends a session. In a transaction of the application it has
// the time at which that began, and others see it after the commit.
func (b *base) addMark(ctx context.Context, db querier, sel *store.Selection) (time.Time, error) {
	key := markKeyOf(sel)
	return b.queries.MarkAdd(ctx, db, sel.Mark[:], key[:])
}

// commitMark adds the mark of a revoke in a transaction of its own.
func (b *base) commitMark(ctx context.Context, sel *store.Selection) (at time.Time, err error) {
	note := store.NoteOf(ctx)
	run := func(ctx context.Context, db querier) (err error) {
		if b.events.on() && note.As == store.AsCall {
			key := markKeyOf(sel)
			at, err = b.events.began(ctx, db, &note, sel, key[:])
			return err
		}
		at, err = b.addMark(ctx, db, sel)
		return err
	}
	err = b.exec.exec(ctx, statement{op: opMark, run: run})
	return at, err
}

// addRevoke adds the events of a revoke that has ended n sessions.
func (b *base) addRevoke(
	ctx context.Context, db querier, sel *store.Selection, ids []store.ID, n int,
) error {
	note := store.NoteOf(ctx)
	if isOne(sel) {
		return b.events.each(ctx, db, &note, sel.UserID, ids)
	}
	return b.events.ended(ctx, db, &note, sel.UserID, n)
}

// userRevoker ends sessions of a user on one kind of table, and returns their
// ids.
type userRevoker interface {
	revokeUser(context.Context, querier, *store.Selection) ([][]byte, error)
	revokeHandle(context.Context, querier, *gen.OwnerRevokeHandleParams) ([][]byte, error)
}

// revokeRows ends the sessions of a selection and returns their ids and number.
func (b *base) revokeRows(
	ctx context.Context, db querier, sel store.Selection, of userRevoker,
) (ids []store.ID, n int, err error) {
	var gone [][]byte
	switch {
	case sel.All:
		if n, err = b.revokeAll(ctx, db, untilOf(&sel)); err == nil && n == 0 {
			err = b.queries.SessionAwaitStandby(ctx, db)
		}
		return nil, n, err
	case sel.Tag != store.Tag{}:
		gone, err = of.revokeUser(ctx, db, &sel)
	case sel.UserID == "":
		return nil, 0, nil
	case sel.Handle != "":
		handle, malformed := base64.RawURLEncoding.Strict().DecodeString(string(sel.Handle))
		if malformed != nil {
			return nil, 0, nil // no session has this handle
		}
		gone, err = of.revokeHandle(ctx, db, &gen.OwnerRevokeHandleParams{
			UserID: sel.UserID, Label: []byte(store.HandleLabel), Handle: handle,
		})
	default:
		gone, err = of.revokeUser(ctx, db, &sel)
	}
	ids = knownIDs(gone)
	if err == nil && len(ids) == 0 && sel.Keep == 0 {
		err = b.queries.SessionAwaitStandby(ctx, db)
	}
	return ids, len(ids), err
}

// knownIDs leaves out values that are no id: no token leads to such a session.
func knownIDs(values [][]byte) (ids []store.ID) {
	for _, value := range values {
		if id, ok := idOf(value); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// revokeIn ends the sessions of a selection in a transaction of the
// application.
func (s *plainStore) revokeIn(
	ctx context.Context, db querier, sel store.Selection,
) ([]store.ID, int, error) {
	return s.revokeRows(ctx, db, sel, s)
}

// revokeUser ends the sessions of a user beyond a limit, or all those of a user
// or with a tag in a transaction of the application.
func (s *plainStore) revokeUser(
	ctx context.Context, db querier, sel *store.Selection,
) (gone [][]byte, err error) {
	user, tag := ownerOf(sel)
	if sel.Keep > 0 && tag == nil {
		return s.queries.OwnerTrim(ctx, db, sel.UserID, int32(sel.Keep))
	}
	var kept keptRows
	for {
		row, err := s.queries.OwnerRevoke(ctx, db, &gen.OwnerRevokeParams{
			UserID: user, Tag: tag, Spared: sel.Except[:], Until: endOfTime, Max: math.MaxInt32,
		})
		if err != nil {
			return gone, err
		}
		gone = append(gone, row.IDs...)
		if err := kept.check(row.Seen, len(row.IDs)); err != nil || len(row.Seen) == 0 {
			return gone, err
		}
	}
}

// revokeHandle ends one session.
func (s *plainStore) revokeHandle(
	ctx context.Context, db querier, arg *gen.OwnerRevokeHandleParams,
) ([][]byte, error) {
	gone, err := s.queries.OwnerRevokeHandle(ctx, db, arg)
	if err != nil || len(gone) > 0 {
		return gone, err
	}
	found, err := s.queries.OwnerHasHandle(ctx, db, (*gen.OwnerHasHandleParams)(arg))
	if found {
		err = errKept
	}
	return nil, err
}

// ownerOf returns the user or the tag of a selection, and null for the other
// one.
func ownerOf(sel *store.Selection) (user pgtype.Text, tag [][]byte) {
	if sel.Tag != (store.Tag{}) {
		return user, searchedTag(sel.Tag)
	}
	return orNull(sel.UserID), nil
}

// untilOf returns when the last sessions began that a revoke of all ends.
func untilOf(sel *store.Selection) time.Time {
	if sel.Before.IsZero() {
		return endOfTime
	}
	return sel.Before.Add(-time.Nanosecond) // pgx rounds down to a microsecond
}

// revokeAll ends the sessions that began no later than until.
func (b *base) revokeAll(
	ctx context.Context, db querier, until time.Time,
) (n int, err error) {
	var kept keptRows
	for {
		row, err := b.queries.DistributedRevokeAll(ctx, db, until)
		if err != nil {
			return n, err
		}
		n += int(row.Revoked)
		if row.Seen == 0 {
			return n, nil
		}
		if err := kept.check([]byte("all"), int(row.Revoked)); err != nil {
			return n, err
		}
	}
}

// keptRows finds rows that a rule or trigger keeps. A session that has rotated
// meanwhile was seen and not deleted either, and is not seen a second time.
type keptRows map[string]struct{}

// check takes one id that a statement has seen, and how many rows it deleted.
// It returns errKept if an earlier statement that deleted none has seen it too.
func (k *keptRows) check(seen []byte, deleted int) error {
	if len(seen) == 0 || deleted > 0 {
		return nil
	}
	if _, again := (*k)[string(seen)]; again {
		return errKept
	}
	if *k == nil {
		*k = keptRows{}
	}
	(*k)[string(seen)] = struct{}{}
	return nil
}

const (
	// revokeAtOnce bounds the sessions that one transaction ends.
	revokeAtOnce = 1000
	// revokeFound bounds the ids that one statement finds.
	revokeFound = 50_000
	// sweepTimeout bounds a statement that reads all sessions of a user, or the
	// whole table.
	sweepTimeout = 5 * time.Minute
)

// sweep revokes all sessions of a user, with a tag, or of all users. The
// caller's context bounds it as a whole. Each statement is a transaction with a
// deadline of its own. What it has ended stays ended if a later one fails, and
// the same call continues from there.
//
// A locked session holds up none of the others: batches skip it, and the sweep
// waits for it alone, so a sweep does not deadlock.
type sweep struct {
	s   *plainStore
	sel store.Selection
	// ids are the sessions that were ended, and those that may have been when a
	// reply was lost; none with Selection.All.
	ids   []store.ID
	count int
	kept  keptRows
}

// run ends the sessions that no other transaction has locked. Afterwards it
// ends those that began no later than the revoke, and waits for one locked
// session at a time. It stops when a statement that skips none has seen none.
// With Selection.Before it ends none that began later than that.
func (s *sweep) run(ctx context.Context) error {
	began, err := s.s.commitMark(ctx, &s.sel)
	if err != nil {
		return err
	}
	until := untilOf(&s.sel)
	var locked error // of a wait for a locked session
	for {
		if err := s.pass(ctx, until); err != nil {
			return s.orLocked(ctx, err, locked)
		}
		if latest := began.Add(coherence.Allowance); latest.Before(until) {
			until = latest
		}
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

// orLocked returns the error of a sweep. If the caller's deadline ended it, the
// cause is the session that it waited for.
func (s *sweep) orLocked(ctx context.Context, err, locked error) error {
	if locked == nil || err != locked && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("row locked: %w: end that transaction, which pg_blocking_pids and"+
		" pg_stat_activity show, and repeat the revoke", locked)
}

// late reports whether the caller's deadline leaves no time for another wait.
func (s *sweep) late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < s.s.exec.timeout/8
}

// patience returns for how many milliseconds a statement waits for a row.
// Postgres may count it twice, for its turn and for the row, and must refuse
// before the deadline.
func (s *sweep) patience(ctx context.Context) string {
	wait := s.s.exec.timeout
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

func (s *sweep) find(
	ctx context.Context, after store.ID, until time.Time,
) (found [][]byte, err error) {
	run := func(ctx context.Context, db querier) (err error) {
		if s.sel.All {
			found, err = s.s.queries.AllFind(ctx, db, &gen.AllFindParams{
				After: after[:], Until: until, Max: revokeFound,
			})
			return err
		}
		user, tag := ownerOf(&s.sel)
		found, err = s.s.queries.OwnerFind(ctx, db, &gen.OwnerFindParams{
			UserID: user, Tag: tag, After: after[:], Spared: s.sel.Except[:],
			Until: until, Max: revokeFound,
		})
		return err
	}
	err = s.s.exec.exec(ctx, statement{op: opRevoke, run: run, within: s.s.sweepTime()})
	return found, err
}

// end ends a batch. If its reply is lost, all of the batch may have ended.
func (s *sweep) end(ctx context.Context, batch [][]byte) error {
	var gone [][]byte
	n := 0
	run := func(ctx context.Context, db querier) error {
		if s.sel.All {
			rows, err := s.s.queries.AllRevokeFound(ctx, db, batch)
			n = int(rows)
			return err
		}
		user, tag := ownerOf(&s.sel)
		ended, err := s.s.queries.OwnerRevokeFound(ctx, db, &gen.OwnerRevokeFoundParams{
			IDs: batch, UserID: user, Tag: tag,
		})
		gone, n = ended, len(ended)
		return err
	}
	err := s.s.exec.exec(ctx, statement{op: opRevoke, run: run})
	unknown := errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrBrokenRow)
	if unknown && !s.sel.All {
		gone = batch
	}
	s.ended(gone, n, err)
	return err
}

// once ends a session that began no later than until, and waits if its row is
// locked. It reports whether it saw one: none is the end.
func (s *sweep) once(ctx context.Context, until time.Time) (seen bool, err error) {
	within := s.s.exec.timeout
	if s.sel.All || s.count >= revokeAtOnce {
		within = s.s.sweepTime() // it reads over the rows that are gone
	}
	var first []byte
	var gone [][]byte
	n := 0
	run := func(ctx context.Context, db querier) error {
		if s.sel.All {
			row, err := s.s.queries.AllRevoke(ctx, db, s.patience(ctx), until)
			if err != nil {
				return err
			}
			first, n = row.Seen, int(row.Revoked)
			return s.kept.check(first, n)
		}
		user, tag := ownerOf(&s.sel)
		row, err := s.s.queries.OwnerRevoke(ctx, db, &gen.OwnerRevokeParams{
			UserID: user, Tag: tag, Spared: s.sel.Except[:],
			Until: until, Max: 1, LockTimeout: s.patience(ctx),
		})
		if err != nil {
			return err
		}
		first, gone, n = row.Seen, row.IDs, len(row.IDs)
		return s.kept.check(first, n)
	}
	err = s.s.exec.exec(ctx, statement{op: opRevoke, run: run, within: within})
	s.ended(gone, n, err)
	return len(first) > 0, err
}

// ended adds the sessions that one statement ended.
func (s *sweep) ended(gone [][]byte, n int, err error) {
	s.ids = append(s.ids, knownIDs(gone)...)
	if s.count += n; err == nil && n > 0 && s.sel.Progress != nil {
		s.sel.Progress(s.count)
	}
}

// sweepTime bounds a statement that reads all sessions of a user, or the whole
// table.
func (b *base) sweepTime() time.Duration { return max(b.exec.timeout, sweepTimeout) }
