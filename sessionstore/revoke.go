package sessionstore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// revoke ends a selection. own are the marks of the request that asks for it.
func (c *core) revoke(
	ctx context.Context, sel store.Selection, why Reason, own *ownMarks,
) (Revocation, error) {
	e := c.revoked(ctx, sel, why)
	own.mark(&sel)
	sel.Progress, _ = ctx.Value(progressKey{}).(func(int))
	ids, r, err := c.store.Revoke(noted(withoutSession(ctx), e), sel)
	own.end(&sel, ids, r.Count)
	if r.Count > 0 || err == nil {
		c.watches.wake(func(rec *store.Record) bool { return includes(sel, rec) })
	}
	// some may have ended before the error
	if e.Count, e.Revocation, e.Err = r.Count, r, err; r.Count > 0 {
		c.observe(ctx, e)
	}
	if err != nil {
		return r, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return r, nil
}

// includes reports whether a session may be in the selection. With a tag any
// may: a record does not have its tags.
func includes(s store.Selection, rec *store.Record) bool {
	owner := cmp.Or(rec.UserID, rec.PendingUserID)
	return s.All || s.Tag != (Tag{}) || s.UserID != "" && owner == s.UserID && rec.ID != s.Except
}

// revoked returns the event of a revoke. It comes before the revoke, which may
// end the session that names the actor. Events are given to their user on
// request: so one has the client of the user, and not that of an operator.
func (c *core) revoked(ctx context.Context, sel store.Selection, why Reason) Event {
	by := c.actorOf(ctx)
	e := Event{
		Kind: EventRevoked, Handle: sel.Handle, UserID: sel.UserID,
		Reason: why, Actor: by.name, Detail: by.note,
	}
	caller, ok := c.callerOf(ctx)
	if ok && by.name != "" && by.name == sel.UserID && by.name == caller.userID() {
		return e.from(caller.client())
	}
	return e
}

// foreign returns the event of a handle that is not the user's.
func (c *core) foreign(ctx context.Context, userID string) Event {
	by := c.actorOf(ctx)
	return Event{Kind: EventForeignHandle, UserID: userID, Actor: by.name, Detail: by.note}
}

// limit ends a user's oldest sessions beyond the limit. It runs after each
// login. If it fails, the next login makes up for it.
func (c *core) limit(ctx context.Context, userID string) {
	if c.cfg.Limits.MaxSessionsPerUser <= 0 || c.cfg.Limits.DenyAtMaxSessions {
		return
	}
	ctx = WithActor(ctx, userID, "")
	oldest := store.Selection{UserID: userID, Keep: c.cfg.Limits.MaxSessionsPerUser}
	if _, err := c.revoke(ctx, oldest, ReasonLimit, nil); err != nil {
		c.observe(ctx, Event{Kind: EventLimitFailed, UserID: userID, Err: err})
	}
}

type progressKey struct{}

// actorOf returns the actor of a context.
func (c *core) actorOf(ctx context.Context) actor {
	a := actorFrom(ctx)
	if caller, ok := c.callerOf(ctx); ok && a.name == "" {
		a.name = caller.userID()
	}
	return a
}
