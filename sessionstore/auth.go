package sessionstore

import (
	"bytes"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const maxUserIDBytes = 256

// LoginOption changes what [Session.Login] does.
type LoginOption int

// DropValues drops what the session held before the login, also what other
// requests store meanwhile. What this request sets and has not saved stays.
// Values that came before the login may be of an attacker who planted the
// session, such as a redirect target, an e-mail address to confirm or a cart.
const DropValues LoginOption = iota + 1

// Login makes the session that of a user who has just proved who they are. It
// gets a new token, so that one planted before the login is worth nothing
// (session fixation), and both its timeouts start afresh. The values stay,
// unless they belonged to another user: then they are dropped, but for what
// this request has set. [DropValues] drops them in any case.
//
// With [Config.DisableRotateOnLogin] token and timeouts stay.
//
// Call it at every change of privilege: login, re-authentication, a second factor, a change of role. It takes
// effect with the response, or with [Session.Save]. userID is at most 256 bytes of valid UTF-8 without NUL; ctx
// bounds what a login must ask of the store beforehand.
//
// The error is [ErrHeadersSent] after the response has begun, [ErrRequestEnded] after the request, or a *[ValueError].
func (s *Session) Login(_ context.Context, userID string, options ...LoginOption) error {
	if err := userError(userID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(); err != nil {
		return err
	}
	s.unhide(userID)
	s.fresh = slices.Contains(options, DropValues)
	s.drop = s.fresh || s.rec.UserID != "" && s.rec.UserID != userID
	if !s.core.cfg.DisableRotateOnLogin || s.drop {
		s.renew = true
	}
	s.userID = userID
	return nil
}

// Logout ends the session: its row is deleted and its cookie cleared with the response, or with [Session.Save]. What
// is set afterwards, such as a message for the next page, starts a new session. Without a session it does nothing.
//
// It also ends sessions that the request has cookies of and can't use: of two
// cookies whose sessions are alive, both, and one that another instance made in
// an emergency and has yet to restore. That instance does not restore it.
func (s *Session) Logout(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(); err != nil {
		return err
	}
	by := actorFrom(ctx)
	switch {
	case s.identity == stored:
		if by.name == "" {
			by.name = s.rec.UserID
		}
		s.deleteLater(s.rec, by)
	case s.hidden != nil: // whoever has the token may end what it opens, and nobody knows who that is
		s.deleteLater(s.hidden.rec, by)
	}
	for _, d := range s.presented {
		d.by = by
		s.deletes, s.left, s.vacant = append(s.deletes, d), true, none
	}
	s.presented = nil
	s.forget()
	return nil
}

// deleteLater adds a pending delete. The caller holds s.mu.
func (s *Session) deleteLater(rec store.Record, by actor) {
	d := pendingDelete{Record: rec, by: by}
	if s.pending != nil {
		d.next = s.pending.ID()
	}
	s.deletes = append(s.deletes, d)
	s.left = true
}

// Regenerate gives the session a new token and changes nothing else. A new session gets a new token anyway.
func (s *Session) Rotate(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(); err != nil {
		return err
	}
	s.renew = s.identity == stored
	return nil
}

// RememberMe decides whether the cookie outlives the browser (until the absolute timeout) or ends with it, which
// is the default. The choice stays with the cookie; the server's timeouts are the same either way.
func (s *Session) RememberMe(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(); err != nil {
		return err
	}
	s.persist, s.chosen = on, true
	return nil
}

// Remembered says what [Session.RememberMe] decided, now or in an earlier request.
func (s *Session) Remembered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.persist
}

// Discard takes back what is pending: values, a login, a regeneration, a choice
// of [Session.RememberMe]. What was saved already stays, and so does a logout.
// A login or a regeneration whose Save failed for want of a reply is not
// repeated; if it was made, that browser logs in again. It is for a handler
// that fails half way and answers with a status below 500: what was changed
// before it is saved with it. A status of 500 or more discards by itself.
func (s *Session) Discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discard()
}

// canSetCookie says why the cookie can't be changed any more.
func (s *Session) canSetCookie() error {
	switch {
	case s.ended:
		return ErrRequestEnded
	case s.headersSent:
		return ErrHeadersSent
	}
	return nil
}

func checkUserID(userID string) string {
	switch {
	case userID == "":
		return "is empty"
	case len(userID) > maxUserIDBytes:
		return "is longer than 256 bytes"
	case !utf8.ValidString(userID):
		return "is not valid UTF-8"
	case bytes.IndexByte([]byte(userID), 0) >= 0:
		return "holds a NUL character, which Postgres cannot store"
	}
	return ""
}

// userError says why no login can have a user id, before the database has to.
func userError(userID string) error {
	if problem := checkUserID(userID); problem != "" {
		return &ValueError{Key: "user id", Problem: problem}
	}
	return nil
}
