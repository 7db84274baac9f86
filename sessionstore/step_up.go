package sessionstore

import "context"

// StepUp adds a method to the login: its user has just proved once more who
// they are, such as by a second factor before a payment. The session gets a new
// token, also with [Config.DisableRotateOnLogin]: one that leaked before does
// not get the higher level. Values, timeouts and the time of the login stay. A
// method of the same name is replaced, with the new time.
//
// It takes effect with the response, or with [Session.Save]. If the session was
// revoked meanwhile, or another request has logged in with it, the save ends in
// [ErrNotFound] and no token has the new level.
//
// The library counts no tries. Bound the tries of a second factor per user, and
// not per session: an attacker with the password gets any number of sessions.
//
// If another goroutine is saving the session, StepUp waits for that save. ctx
// bounds this wait and nothing else. The errors are:
//   - [ErrNotLoggedIn] without a user; a pending login has none
//   - a *[ValueError] if the level or the method is invalid: see
//     [AuthenticatedBy]
//   - [ErrHeadersSent], [ErrRequestEnded], [ErrUnavailable] and the error of
//     ctx, as of [Session.Login]
func (s *Session) StepUp(ctx context.Context, level int, method string) error {
	m, err := newMethod(level, method)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	if s.user() == "" {
		return ErrNotLoggedIn
	}
	if len(merged(s.methods(), m)) > maxMethods {
		return errTooManyMethods
	}
	a := &s.next.auth
	if a.step == noStep {
		*a = authentication{step: stepUp, loginID: s.rec.LoginID}
	}
	a.methods = merged(a.methods, m)
	s.next.tried, s.next.rotate = false, true
	return nil
}
