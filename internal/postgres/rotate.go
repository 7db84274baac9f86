package postgres

import (
	"context"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// rotateCall are the arguments of a Rotate.
type rotateCall struct {
	old, id store.ID
	change  store.Change
}

// Rotate implements [store.Store].
func (s *plainStore) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	call := rotateCall{old, id, c}
	if c.UserID != "" && c.MaxSessions > 0 {
		return s.loginWithLimit(ctx, c.UserID, old, c.MaxSessions, s.rotates.alone(&call))
	}
	return s.rotates.call(ctx, call)
}

// rotate is the statement for one session.
func (b *base) rotate(ctx context.Context, db querier, c *rotateCall) (*store.Record, error) {
	r, change := b.reader(db, 1), &c.change
	if err := b.refuseLogin(ctx, db, login{change.UserID, change.Began}); err != nil {
		return nil, err
	}
	_, err := b.queries.SessionRotate(ctx, r, &gen.SessionRotateParams{
		OldID: c.old[:], ID: c.id[:],
		Removed: orNone(change.Removed), Changed: object.Encode(change.Set), Drops: change.DropData,
		UserID: orNull(change.UserID), IP: ipOrNull(change.IP), UserAgent: orNull(change.UserAgent),
		Absolute:   b.expiry.Absolute,
		Idle:       span(b.expiry.Idle, !b.expiry.Fixed || change.UserID != ""),
		Resolution: b.expiry.Resolution(),
	})
	return r.one(ctx, err)
}

// rotateMany is the statement for many sessions.
func (s *plainStore) rotateMany(
	ctx context.Context, db querier, calls []rotateCall,
) (rowsRead, error) {
	arg := &gen.SessionRotateManyParams{
		Slides:   !s.expiry.Fixed,
		Absolute: s.expiry.Absolute, Idle: s.expiry.Idle, Resolution: s.expiry.Resolution(),
	}
	var logins loginArgs
	for i := range calls {
		c := &calls[i].change
		arg.OldIDs = append(arg.OldIDs, calls[i].old[:])
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, object.Encode(c.Set))
		arg.Drops = append(arg.Drops, c.DropData)
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
		logins.add(c.UserID, &c.Began)
	}
	arg.LoginKeys, arg.LoginAges = logins.keys, logins.ages
	arg.OwnMarks, arg.Everyone = logins.own, everyone[:]
	r := s.reader(db, len(calls))
	left, err := s.queries.SessionRotateMany(ctx, r, arg)
	return r.many(ctx, len(left), err)
}
