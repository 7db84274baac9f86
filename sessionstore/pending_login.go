package sessionstore

import (
	"context"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// BeginLogin begins the login of a user who has given the first of two factors,
// such as a password. The session has no user until [Session.CompleteLogin]:
// [Session.UserID] is empty, and [Session.PendingUserID] is the user, for at
// most ten minutes. [AuthenticatedBy] names the method of the first factor.
//
//	case passwordIsRight:
//		err = s.BeginLogin(ctx, userID, AuthenticatedBy(1, "password"))
//	case codeIsRight(s.PendingUserID()):
//		err = s.CompleteLogin(ctx, AuthenticatedBy(2, "totp"))
//
// The session gets a new token in any case. A session that has a user is logged
// out first, as by [Session.Logout]. The values of another session stay, unless
// they belong to the pending login of another user; [DropValues] drops them.
//
// [Manager.List] shows a pending login to its user, as [Info.Pending], and the
// revokes of the user end it. A revoke of the user that comes between the
// factors refuses the completion. No limit of sessions counts a pending login.
//
// The library counts no tries. Bound the tries of the second factor per user,
// and not per session: an attacker with the password begins any number of
// logins.
//
// It takes effect with the response, or with [Session.Save]. The errors are
// those of [Session.Login].
func (s *Session) BeginLogin(ctx context.Context, userID string, options ...LoginOption) error {
	a, err := loginOf(stepBegin, userID, options)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	switch {
	case s.identity == stored && s.rec.UserID != "":
		s.logout(s.rec, actorFrom(ctx))
	case s.identity == hidden && s.hidden.owner() == userID:
		s.logout(s.hidden.rec, actorFrom(ctx)) // it has no other way to end: its token is lost
	}
	s.authenticate(a)
	s.next.rotate = true
	return nil
}

// PendingUserID returns the user of a login that [Session.BeginLogin] began and
// that can be completed. It is empty after ten minutes. A pending BeginLogin or
// CompleteLogin counts.
//
// It is no proof of who the visitor is: use it to check the second factor, and
// for nothing else.
func (s *Session) PendingUserID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingUser()
}

// pendingUser is PendingUserID. The caller holds s.mu.
func (s *Session) pendingUser() string {
	rec := &s.rec
	switch {
	case s.next.auth.step == stepBegin:
		return s.next.auth.userID
	case s.user() != "" || s.clock().Sub(rec.PendingSince) >= store.PendingTimeout:
		return ""
	}
	return rec.PendingUserID
}

// CompleteLogin completes a login that [Session.BeginLogin] began, when the
// second factor is right. It is a [Session.Login] of [Session.PendingUserID] in
// all else, and always gives the session a new token. The methods and tags are
// those of both factors.
//
// It takes effect with the response, or with [Session.Save]. The store
// completes the login that it has, once: a session that has ended meanwhile, or
// whose login another request has completed, is [ErrNoPendingLogin] then.
// Unlike a Login it never begins another session.
//
// The errors are:
//   - [ErrNoPendingLogin] if no login is pending, or if it began more than ten
//     minutes ago: the user begins again
//   - the other errors of [Session.Login]
func (s *Session) CompleteLogin(ctx context.Context, options ...LoginOption) error {
	a, err := newAuthentication(stepCompletion, "", options)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	if a.userID = s.pendingUser(); a.userID == "" {
		return ErrNoPendingLogin
	}
	a.loginID = s.core.newLoginID()
	if first := &s.next.auth; first.step == stepBegin { // both factors in one request
		a.step, a.dropValues = stepLogin, a.dropValues || first.dropValues
		a.provedAt = first.provedAt
		a.methods = merged(first.methods, a.methods...)
		a.tags = union(first.tags, a.tags)
		if err := a.check(); err != nil {
			return err
		}
	} else if len(merged(s.rec.Methods.All(), a.methods...)) > maxMethods {
		return errTooManyMethods
	}
	s.authenticate(a)
	s.next.rotate = true
	return nil
}
