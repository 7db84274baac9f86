package sessionstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// anyCache is a minimum version that no cache has, so Postgres is asked.
const anyCache = math.MaxInt64

const legacyForged = "a cookie of the other library: " +
	"if there are many, compare the secret with that of the other library"

// adopt gives the request the session of a cookie of another library, if it has
// no session of ours. One of ours wins: an attacker can plant a cookie of the
// other library, and would get the user to work in the attacker's session.
func (x *requestState) adopt(ctx context.Context) error {
	c, s := x.core, &x.session
	if x.brought.legacy = c.legacy.cookiesOf(x.request); x.brought.legacy == noLegacy {
		return nil
	}
	s.legacy = x.request // a Logout ends those sessions in any case
	if s.identity != none || x.brought.others == conflictingCookies {
		return nil
	}
	var room [cookie.MaxPresented]cookie.Ticket
	tickets, outcome := c.legacy.cookie.Read(x.request, room[:0])
	switch outcome {
	case cookie.PresentedForged:
		if !x.brought.forged || x.brought.legacy == legacyName {
			c.observe(ctx, Event{Kind: EventForged, Detail: legacyForged})
		}
	case cookie.PresentedTooMany:
		x.brought.others = conflictingCookies
		c.observe(ctx, Event{Kind: EventCookieConflict})
	case cookie.PresentedTickets:
		if len(tickets) > 1 {
			return x.adoptOneOf(ctx, tickets)
		}
		return x.adoptTicket(ctx, tickets[0])
	}
	return nil
}

// adoptOneOf is adopt for several cookies: of those whose sessions are alive,
// here or there, there must be one only.
func (x *requestState) adoptOneOf(ctx context.Context, tickets []cookie.Ticket) error {
	c := x.core
	var alive []cookie.Ticket
	for _, t := range tickets {
		_, err := c.store.Load(ctx, t.Token.ID(), anyCache)
		if absent(err) {
			_, err = c.legacy.load(ctx, t.Token.SID)
		}
		switch {
		case err == nil:
			alive = append(alive, t)
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, legacy.ErrUnreadable):
			return x.notAdopted(ctx, Event{}, err)
		}
	}
	switch len(alive) {
	case 0:
		return x.adoptTicket(ctx, tickets[0])
	case 1:
		return x.adoptTicket(ctx, alive[0])
	}
	x.brought.others = conflictingCookies
	c.observe(ctx, Event{Kind: EventCookieConflict})
	return nil
}

// adoptTicket takes over one session. Any number of requests do so at once, on
// any instances, and each may end at any point:
//
//  1. Look here. Another request may have moved the session.
//  2. Look there.
//  3. Look here again: another request may have moved it between 1 and 2.
//  4. Create it here, under the id that all requests compute.
//  5. End it there. Until then the browser has no cookie of ours.
//
// What 1 or 3 finds is ended there as well: a request may have died before 5. A
// session that has ended here is not created once more.
func (x *requestState) adoptTicket(ctx context.Context, t cookie.Ticket) error {
	c, id, sid := x.core, t.Token.ID(), t.Token.SID
	created := false
	rec, err := c.store.Load(ctx, id, anyCache)
	if absent(err) {
		old, there := c.legacy.load(ctx, sid)
		rec, err = c.store.Load(ctx, id, anyCache)
		if absent(err) {
			if there != nil {
				return x.notAdopted(ctx, Event{Handle: id.Handle()}, there)
			}
			if old.UserID == "" && string(old.Data) == "{}" {
				return nil // a visitor's, which holds nothing
			}
			rec, created, err = x.create(ctx, id, &old)
			t.Persistent = t.Persistent || created && old.Persistent
		}
	}
	if err == nil && !created {
		// The browser has its token since before the session was here, so a
		// revoke may have come between.
		rec, err = x.lookAgain(ctx, &rec)
		t.MinVersion = uint64(rec.MinVersion)
	}
	ended := endingOf(err)
	refused := errors.Is(err, ErrRevoked)
	if err != nil && ended == "" && !refused {
		return x.notAdopted(ctx, Event{Handle: id.Handle()}, err)
	}
	if failed := c.legacy.end(ctx, sid); failed != nil {
		return x.notAdopted(ctx, Event{Handle: id.Handle()}, failed)
	}
	switch {
	case refused:
		c.observe(ctx, Event{
			Kind: EventLoginRefused, Handle: id.Handle(), Err: err,
			UserID: rec.UserID, Detail: "a session of the other library",
		}.from(x.session.client))
		return nil
	case ended != "":
		x.session.ended = ended
		c.observe(ctx, Event{Kind: EventSessionNotFound, Handle: id.Handle()})
		return nil
	case created:
		e := eventOf(&rec).from(x.session.client)
		e.Kind = EventAdopted
		c.observe(ctx, e)
	}
	// Its cookie is of the other library, so ours is due.
	x.session.ended, x.brought.adopted = "", true
	t.Token.SID, t.Stale = "", false
	x.serve(ctx, t, rec)
	return nil
}

// absent reports whether a session is not here, and has not ended here either.
func absent(err error) bool { return errors.Is(err, ErrNotFound) && endingOf(err) == "" }

// create creates a session of the other library here. created is false if
// another request has done so.
func (x *requestState) create(
	ctx context.Context, id store.ID, old *legacy.Session,
) (rec store.Record, created bool, err error) {
	c := x.core
	draft := store.Draft{
		ID: id, UserID: old.UserID, Data: old.Data, Client: x.session.client,
		Idle: min(cmp.Or(old.Idle, c.expiry.Idle), c.expiry.Idle),
	}
	if old.UserID != "" {
		draft.LoginID, draft.LoginAge = c.newLoginID(), max(old.LoginAge, time.Nanosecond)
		draft.Began = store.BeganAt(time.Time{}) // unknown: each mark refuses it
		if old.LoginAge < legacy.UnknownAge {
			draft.Began = store.BeganHere(time.Now().Add(-old.LoginAge))
			// The absolute timeout is that of the login, which the move does
			// not prolong.
			draft.Lifetime = c.expiry.Absolute - draft.LoginAge
			if draft.Lifetime <= 0 {
				return rec, false, store.ErrExpired
			}
		}
	}
	note := store.Note{As: store.AsAdoption, Client: draft.Client}
	rec, err = c.store.Create(store.WithNote(ctx, note), draft)
	switch {
	case errors.Is(err, ErrRevoked):
		rec.UserID = old.UserID
	case errors.Is(err, store.ErrExists):
		rec, err = c.store.Load(ctx, id, anyCache)
		return rec, false, err
	case errors.Is(err, store.ErrConstraint):
		err = fmt.Errorf("%w: the table refuses its values: %w", legacy.ErrUnreadable, err)
	case err == nil && rec.Emergency:
		// Only this process would have it.
		_, _ = c.store.Delete(store.WithNote(ctx, store.Note{As: store.AsNothing}), id)
		err = fmt.Errorf("%w: sessions are taken over when Postgres is back", ErrUnavailable)
	}
	return rec, err == nil, err
}

// lookAgain looks for revokes of a session's user. A Save with a Began does
// that.
func (x *requestState) lookAgain(ctx context.Context, rec *store.Record) (store.Record, error) {
	began := store.Began{}.In(rec)
	if rec.UserID == "" && rec.PendingUserID == "" {
		return *rec, nil
	}
	ctx = store.WithNote(ctx, store.Note{Client: x.session.client})
	found, err := x.core.store.Save(ctx, rec.ID, store.Change{Began: began})
	if errors.Is(err, ErrRevoked) {
		return *rec, err
	}
	return found, err
}

// notAdopted reports why a session could not be taken over. One that can't be
// read never can be: its user is a visitor.
func (x *requestState) notAdopted(ctx context.Context, e Event, err error) error {
	e.Kind, e.Err = EventAdoptFailed, err
	switch {
	case errors.Is(err, ErrNotFound):
		e.Kind, e.Err = EventSessionNotFound, nil
		err = nil
	case errors.Is(err, legacy.ErrUnreadable):
		err = nil
	case errors.Is(err, context.Canceled):
		return err // the client left and misses nothing
	}
	x.core.observe(ctx, e)
	return err
}
