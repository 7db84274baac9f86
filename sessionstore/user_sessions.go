package sessionstore

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Info describes a session without its values, for a page or a list of devices.
// [Manager.List], [Manager.ListTag], [Manager.ListAll] and [Session.Info]
// return it. Its times are by the store's clock.
type Info struct {
	// Handle names the session, for [Manager.Revoke].
	Handle Handle `json:"handle"`
	// UserID is the user; empty before a login.
	UserID string `json:"user_id"`

	// Pending reports that a login of the user was begun in this session, and
	// not completed: see [Session.BeginLogin]. UserID is empty then.
	Pending bool `json:"pending"`
	// LoginID names the user's login, as in events and the log. It is no
	// credential. Empty without a user.
	LoginID string `json:"login_id,omitempty"`
	// Methods are how the user logged in, the oldest first. Of a pending login
	// they are the factors so far.
	Methods []Method `json:"methods,omitempty"`
	// Level is the highest level of the methods; 0 without a user.
	Level int `json:"level"`

	CreatedAt time.Time `json:"created_at"`
	// AuthenticatedAt is the user's last login in this session; zero before
	// one, and if another library that made the session does not say.
	AuthenticatedAt time.Time `json:"authenticated_at"`
	// LastSeenAt is the last use that was written, at most a minute before the
	// last use.
	LastSeenAt time.Time `json:"last_seen_at"`
	// ExpiresAt is when the session ends if it is not used again.
	ExpiresAt time.Time `json:"expires_at"`
	// AbsoluteExpiresAt is when it ends at the latest, used or not.
	AbsoluteExpiresAt time.Time `json:"absolute_expires_at"`
	// ReadAt is when the store returned this. Measure the other times from it:
	// the clock of this process may differ.
	ReadAt time.Time `json:"read_at"`

	// IP and UserAgent are those of the last use that was written; zero with
	// [PrivacyConfig.DisableMetadata].
	IP        netip.Addr `json:"ip,omitzero"`
	UserAgent string     `json:"user_agent,omitempty"`

	id store.ID
}

// Info returns the session as it was last loaded or saved, without the changes
// that wait for a save. It returns false if the session is not in the store.
func (s *Session) Info() (Info, bool) {
	rec, isStored := s.current()
	if !isStored {
		return Info{}, false
	}
	return infoOf(&rec), true
}

func infoOf(rec *store.Record) Info {
	level := 0
	if rec.UserID != "" {
		level = rec.Methods.Level()
	}
	authenticatedAt := rec.AuthenticatedAt
	if rec.CreatedAt.Sub(authenticatedAt) > legacy.UnknownAge/2 {
		authenticatedAt = time.Time{}
	}
	return Info{
		Handle: rec.ID.Handle(), UserID: rec.UserID, id: rec.ID,
		Pending: rec.PendingUserID != "", LoginID: rec.LoginID.String(),
		Methods: rec.Methods.All(), Level: level,
		CreatedAt: rec.CreatedAt, AuthenticatedAt: authenticatedAt,
		LastSeenAt: rec.LastSeenAt, ExpiresAt: rec.ExpiresAt,
		AbsoluteExpiresAt: rec.AbsoluteExpiresAt, ReadAt: storeNow(rec),
		IP: rec.IP, UserAgent: rec.UserAgent,
	}
}

// Next returns the page that follows this session in [Manager.List],
// [Manager.ListTag] and [Manager.ListAll].
func (i Info) Next() Page { return Page{Before: i.CreatedAt, After: i.id} }

// List returns the live sessions of a user, newest first: the first hundred, or
// the given page. For more, call it with [Info.Next] of the last one, until
// none is left. At most a tenth of a page are pending logins, the newest: an
// attacker with the password begins any number, which must not hide the
// sessions. A revoke of the user ends all. Errors:
//   - *[ValueError]: the user id is invalid. With the empty one, of a visitor,
//     it is [ErrNotLoggedIn] too, which [ServeError] answers with 401.
//   - [ErrUnavailable]: Postgres is unavailable. In an emergency no instance
//     has all sessions of a user.
func (m *Manager) List(ctx context.Context, userID string, page Page) ([]Info, error) {
	if err := ownerError(userID); err != nil {
		return nil, fmt.Errorf("sessionstore: list: %w", err)
	}
	page.Tag, page.All = Tag{}, false // the sessions of this user, and of no other
	return m.list(ctx, userID, page)
}

// ListAll returns the live sessions of all users and visitors, newest first,
// for an operator: in pages as [Manager.List] does, without their values. Its
// cost grows with the number of sessions, since Postgres reads all of them for
// a page. It returns [ErrUnavailable] if that takes longer than
// [Config.StoreTimeout], and if Postgres is unavailable.
func (m *Manager) ListAll(ctx context.Context, page Page) ([]Info, error) {
	page.Tag, page.All = Tag{}, true
	return m.list(ctx, "", page)
}

// list returns a page of the sessions of a user, of those with Page.Tag, or of
// all with Page.All.
func (m *Manager) list(ctx context.Context, userID string, page Page) ([]Info, error) {
	recs, err := m.store.List(withoutSession(ctx), userID, page)
	if err != nil {
		return nil, fmt.Errorf("sessionstore: list: %w", err)
	}
	infos := make([]Info, len(recs))
	for i := range recs {
		infos[i] = infoOf(&recs[i])
	}
	return infos, nil
}

// Revoke ends the session of a user that has this handle. In an emergency it
// ends nothing, as all methods that end sessions of a user but
// [Session.Logout]. Errors:
//   - [ErrNotFound]: no session has the handle, or another user's has. It is an
//     [EventForeignHandle] too.
//   - [ErrUnavailable]: Postgres is unavailable.
//   - [ErrOutcomeUnknown]: Postgres did not reply. Calling again is safe.
//   - *[ValueError]: the user id is invalid. With the empty one, of a visitor,
//     it is [ErrNotLoggedIn] too.
func (m *Manager) Revoke(ctx context.Context, userID string, h Handle) (Revocation, error) {
	if err := ownerError(userID); err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	if h == "" {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	sel := store.Selection{UserID: userID, Handle: h}
	r, err := m.revoke(ctx, sel, ReasonHandle, m.ownMarksOf(ctx))
	if err == nil && r.Count == 0 {
		m.observe(ctx, m.foreign(ctx, userID))
		err = fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	return r, err
}

// RevokeUser ends all sessions of a user, including the request's and those
// that get a new token meanwhile. A user without sessions is no error. It
// returns the errors of [Manager.Revoke], but for ErrNotFound.
//
// ctx bounds the call, not [Config.StoreTimeout]: sessions end in batches, each
// in a transaction with that timeout. A session whose row another transaction
// has locked ends last; the call waits for the row until ctx ends. After an
// error, Revocation.Count says how many have ended, and a further call ends the
// others. [WithProgress] reports progress.
func (m *Manager) RevokeUser(ctx context.Context, userID string) (Revocation, error) {
	if err := ownerError(userID); err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return m.revoke(ctx, store.Selection{UserID: userID}, ReasonUser, m.ownMarksOf(ctx))
}

// RevokeAll ends the sessions of all users and visitors, in batches as
// [Manager.RevokeUser] does. It does not change the cache: other instances
// may serve cached sessions until their maximum age.
func (m *Manager) RevokeAll(ctx context.Context) (Revocation, error) {
	return m.revoke(ctx, store.Selection{All: true}, ReasonAll, m.ownMarksOf(ctx))
}

// RevokeBefore ends the sessions of all users and visitors that were created
// before a time, by Postgres's clock, or whose users logged in before it. A
// login creates a session; a session of another library is younger than its
// login, which is 1970's if that library does not say. RevokeBefore works in
// batches as [Manager.RevokeUser] does. Like [Manager.RevokeAll] it refuses the
// logins that are under way, and the later take-over of a session of another
// library or of an emergency, of whatever age. A zero time is a *[ValueError].
func (m *Manager) RevokeBefore(ctx context.Context, at time.Time) (Revocation, error) {
	if at.IsZero() {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", &ValueError{
			Key: "time", Problem: "is zero: for all sessions call RevokeAll",
		})
	}
	sel := store.Selection{All: true, Before: at}
	return m.revoke(ctx, sel, ReasonBefore, m.ownMarksOf(ctx))
}

// WithProgress returns a context for [Manager.RevokeUser], [Manager.RevokeTag],
// [Manager.RevokeAll], [Manager.RevokeBefore] and [Session.RevokeOthers]. They
// call report after each batch, with the number of sessions that have ended so
// far. A report that saves the session of a RevokeOthers waits for itself.
func WithProgress(ctx context.Context, report func(ended int)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// RevokeOthers ends all sessions of the user but this one, as after a change of
// the password. If this session's cookie may be in other hands, call
// [Session.StepUp] and [Session.Save] before: with the old token a thief could
// get a new one after the revoke. A pending [Session.Login] counts. It returns
// the errors of [Manager.Revoke], [ErrNotLoggedIn] without a user, as if the
// login has ended meanwhile, and [ErrRequestEnded] after the request.
//
// A save of another goroutine waits for the revoke, and the revoke for a save.
// ctx bounds both.
func (s *Session) RevokeOthers(ctx context.Context) (r Revocation, err error) {
	failed := s.spare(ctx, func(sel store.Selection) {
		r, err = s.core.revoke(ctx, sel, ReasonOthers, s.own)
	})
	if failed != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", failed)
	}
	return r, err
}

// spare calls revoke with the other sessions of the user.
func (s *Session) spare(ctx context.Context, revoke func(store.Selection)) error {
	release, err := s.keepID(ctx)
	if err != nil {
		return err
	}
	defer release()
	s.mu.Lock()
	over, others := s.phase == phaseClosed, store.Selection{UserID: s.user(), Except: s.rec.ID}
	s.mu.Unlock()
	switch {
	case over:
		return ErrRequestEnded
	case others.UserID == "":
		return ErrNotLoggedIn
	}
	revoke(others)
	return nil
}

// keepID waits for a save that is under way. Until release is called, no other
// save can give the session an id that a revoke does not spare.
func (s *Session) keepID(ctx context.Context) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.awaitTurn(ctx); err != nil {
		return nil, err
	}
	s.sparing = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sparing = false
		s.freed()
	}, nil
}
