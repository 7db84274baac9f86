package sessionstore

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Info is what a user may see of a session: a line in the list of their devices.
type Info struct {
	// Handle names the session, for [Manager.Revoke]. The request's own is the one equal to [Session.Handle].
	Handle Handle `json:"handle"`
	UserID string `json:"user_id"`

	CreatedAt       time.Time `json:"created_at"`
	AuthenticatedAt time.Time `json:"authenticated_at"`
	// LastSeenAt is right to the touch interval, mostly a minute.
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`

	// IP and UserAgent are those of the latest use that was noted; zero when metadata is not tracked.
	IP        netip.Addr `json:"ip,omitzero"`
	UserAgent string     `json:"user_agent,omitempty"`

	id store.ID
}

// Next is the page that begins after this session.
func (i Info) Next() Page { return Page{Before: i.CreatedAt, After: i.id} }

// List returns the live sessions of a user, the newest first: the first hundred, or what page says. To go on, ask for
// [Info.Next] of the last one, until there are none. A user id as no login can have it, such as the empty one of a visitor, is a *[ValueError];
// [ErrUnavailable] says that Postgres is away: in an emergency nobody knows all sessions of a user.
func (m *Manager) List(ctx context.Context, userID string, page Page) ([]Info, error) {
	if err := userError(userID); err != nil {
		return nil, fmt.Errorf("sessionstore: list: %w", err)
	}
	recs, err := m.store.List(withoutSession(ctx), userID, page)
	if err != nil {
		return nil, fmt.Errorf("sessionstore: list: %w", err)
	}
	infos := make([]Info, len(recs))
	for i := range recs {
		rec := &recs[i]
		infos[i] = Info{
			Handle: rec.ID.Handle(), UserID: rec.UserID, id: rec.ID,
			CreatedAt: rec.CreatedAt, AuthenticatedAt: rec.AuthenticatedAt, LastSeenAt: rec.LastSeenAt, ExpiresAt: rec.ExpiresAt,
			IP: rec.IP, UserAgent: rec.UserAgent,
		}
	}
	return infos, nil
}

// Revoke ends the session of a user that has this handle. A handle of somebody else's session is [ErrNotFound], as one of
// no session is, and an [EventForeignHandle].
//
// Like the other methods that end sessions of a user, it needs Postgres: in an emergency it fails with [ErrUnavailable] and ends
// nothing, but for [Session.Logout], which ends the request's own session then too. [ErrOutcomeUnknown] says that the answer
// was lost: asking again does no harm. A user id as no login can have it is a *[ValueError].
func (m *Manager) Revoke(ctx context.Context, userID string, h Handle) (Revocation, error) {
	if err := userError(userID); err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	if h == "" {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	r, err := m.revoke(ctx, store.Selection{UserID: userID, Handle: h}, ReasonHandle, nil)
	if err == nil && r.Count == 0 {
		m.observe(ctx, foreign(ctx, userID))
		err = fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	return r, err
}

// RevokeUser ends all sessions of a user, that of the request included, and
// those that get a new token meanwhile. None is no error. It fails as
// [Manager.Revoke] does.
//
// ctx bounds it, and [Config.StoreTimeout] does not: it ends the sessions in
// batches, each in a transaction with that timeout. It ends a session whose row
// another transaction holds last, and waits for it until ctx ends. After an
// error Revocation.Count says how many have ended, and a further call goes on
// with the others. [WithProgress] reports how far it is.
func (m *Manager) RevokeUser(ctx context.Context, userID string) (Revocation, error) {
	if err := userError(userID); err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return m.revoke(ctx, store.Selection{UserID: userID}, ReasonUser, ownMarksOf(ctx))
}

// RevokeAll ends every session of every user, and those of visitors, in batches
// as [Manager.RevokeUser] does. The cache is not told of so many: other
// instances may serve what it holds until it is no longer fresh.
func (m *Manager) RevokeAll(ctx context.Context) (Revocation, error) {
	return m.revoke(ctx, store.Selection{All: true}, ReasonAll, ownMarksOf(ctx))
}

// WithProgress returns a context for [Manager.RevokeUser], [Manager.RevokeAll]
// and [Session.RevokeOthers] that reports progress: they call report after each
// batch, with how many sessions they have ended so far.
func WithProgress(ctx context.Context, report func(ended int)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// RevokeOthers ends all sessions of the user but this one, as after a change of
// the password. Where this session's cookie may be in other hands, call
// [Session.Login] and [Session.Save] before it: who has the old token could get
// a new one from it after the revoke. A pending [Session.Login] counts. Without
// a user it ends none. It fails as [Manager.Revoke] does, and with [ErrRequestEnded]
// after the request.
func (s *Session) RevokeOthers(ctx context.Context) (Revocation, error) {
	sel, err := s.others()
	if err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return s.core.revoke(ctx, sel, ReasonOthers, s.own)
}

func (s *Session) others() (store.Selection, error) {
	userID := s.UserID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return store.Selection{}, ErrRequestEnded
	}
	return store.Selection{UserID: userID, Except: s.rec.ID}, nil
}
