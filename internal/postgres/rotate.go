package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// rotateCall are the arguments of a Rotate.
type rotateCall struct {
	old, id store.ID
	change  store.Change
	of      *login
	// was is the owner of the session before the transaction; only where Citus
	// has distributed the table.
	was owner
}

// Rotate implements [store.Store].
func (s *common) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	return s.rotate(ctx, old, id, c, new(login))
}

func (s *common) rotate(
	ctx context.Context, old, id store.ID, c store.Change, of *login,
) (store.Record, error) {
	return s.rotates.change(ctx, rotateCall{old: old, id: id, change: c, of: of},
		c.UserID, c.MaxSessions, oneRotation(&c))
}

// oneRotation reports whether the statement for many rotations lacks what a
// change has.
func oneRotation(c *store.Change) bool {
	return oneChange(c) || c.Lifetime > 0 && c.UserID == ""
}

// rotateRow is the statement for one session. The record of a completion has in
// Began and Tags what revoke marks may refuse.
func (b *base) rotateRow(ctx context.Context, db querier, c *rotateCall) (*store.Record, error) {
	r, change, of := b.reader(db, 1), &c.change, loginOf(&c.change)
	var completed pgtype.Timestamptz
	if change.Completes {
		pending, err := b.pendingLogin(ctx, db, c)
		if err != nil {
			return nil, err
		}
		of.began = store.BeganAt(pending.Since, change.Began.Own()...)
		of.tags = addTags(pending.Tags, change.Tags)
		completed = pgtype.Timestamptz{Time: pending.Since, Valid: true}
	}
	if err := b.refuseLogin(ctx, db, of); err != nil {
		return nil, err
	}
	_, err := b.queries.SessionRotate(ctx, r, &gen.SessionRotateParams{
		OldID: c.old[:], ID: c.id[:],
		Removed: orNone(change.Removed), Changed: object.Encode(change.Set), Drops: change.DropData,
		UserID: orNull(change.UserID), IP: ipOrNull(change.IP), UserAgent: orNull(change.UserAgent),
		Lifetime:      b.expiry.Lifetime(change.Lifetime),
		Idle:          span(b.expiry.Idle, !b.expiry.Fixed || change.UserID != ""),
		Resolution:    b.expiry.Resolution(),
		PendingUserID: orNull(change.PendingUserID), CompletedSince: completed,
		StepsUp: change.StepUp, LoginID: uuidOrNull(change.LoginID),
		Methods: orNull(encodeMethods(change.Methods)), Tags: tagsOrNull(of.tags),
	})
	rec, err := r.one(ctx, err)
	if err == nil && change.Lifetime > 0 && change.UserID == "" {
		rec, err = b.endAfter(ctx, db, rec, change.Lifetime)
	}
	switch {
	case !change.Completes:
	case err == nil:
		rec.Began, rec.Tags = of.began, of.tags
	case errors.Is(err, pgx.ErrNoRows):
		err = b.noPendingLogin(ctx, db, c)
	}
	return rec, err
}

// pendingLogin returns the pending login that a rotation completes.
func (b *base) pendingLogin(
	ctx context.Context, db querier, c *rotateCall,
) (*gen.SessionPendingRow, error) {
	row, err := b.queries.SessionPending(ctx, db, &gen.SessionPendingParams{
		ID: c.old[:], UserID: c.change.UserID, Timeout: store.PendingTimeout,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = b.noPendingLogin(ctx, db, c)
	}
	return row, err
}

// noPendingLogin returns why a pending login can't be completed.
func (b *base) noPendingLogin(ctx context.Context, db querier, c *rotateCall) error {
	alive, err := b.alive(ctx, db, [][]byte{c.old[:]})
	switch {
	case err != nil:
		return err
	case len(alive) == 0:
		return pgx.ErrNoRows
	}
	return store.ErrNoPendingLogin
}

// rotateMany is the statement for many sessions.
func (s *plainStore) rotateMany(
	ctx context.Context, db querier, calls []rotateCall,
) (rowsRead, error) {
	arg := &gen.SessionRotateManyParams{
		Slides: !s.expiry.Fixed, Idle: s.expiry.Idle, Resolution: s.expiry.Resolution(),
	}
	var logins loginArgs
	for i := range calls {
		c := &calls[i].change
		arg.OldIDs = append(arg.OldIDs, calls[i].old[:])
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, object.Encode(c.Set))
		arg.Drops = append(arg.Drops, c.DropData)
		arg.Lifetimes = append(arg.Lifetimes, s.expiry.Lifetime(c.Lifetime))
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
		logins.add(c.UserID, &c.Began, c.LoginID, c.Methods)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks = logins.keys, logins.ages, logins.own
	arg.LoginIDs, arg.Methods, arg.Everyone = logins.ids, logins.methods, everyone[:]
	r := s.reader(db, len(calls))
	left, err := s.queries.SessionRotateMany(ctx, r, arg)
	return r.many(ctx, len(left), err)
}
