package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// createCall are the arguments of a Create, and its login.
type createCall struct {
	store.Draft
	of *login
}

// saveCall are the arguments of a Save, and its login.
type saveCall struct {
	id     store.ID
	change store.Change
	of     *login
	was    owner // see rotateCall
}

// Create implements [store.Store].
func (s *common) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	return s.create(ctx, d, new(login))
}

func (s *common) create(
	ctx context.Context, d store.Draft, of *login,
) (store.Record, error) {
	return s.creates.change(ctx, createCall{d, of}, d.UserID, d.MaxSessions, oneDraft(&d))
}

// oneDraft reports whether the statement for many lacks what a draft has.
func oneDraft(d *store.Draft) bool {
	return d.PendingUserID != "" || d.UserID != "" && (len(d.Tags) > 0 || d.LoginAge != 0)
}

// createAlone is the statement for one session. That for many refuses logins by
// revoke marks.
func (s *plainStore) createAlone(
	ctx context.Context, db querier, d *createCall,
) (*store.Record, error) {
	if d.UserID != "" && !oneDraft(&d.Draft) {
		read, err := s.createMany(ctx, db, []createCall{*d})
		return read.one(err)
	}
	return s.createRow(ctx, db, d)
}

// createRow creates a session, and looks for no revoke mark.
func (b *base) createRow(ctx context.Context, db querier, d *createCall) (*store.Record, error) {
	r := b.reader(db, 1)
	arg := &gen.SessionCreateParams{
		ID: d.ID[:], UserID: orNull(d.UserID),
		Age: d.Age, Login: span(d.SinceLogin(), d.UserID != ""),
		Data: orEmpty(d.Data), IP: ipOrNull(d.IP), UserAgent: orNull(d.UserAgent),
		Lifetime: b.expiry.Lifetime(d.Lifetime),
		Idle:     d.IdleIn(b.expiry), Resolution: b.expiry.Resolution(),
		PendingUserID: orNull(d.PendingUserID),
		Pending:       span(ageOf(d.PendingSince), d.PendingUserID != ""),
	}
	if d.UserID != "" {
		arg.LoginID = uuidOrNull(d.LoginID)
	}
	if d.UserID != "" || d.PendingUserID != "" {
		arg.Methods, arg.Tags = orNull(encodeMethods(d.Methods)), tagsOrNull(d.Tags)
	}
	_, err := b.queries.SessionCreate(ctx, r, arg)
	return r.one(ctx, err)
}

// createMany is the statement for many sessions.
func (s *plainStore) createMany(
	ctx context.Context, db querier, drafts []createCall,
) (rowsRead, error) {
	arg := &gen.SessionCreateManyParams{Resolution: s.expiry.Resolution()}
	var logins loginArgs
	for i := range drafts {
		d := &drafts[i]
		arg.IDs = append(arg.IDs, d.ID[:])
		arg.UserIDs = append(arg.UserIDs, d.UserID)
		arg.Ages = append(arg.Ages, d.Age)
		arg.Lifetimes = append(arg.Lifetimes, s.expiry.Lifetime(d.Lifetime))
		arg.Idles = append(arg.Idles, d.IdleIn(s.expiry))
		arg.Data = append(arg.Data, orEmpty(d.Data))
		arg.IPs = append(arg.IPs, d.IP)
		arg.UserAgents = append(arg.UserAgents, d.UserAgent)
		logins.add(d.UserID, &d.Began, d.LoginID, d.Methods)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks = logins.keys, logins.ages, logins.own
	arg.LoginIDs, arg.Methods, arg.Everyone = logins.ids, logins.methods, everyone[:]
	r := s.reader(db, len(drafts))
	left, err := s.queries.SessionCreateMany(ctx, r, arg)
	return r.many(ctx, len(left), err)
}

// Save implements [store.Store].
func (s *common) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	return s.save(ctx, id, c, new(login))
}

func (s *common) save(
	ctx context.Context, id store.ID, c store.Change, of *login,
) (store.Record, error) {
	own := oneChange(&c) || c.Lifetime > 0
	return s.saves.change(ctx, saveCall{id: id, change: c, of: of}, c.UserID, c.MaxSessions, own)
}

// oneChange reports whether the statement for many lacks what a change has.
func oneChange(c *store.Change) bool {
	return c.PendingUserID != "" || c.Completes || c.StepUp || c.UserID != "" && len(c.Tags) > 0
}

// saveRow is the statement for one session.
func (b *base) saveRow(ctx context.Context, db querier, c *saveCall) (*store.Record, error) {
	r, change := b.reader(db, 1), &c.change
	if err := b.refuseLogin(ctx, db, loginOf(change)); err != nil {
		return nil, err
	}
	_, err := b.queries.SessionSave(ctx, r, &gen.SessionSaveParams{
		ID:      c.id[:],
		Removed: orNone(change.Removed), Changed: object.Encode(change.Set), Drops: change.DropData,
		UserID: orNull(change.UserID), Login: span(0, change.UserID != ""),
		LoginID: uuidOrNull(change.LoginID), Methods: orNull(encodeMethods(change.Methods)),
		Tags: tagsOrNull(change.Tags),
		IP:   ipOrNull(change.IP), UserAgent: orNull(change.UserAgent),
		Idle: b.slidingIdle(), Resolution: b.expiry.Resolution(),
	})
	rec, err := r.one(ctx, err)
	if err == nil && change.Lifetime > 0 {
		return b.endAfter(ctx, db, rec, change.Lifetime)
	}
	return rec, err
}

// endAfter has a session end so long after now, when its transaction has saved
// or rotated it, and no later than the absolute timeout after its creation.
func (b *base) endAfter(
	ctx context.Context, db querier, rec *store.Record, lifetime time.Duration,
) (*store.Record, error) {
	deadline := rec.LastSeenAt.Add(lifetime)
	if longest := rec.CreatedAt.Add(b.expiry.Absolute); longest.Before(deadline) {
		deadline = longest
	}
	r := b.reader(db, 1)
	_, err := b.queries.SessionLifetime(ctx, r, &gen.SessionLifetimeParams{
		ID: rec.ID[:], Deadline: deadline,
		Idle: b.expiry.Idle, Resolution: b.expiry.Resolution(),
	})
	return r.one(ctx, err)
}

// saveMany is the statement for many sessions.
func (s *plainStore) saveMany(ctx context.Context, db querier, calls []saveCall) (rowsRead, error) {
	arg := &gen.SessionSaveManyParams{Idle: s.slidingIdle(), Resolution: s.expiry.Resolution()}
	var logins loginArgs
	for i := range calls {
		c := &calls[i].change
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, object.Encode(c.Set))
		arg.Drops = append(arg.Drops, c.DropData)
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
		logins.add(c.UserID, &c.Began, c.LoginID, c.Methods)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks = logins.keys, logins.ages, logins.own
	arg.LoginIDs, arg.Methods, arg.Everyone = logins.ids, logins.methods, everyone[:]
	r := s.reader(db, len(calls))
	left, err := s.queries.SessionSaveMany(ctx, r, arg)
	return r.many(ctx, len(left), err)
}

// Touch implements [store.Store]. If the values of one session make the
// statement fail, Touch finds that session by halves.
func (s *plainStore) Touch(ctx context.Context, touches []store.Touch) error {
	touches = slices.Clone(touches)
	slices.SortFunc(touches, func(a, b store.Touch) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	touches = slices.CompactFunc(touches, func(a, b store.Touch) bool { return a.ID == b.ID })
	return s.touchMany(ctx, touches)
}

// touchMany touches sessions whose ids are in order, none twice.
func (s *plainStore) touchMany(ctx context.Context, touches []store.Touch) error {
	arg := &gen.SessionTouchParams{
		IDs: make([][]byte, len(touches)), IPs: make([]netip.Addr, len(touches)),
		UserAgents: make([]string, len(touches)),
		Idle:       s.slidingIdle(), Resolution: s.expiry.Resolution(),
	}
	for i := range touches {
		arg.IDs[i], arg.IPs[i] = touches[i].ID[:], touches[i].IP
		arg.UserAgents[i] = touches[i].UserAgent
	}
	s.exec.tallies[opTouch].add(len(touches))
	var touched, locked [][]byte
	run := func(ctx context.Context, db querier) (err error) {
		touched, err = s.queries.SessionTouch(ctx, db, arg)
		if err == nil && len(touched) < len(touches) {
			locked, err = s.alive(ctx, db, without(arg.IDs, touched))
		}
		return err
	}
	err := s.exec.exec(ctx, statement{op: opTouch, run: run})
	switch {
	case err == nil && len(locked) > 0:
		left := setOf(locked)
		rest := slices.DeleteFunc(slices.Clone(touches), func(t store.Touch) bool {
			return !left[t.ID]
		})
		return s.touchEach(ctx, s.touchLocked, rest)
	case !rowFault(err):
		return err
	case len(touches) == 1:
		s.logTouch(ctx, &touches[0], err)
		return nil
	}
	half := len(touches) / 2
	if err := s.touchMany(ctx, touches[:half]); err != nil {
		return err
	}
	return s.touchMany(ctx, touches[half:])
}

// touchLocked touches one session and waits for its row.
func (s *plainStore) touchLocked(ctx context.Context, t *store.Touch) error {
	run := func(ctx context.Context, db querier) (*store.Record, error) {
		return &store.Record{}, s.touchRow(ctx, db, t)
	}
	_, _, err := s.rows.wait(ctx, t.ID, rowCall{op: opTouch, run: run})
	return err
}

// touchRow is the statement for one session.
func (b *base) touchRow(ctx context.Context, db querier, t *store.Touch) error {
	_, err := b.queries.DistributedTouch(ctx, db, &gen.DistributedTouchParams{
		ID: t.ID[:], IP: ipOrNull(t.IP), UserAgent: orNull(t.UserAgent),
		Idle: b.slidingIdle(), Resolution: b.expiry.Resolution(),
	})
	return err
}

// touchEach touches each session by itself. It leaves half of the connections
// to requests. No group waits for the sessions of another one.
func (b *base) touchEach(
	ctx context.Context, touch func(context.Context, *store.Touch) error, groups ...[]store.Touch,
) error {
	ctx, cancel := context.WithTimeout(ctx, b.exec.timeout) // for all of them
	defer cancel()
	var failed atomic.Int64
	touches := 0
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	for _, group := range groups {
		touches += len(group)
		var next atomic.Int64
		for range min(len(group), max(1, b.exec.pool.size()/2/len(groups))) {
			all.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(group)); i = next.Add(1) - 1 {
					if err := touch(ctx, &group[i]); err != nil {
						failed.Add(1)
						first.CompareAndSwap(nil, &err)
					}
				}
			})
		}
	}
	all.Wait()
	if err := first.Load(); err != nil {
		return fmt.Errorf("%d of %d sessions: %w", failed.Load(), touches, *err)
	}
	return nil
}

// logTouch logs a session that can't be touched. Postgres checks a row as a
// whole whenever it changes, so one that is older than its CHECK fails there.
func (b *base) logTouch(ctx context.Context, t *store.Touch, err error) {
	var f *failure
	errors.As(err, &f)
	problem := "a touch was refused: " + f.state
	b.broken.report(ctx, &rowError{handle: t.ID.Handle(), problem: problem})
}

// Delete implements [store.Store].
func (s *plainStore) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	return s.delete(ctx, id, true)
}

// delete ends a session. A locked row makes it wait in the queue of that row.
// noted adds an ending, so that a load of the session is store.ErrEnded.
func (s *plainStore) delete(
	ctx context.Context, id store.ID, noted bool,
) (store.Revocation, error) {
	s.exec.tallies[opDelete].add(1)
	locked, missed, sent := false, false, 0
	d := deleteCall{id: id, noted: noted, note: store.NoteOf(ctx)}
	run := func(ctx context.Context, db querier) (err error) {
		sent++
		locked, missed, err = s.deleteUnlocked(ctx, db, &d)
		return err
	}
	err := s.exec.exec(ctx, statement{op: opDelete, run: run})
	if err == nil && locked {
		var none atomic.Bool // the queue may run it when the caller has given up
		run := func(ctx context.Context, db querier) (*store.Record, error) {
			missed, err := s.deleteRow(ctx, db, id, func() (int64, error) {
				return s.deleteOne(ctx, db, &d, false)
			})
			none.Store(missed)
			return &store.Record{}, err
		}
		_, _, err = s.rows.wait(ctx, id, rowCall{op: opDelete, run: run})
		missed = none.Load()
	}
	r := deletion(missed, err)
	r.Repeated = sent > 1
	return r, err
}

// deletion returns what a Delete promises.
func deletion(missed bool, err error) store.Revocation {
	return store.Revocation{
		Committed: err == nil, CacheAcked: true, Missed: missed && err == nil,
	}
}

// deleteUnlocked deletes a session unless its row is locked. It reports whether
// there was no row.
func (s *plainStore) deleteUnlocked(
	ctx context.Context, db querier, d *deleteCall,
) (locked, missed bool, err error) {
	n, err := s.deleteOne(ctx, db, d, true)
	if err != nil || n > 0 {
		return false, false, err
	}
	alive, err := s.alive(ctx, db, [][]byte{d.id[:]})
	if err != nil || len(alive) > 0 {
		return true, false, err
	}
	return false, true, s.queries.SessionAwaitStandby(ctx, db)
}

// deleteOne is the statement for one session. It waits for a locked row unless
// free.
func (s *plainStore) deleteOne(
	ctx context.Context, db querier, d *deleteCall, free bool,
) (int64, error) {
	switch {
	case s.events.on() && d.note.As != store.AsNothing:
		return s.events.deletes(ctx, db, d, free)
	case free:
		return s.queries.SessionDeleteFree(ctx, db, d.id[:], d.noted)
	}
	return s.queries.SessionDelete(ctx, db, d.id[:], d.noted)
}

// deleteRow deletes a session with del, which waits for its row. A row that is
// there afterwards was kept by a trigger or a rule, or its insert committed
// meanwhile: so it is deleted once more. deleteRow reports whether there was no
// row.
func (b *base) deleteRow(
	ctx context.Context, db querier, id store.ID, del func() (int64, error),
) (missed bool, err error) {
	for range 2 {
		n, err := del()
		if err != nil || n > 0 {
			return false, err
		}
		alive, err := b.alive(ctx, db, [][]byte{id[:]})
		if err != nil {
			return false, err
		}
		if len(alive) == 0 {
			return true, b.queries.SessionAwaitStandby(ctx, db)
		}
	}
	return false, errKept
}

// slidingIdle is null if deadlines don't move.
func (b *base) slidingIdle() pgtype.Interval { return span(b.expiry.Idle, !b.expiry.Fixed) }

// without returns the ids that are not among others.
func without(ids, others [][]byte) [][]byte {
	found := setOf(others)
	return slices.DeleteFunc(slices.Clone(ids), func(id []byte) bool { return found[store.ID(id)] })
}
