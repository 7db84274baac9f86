package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// citusStore is a Store on a table that Citus has distributed. A call is a
// statement of its own, and goes to the one node that has the session. A
// statement for many would ask every node, fail for all if one is unavailable,
// and could not lock its rows in order, which is what keeps statements for many
// from deadlocks. One for a single row holds nothing while it waits.
//
// Its statements run on a plain table too.
type citusStore struct{ common }

var _ store.Store = (*citusStore)(nil)

func newCitusStore(b base) *citusStore {
	s := &citusStore{common{base: b}}
	// The limit of the nodes says who waits: see nodeLimit.
	cfg := batch.Config{InFlight: nodes.MaxWaiting, MaxBatch: 1}
	s.loads = combined[store.ID]{op: opLoad, row: ownID, single: s.load}.start(b.exec, b.rows, cfg)
	s.creates = combined[createCall]{
		op: opCreate, row: draftID, single: s.createEntered,
	}.start(b.exec, b.rows, cfg)
	s.saves = combined[saveCall]{
		op: opSave, row: savedID, single: s.saveEntered,
	}.start(b.exec, b.rows, cfg)
	s.rotates = combined[rotateCall]{
		op: opRotate, row: oldID, result: newID, single: s.rotateLocked, tx: true,
	}.start(b.exec, b.rows, cfg)
	b.rows.count = s.countOwn
	return s
}

// Load implements [store.Store].
func (s *citusStore) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	rec, err := s.loads.call(ctx, id)
	return rec, s.loadError(ctx, id, err)
}

func (s *citusStore) load(ctx context.Context, db querier, id *store.ID) (*store.Record, error) {
	return s.loadRow(ctx, db, id, func() (*gen.SessionMissingRow, error) {
		row, err := s.queries.DistributedMissing(ctx, db, id[:])
		if err != nil {
			return nil, err
		}
		return &gen.SessionMissingRow{Standby: row.Standby, Expired: row.Expired}, nil
	})
}

// Create implements [store.Store].
func (s *citusStore) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	return s.create(ctx, d, new(login))
}

func (s *citusStore) create(
	ctx context.Context, d store.Draft, of *login,
) (store.Record, error) {
	userID := cmp.Or(d.UserID, d.PendingUserID)
	if err := s.enter(ctx, userID, d.ID, time.Time{}); err != nil {
		return store.Record{}, err
	}
	return s.common.create(ctx, d, of)
}

func (s *citusStore) createEntered(
	ctx context.Context, db querier, d *createCall,
) (*store.Record, error) {
	return s.createRow(ctx, schema.OnCitus(db), d)
}

// Save implements [store.Store].
func (s *citusStore) Save(
	ctx context.Context, id store.ID, c store.Change,
) (store.Record, error) {
	return s.save(ctx, id, c, new(login))
}

// save enters the session under its new user, if the change has one.
func (s *citusStore) save(
	ctx context.Context, id store.ID, c store.Change, of *login,
) (store.Record, error) {
	if c.UserID == "" {
		return s.common.save(ctx, id, c, of)
	}
	for range maxAttempts {
		was, err := s.ownerOf(ctx, id)
		if err == nil {
			err = s.enter(ctx, c.UserID, id, was.until)
		}
		if err != nil {
			return store.Record{}, err
		}
		rec, err := s.saves.change(ctx, saveCall{id: id, change: c, of: of, was: was},
			c.UserID, c.MaxSessions, true)
		if !errors.Is(err, errUserChanged) {
			return rec, err
		}
	}
	return store.Record{}, errUserChanged
}

// saveEntered is the statement for one session. A login is in a transaction, as
// is a lifetime, which may extend the absolute deadline: its entry then lives
// as long.
func (s *citusStore) saveEntered(
	ctx context.Context, db querier, c *saveCall,
) (*store.Record, error) {
	if c.change.UserID != "" {
		if err := s.lockOwner(ctx, db, c.id, c.was); err != nil {
			return nil, err
		}
	}
	rec, err := s.saveRow(ctx, schema.OnCitus(db), c)
	if err != nil || c.change.Lifetime <= 0 {
		return rec, err
	}
	if userID := cmp.Or(rec.UserID, rec.PendingUserID); userID != "" {
		err = s.enterIn(ctx, db, userID, c.id, rec.AbsoluteExpiresAt)
	}
	return rec, err
}

// Rotate implements [store.Store].
func (s *citusStore) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	return s.rotate(ctx, old, id, c, new(login))
}

// rotate reads the session's user before its transaction, which locks that user
// first of all. A read within the transaction would hold the lock of a shard
// while the rotation waits for the user's.
func (s *citusStore) rotate(
	ctx context.Context, old, id store.ID, c store.Change, of *login,
) (store.Record, error) {
	for range maxAttempts {
		was, err := s.ownerOf(ctx, old)
		if err == nil {
			err = s.enter(ctx, cmp.Or(c.UserID, c.PendingUserID, was.userID), id, was.until)
		}
		if err != nil {
			return store.Record{}, err
		}
		rec, err := s.rotates.change(ctx, rotateCall{
			old: old, id: id, change: c, of: of, was: was,
		}, c.UserID, c.MaxSessions, oneRotation(&c))
		if !errors.Is(err, errUserChanged) {
			return rec, err
		}
	}
	return store.Record{}, errUserChanged
}

// rotateLocked begins with a lock: revokes of all sessions of the user, and of
// all users, wait until the transaction ends. Otherwise a revoke could look at
// the shard of the new row before the rotation and at that of the old row after
// it. It returns errUserChanged if the lock is not that of the session's user.
func (s *citusStore) rotateLocked(
	ctx context.Context, db querier, c *rotateCall,
) (*store.Record, error) {
	// No revoke of a user waits for a visitor's session, so those need not wait
	// for each other.
	n := lockOf(cmp.Or(c.was.userID, string(c.old[:])))
	if err := lockUser(ctx, db, s.queries, n); err != nil {
		return nil, err
	}
	if err := s.lockOwner(ctx, db, c.old, c.was); err != nil {
		return nil, err
	}
	return s.rotateRow(ctx, schema.OnCitus(db), c)
}

// Touch implements [store.Store].
func (s *citusStore) Touch(ctx context.Context, touches []store.Touch) error {
	byNode := map[nodes.Place][]store.Touch{}
	for i := range touches {
		on := s.exec.nodes.at(touches[i].ID)
		byNode[on] = append(byNode[on], touches[i])
	}
	touch := func(ctx context.Context, t *store.Touch) error {
		s.exec.tallies[opTouch].add(1)
		run := func(ctx context.Context, db querier) error {
			return s.touchRow(ctx, db, t)
		}
		err := s.exec.exec(ctx, statement{op: opTouch, run: run, on: s.exec.nodes.at(t.ID)})
		if rowFault(err) {
			s.logTouch(ctx, t, err)
			return nil
		}
		return err
	}
	return s.touchEach(ctx, touch, slices.Collect(maps.Values(byNode))...)
}

// Delete implements [store.Store].
func (s *citusStore) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	return s.delete(ctx, id, false)
}

// delete ends a session. Without endings there is nothing to note.
func (s *citusStore) delete(
	ctx context.Context, id store.ID, _ bool,
) (store.Revocation, error) {
	s.exec.tallies[opDelete].add(1)
	missed := false
	run := func(ctx context.Context, db querier) (err error) {
		missed, err = s.deleteRow(ctx, db, id, func() (int64, error) {
			return s.queries.DistributedDelete(ctx, db, id[:])
		})
		return err
	}
	err := s.exec.exec(ctx, statement{op: opDelete, run: run, on: s.exec.nodes.at(id)})
	return deletion(missed, err), err
}

// Revoke implements [store.Store]. It ends every selection in one transaction,
// which its lock belongs to.
func (s *citusStore) Revoke(
	ctx context.Context, sel store.Selection,
) (ids []store.ID, r store.Revocation, err error) {
	if sel.LeavesMark() {
		if _, err := s.commitMark(ctx, &sel); err != nil {
			return nil, revocation(0, err), err
		}
	}
	within := s.exec.timeout
	if !isOne(&sel) {
		within = s.sweepTime()
	}
	n := 0
	run := func(ctx context.Context, db querier) (err error) {
		ids, n, err = s.revokeIn(ctx, db, sel)
		return err
	}
	err = s.exec.exec(ctx, statement{
		op: opRevoke, run: run, tx: true, on: nodes.Everywhere, within: within,
	})
	return ids, revocation(n, err), err
}

// revokeIn ends the sessions of a selection in a transaction.
func (s *citusStore) revokeIn(
	ctx context.Context, db querier, sel store.Selection,
) ([]store.ID, int, error) {
	if sel.All {
		if err := s.lock(ctx, db, &sel); err != nil {
			return nil, 0, err
		}
	}
	return s.revokeRows(ctx, db, sel, s)
}

// revokeUser ends the sessions of a user, or with a tag, after the rotations
// that hold the lock have ended.
func (s *citusStore) revokeUser(
	ctx context.Context, db querier, sel *store.Selection,
) ([][]byte, error) {
	if err := s.lock(ctx, db, sel); err != nil {
		return nil, err
	}
	switch {
	case sel.Tag != store.Tag{}:
		return s.queries.DistributedRevoke(ctx, db, &gen.DistributedRevokeParams{
			Tag: searchedTag(sel.Tag), Spared: sel.Except[:],
		})
	case sel.Keep > 0:
		return s.trimOwn(ctx, db, sel.UserID, sel.Keep)
	}
	return s.revokeOwn(ctx, db, sel.UserID, sel.Except)
}

// lock waits for the rotations that are under way: those of a user, or all, as
// the sessions with a tag are of any user. A revoke of a user then asks the
// nodes of its sessions about interrupted commits, and any other asks all
// nodes.
func (s *citusStore) lock(ctx context.Context, db querier, sel *store.Selection) error {
	if !sel.All && sel.Tag == (store.Tag{}) {
		return lockUser(ctx, db, s.queries, lockOf(sel.UserID))
	}
	err := lockRows(ctx, db, s.queries, locks, func() (int64, error) {
		return s.queries.DistributedLockAll(ctx, db)
	})
	if err != nil {
		return err
	}
	return awaitPrepared(ctx, func() ([]string, error) { return schema.Prepared(ctx, db) })
}

// awaitPrepared waits for the commits that are between their two phases, as ask
// returns them. A rotation releases its lock there: its old row still blocks,
// and its new one can't be seen yet. An interrupted commit stays there until
// Citus recovers it.
func awaitPrepared(ctx context.Context, ask func() ([]string, error)) error {
	first, err := ask()
	for left := first; err == nil && len(left) > 0; {
		pause := time.NewTimer(preparedPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errUnrecovered
		}
		left, err = ask()
		// Later ones are of logins, which look for the revoke's mark.
		left = slices.DeleteFunc(left, func(gid string) bool {
			return !slices.Contains(first, gid)
		})
	}
	return err
}

// preparedPause is how long a revoke waits before it asks the nodes again.
const preparedPause = 20 * time.Millisecond

const (
	// smallTable is the size in bytes up to which an estimate counts, as
	// ExpiryEstimate does.
	smallTable = 16 << 20
	// samplePages is how many pages the estimate of a larger table reads.
	samplePages = 2000
	pageBytes   = 8192
)

// Stats implements [store.Store]. The table of the coordinator is empty, so an
// estimate asks for the size of the shards.
func (s *citusStore) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	return s.stats(ctx, exact, func(ctx context.Context, db querier, stats *store.Stats) error {
		size, err := schema.Bytes(ctx, db, s.exec.pool.schema)
		if err != nil {
			return err
		}
		if stats.Exact = size <= smallTable; stats.Exact {
			return s.count(ctx, db, stats)
		}
		share := min(1, samplePages*pageBytes/float64(size))
		sample, err := s.queries.DistributedSample(ctx, db, float32(100*share))
		if err != nil {
			return err
		}
		stats.Total = int64(float64(sample) / share)
		stats.Expired, err = s.queries.DistributedExpired(ctx, db)
		stats.Active = max(0, stats.Total-stats.Expired)
		return err
	})
}

// citusDetector knows whether Citus has distributed the table. Once it has, the
// detector stays with that.
type citusDetector struct {
	schema string
	nodes  *nodeLimit
	found  atomic.Bool
}

// detect asks the catalog, unless the answer is known.
func (d *citusDetector) detect(ctx context.Context, db querier) (bool, error) {
	if d.found.Load() {
		return true, nil
	}
	is, err := schema.Distributed(ctx, db, d.schema)
	if err != nil || !is {
		return false, err
	}
	if err := d.nodes.learn(ctx, db); err != nil {
		return false, err
	}
	d.found.Store(true)
	return true, nil
}
