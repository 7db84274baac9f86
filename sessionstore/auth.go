package sessionstore

import (
	"context"
	"slices"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Login makes the session that of a user who has just proved who they are. It
// gets a new token, so that one planted before the login is worth nothing
// (session fixation), and both its timeouts start afresh. The values stay,
// unless they belonged to another user: then they are dropped, but for what
// this request has set. [DropValues] drops them in any case. With
// [Config.DisableRotateOnLogin] token and timeouts stay.
//
// [AuthenticatedBy] names the methods by which they proved it, [WithTags] gives
// the login tags, and [WithLifetime] a lifetime. A login keeps neither those of
// the login before it nor its [Session.LoginID].
//
// Call it at every login, re-authentication and change of role. A second factor
// is a [Session.StepUp], or a [Session.CompleteLogin] if the password alone is
// not enough. It takes effect with the response, or with [Session.Save]. If the
// session was a user's, and was ended since this request loaded it, that save
// is an [ErrRevoked]: a login brings no ended session back. After a revoke of
// this request itself, the user gets a fresh session.
//
// If another goroutine is saving the session, Login waits for that save. ctx
// bounds this wait and nothing else. The errors are:
//   - [ErrHeadersSent] after the response has begun
//   - [ErrRequestEnded] after the request
//   - a *[ValueError] if userID is empty, longer than 256 bytes, not valid
//     UTF-8, or has a NUL character, or if an option is invalid
//   - [ErrUnavailable] and the error of ctx, if the wait was too long
func (s *Session) Login(ctx context.Context, userID string, options ...LoginOption) error {
	a, err := loginOf(stepLogin, userID, options)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	s.unhide(userID)
	a.loginID = s.core.newLoginID()
	s.authenticate(a)
	if !s.core.cfg.DisableRotateOnLogin || s.next.drop != dropNothing {
		s.next.rotate = true
	}
	return nil
}

// loginOf returns the login of a user, or the beginning of one.
func loginOf(step authStep, userID string, options []LoginOption) (authentication, error) {
	if err := userError(userID); err != nil {
		return authentication{}, err
	}
	return newAuthentication(step, userID, options)
}

// authenticate makes an authentication the one of the next save. Values of
// another user are dropped. The caller holds s.mu.
func (s *Session) authenticate(a authentication) {
	owner := s.rec.UserID
	if owner == "" {
		owner = s.rec.PendingUserID
	}
	s.next.auth, s.next.tried, s.next.drop = a, false, dropNothing
	if a.step != stepBegin {
		s.next.lifetime = a.lifetime // in place of one before the login
	}
	switch {
	case a.dropValues:
		s.next.drop = dropAll
	case owner != "" && owner != a.userID:
		s.next.drop = dropLoaded
	}
}

// Logout ends the session: its row is deleted and its cookie cleared with the
// response, or with [Session.Save]. What is set afterwards, such as a message
// for the next page, starts a new session. Without a session Logout does
// nothing.
//
// Logout also ends sessions that the request has cookies of and can't use: of
// two cookies whose sessions are alive, both; of more cookies than are looked
// at, all; and one that another instance made in an emergency and has yet to
// restore. That instance does not restore it. With [Config.Legacy] it ends the
// sessions of the other library's cookies too. A session that another request
// has rotated since this one loaded it ends under its new token.
//
// ctx may name who acts: see [WithActor]. It also bounds the wait for another
// goroutine's save. The errors are those of [Session.Login], but for the user
// id.
func (s *Session) Logout(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	by := actorFrom(ctx)
	switch {
	case s.identity == stored:
		s.deleteLater(s.rec, by)
	case s.hidden != nil: // each bearer of the token may end it; who this is, is unknown
		s.deleteLater(s.hidden.rec, by)
	}
	others := slices.Concat(s.presented, s.unreadSessions(), s.legacySessions())
	for _, d := range others {
		d.by = by
		s.next.deletes = append(s.next.deletes, d)
		s.loggedOut, s.vacant = true, none
	}
	s.presented, s.unread, s.legacy = nil, nil, nil
	s.forget()
	return nil
}

// unreadSessions returns the sessions of the cookies that were too many to look
// at. The caller holds s.mu.
func (s *Session) unreadSessions() (found []pendingDelete) {
	if s.unread == nil {
		return nil
	}
	for _, t := range s.core.cookie.ReadAll(s.unread) {
		d := pendingDelete{Record: store.Record{ID: t.Token.ID()}, unseen: true}
		d.unrestored = t.Made > 0
		found = append(found, d)
	}
	return found
}

// logout ends a session and leaves an empty one. The caller holds s.mu.
func (s *Session) logout(rec store.Record, by actor) {
	s.deleteLater(rec, by)
	s.forget()
}

// deleteLater adds a pending delete. Without an actor it is by the session's
// user, unless who that is is unknown: the session is hidden. The caller holds
// s.mu.
func (s *Session) deleteLater(rec store.Record, by actor) {
	if by.name == "" && s.identity == stored {
		by.name = rec.UserID
	}
	d := pendingDelete{Record: rec, by: by}
	if s.next.rotated != nil {
		d.next = s.next.rotated.ID()
	}
	s.next.deletes = append(s.next.deletes, d)
	s.loggedOut = true
}

// Rotate gives the session a new token and changes nothing else. It takes
// effect with the response, or with [Session.Save]. A session that is not in
// the store yet gets a new token anyway.
//
// ctx bounds the wait for another goroutine's save. The errors are those of
// [Session.Login], but for the user id.
func (s *Session) Rotate(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	if s.identity == stored {
		s.next.rotate = true
	}
	return nil
}

// RememberMe decides whether the cookie outlives the browser, until the session
// ends at the latest, or ends with it, which is the default. The choice stays
// with the cookie. The server's timeouts are the same either way: a longer or
// shorter lifetime is that of [WithLifetime]. With the profiles [AAL2] and
// [AAL3] it has no effect. The error is [ErrHeadersSent] or [ErrRequestEnded].
func (s *Session) RememberMe(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tooLateForCookie(); err != nil {
		return err
	}
	s.next.remember = rememberOff
	if on {
		s.next.remember = rememberOn
	}
	return nil
}

// Discard takes back what is pending: values, a login, a new token, a choice of
// [Session.RememberMe], a deadline of [Session.ExpireIn]. What was saved stays,
// and so does a logout. A login or a Rotate whose Save failed with
// [ErrOutcomeUnknown] is not repeated. If it was made after all, that browser
// logs in again.
//
// Discard is for a handler that fails half way and answers with a status below
// 500: what was changed before would be saved with that answer. A status of 500
// or more discards by itself.
func (s *Session) Discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discard()
}

// canSetCookie returns an error if the response can't set a cookie any more. It
// waits for a save that is under way: what that save does to the session comes
// before the change, and is not mixed with it. The caller holds s.mu.
func (s *Session) canSetCookie(ctx context.Context) error {
	if err := s.tooLateForCookie(); err != nil {
		return err
	}
	if err := s.awaitSave(ctx); err != nil {
		return err
	}
	return s.tooLateForCookie()
}

// tooLateForCookie is canSetCookie for a change that need not wait. The caller
// holds s.mu.
func (s *Session) tooLateForCookie() error {
	switch s.phase {
	case phaseOpen:
		return nil
	case phaseClosed:
		return ErrRequestEnded
	}
	return ErrHeadersSent
}

// userError returns a *ValueError for a user id that no login can have, so that
// the database need not.
func userError(userID string) error {
	if problem := checkUserID(userID); problem != "" {
		return &ValueError{Key: "user id", Problem: problem}
	}
	return nil
}

// ownerError is userError for the user whose sessions are listed or ended. The
// empty id is that of a visitor, whose login may have ended with the page open.
func ownerError(userID string) error {
	if userID == "" {
		return &ValueError{Key: "user id", Problem: checkUserID(""), Err: ErrNotLoggedIn}
	}
	return userError(userID)
}

// legacySessions returns what a Logout ends of the other library's sessions: of
// each cookie that the request has. The caller holds s.mu.
func (s *Session) legacySessions() (found []pendingDelete) {
	if s.legacy == nil {
		return nil
	}
	for _, t := range s.core.legacy.cookie.ReadAll(s.legacy) {
		d := pendingDelete{Record: store.Record{ID: t.Token.ID()}, sid: t.Token.SID}
		found = append(found, d)
	}
	return found
}
