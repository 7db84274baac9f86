package sessionstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// logOut ends one session and reports it, as its row says it: under the id that
// the session had by then, and not at all if there was none to end. from is
// where the request came from.
func (c *core) logOut(ctx context.Context, d *pendingDelete, from Client) error {
	e := Event{
		Kind: EventLogout, UserID: cmp.Or(d.UserID, d.PendingUserID), LoginID: d.LoginID.String(),
		Reason: ReasonLogout, Actor: d.by.name, Detail: d.by.note,
	}.from(from)
	id, r, err := c.deleteRow(noted(ctx, e), d)
	d.unsure = d.unsure || errors.Is(err, ErrOutcomeUnknown)
	if err != nil {
		return err
	}
	c.watches.wake(func(rec *store.Record) bool { return rec.ID == d.ID || rec.ID == d.next })
	d.missed = !hasEnded(r) && !d.unsure
	if e.Handle, e.Revocation = id.Handle(), r; !d.missed {
		c.observe(ctx, e)
	}
	return nil
}

// hasEnded reports whether a Delete may have ended a session.
func hasEnded(r Revocation) bool { return !r.Missed || r.Repeated }

// deleteRow deletes a session that was logged out, under its id and under the
// one of a Rotate whose outcome is unknown. After the first Delete, that Rotate
// has no row to start from. If another request has rotated the session, it is
// deleted under that id. It returns the id under which the session ended.
func (c *core) deleteRow(ctx context.Context, d *pendingDelete) (store.ID, Revocation, error) {
	ended := d.ID
	if d.sid != "" { // first: its cookie could bring a session back
		if err := c.legacy.end(ctx, d.sid); err != nil {
			return ended, Revocation{}, err
		}
	}
	if d.unrestored {
		if done, err := c.bar(ctx, d.ID); done || err != nil {
			return ended, Revocation{}, err
		}
	}
	r, err := c.store.Delete(ctx, d.ID)
	if err == nil && d.next != (store.ID{}) {
		err = c.deleteToo(ctx, d.next, &r, &ended)
	}
	for range maxMoves {
		if err != nil || !r.Missed {
			break
		}
		if d.next, err = c.movedTo(ctx, &d.Record); err != nil || d.next == (store.ID{}) {
			break
		}
		err = c.deleteToo(ctx, d.next, &r, &ended)
	}
	return ended, r, err
}

// maxMoves bounds how often a logout follows a session that others rotate.
const maxMoves = 3

// deleteToo deletes a session under a second id, and adds that to r. If it is
// the one that was there, it becomes the id that ended.
func (c *core) deleteToo(
	ctx context.Context, id store.ID, r *Revocation, ended *store.ID,
) error {
	also, err := c.store.Delete(ctx, id)
	if r.Missed && !also.Missed {
		*ended = id
	}
	r.Repeated = r.Repeated || also.Repeated
	r.Committed, r.CacheAcked = r.Committed && also.Committed, r.CacheAcked && also.CacheAcked
	r.MaxExposure, r.Missed = max(r.MaxExposure, also.MaxExposure), r.Missed && also.Missed
	return err
}

// movedTo returns the id that another request has given a session since this
// one loaded it, zero for none. The cookie of that request would bring the user
// back after the logout. A login of another request is not followed: the user
// does not log out of that.
func (c *core) movedTo(ctx context.Context, rec *store.Record) (id store.ID, err error) {
	if rec.UserID == "" || rec.LoginID == (store.LoginID{}) {
		return id, nil
	}
	// A Rotate keeps the creation, and a list begins at one.
	recs, err := c.store.List(ctx, rec.UserID, store.Page{Before: rec.CreatedAt})
	for i := range recs {
		if recs[i].LoginID == rec.LoginID {
			return recs[i].ID, nil
		}
	}
	return id, err
}

// bar keeps another instance from restoring a session: it creates an empty row
// under the session's id, and a restore does not replace a row. It returns
// false if the session has been restored. The row stays as long as the session
// could live in the memory of the other instance, where it may be in use.
//
// While Postgres is unavailable here, the row would be in the memory of this
// instance, where it keeps nothing from a restore: so bar takes it back, and
// fails.
func (c *core) bar(ctx context.Context, id store.ID) (bool, error) {
	draft := store.Draft{ID: id, Data: object.Encode(nil), Idle: c.expiry.Absolute}
	rec, err := c.store.Create(ctx, draft)
	switch {
	case errors.Is(err, store.ErrExists):
		// Its error is no answer: the row may be a bar, which must stay.
		rec, err = c.store.Load(ctx, id, 0)
		if errors.Is(err, ErrNotFound) || err == nil && !isBar(&rec) {
			return false, nil
		}
	case err == nil && rec.Emergency:
		_, _ = c.store.Delete(ctx, id)
	}
	if err == nil && rec.Emergency {
		err = fmt.Errorf("%w: the session is in another instance's memory", ErrUnavailable)
	}
	return err == nil, err
}

// logOutOther logs out what another request has made of a session that this
// one knows without a user: BeginLogin logs out a session that has one.
func (c *core) logOutOther(ctx context.Context, id store.ID, from Client) error {
	// No cache has the version that is asked for.
	rec, err := c.store.Load(ctx, id, math.MaxInt64)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	by := actorFrom(ctx)
	by.name = cmp.Or(by.name, rec.UserID)
	if err == nil {
		err = c.logOut(ctx, &pendingDelete{Record: rec, by: by}, from)
	}
	return err
}
