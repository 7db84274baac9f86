package sessionstore

import (
	"slices"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Level returns the highest level of the login's methods. It is 0 without a
// user, and as long as a login is pending: see [Session.BeginLogin]. A pending
// [Session.Login] or [Session.StepUp] counts.
//
// Don't cache it outside of the session: the next login may have another level.
func (s *Session) Level() int {
	level := 0
	for _, m := range s.Methods() {
		level = max(level, m.Level)
	}
	return level
}

// Methods returns how the user has logged in, the oldest method first. Without
// a user it is empty. A pending [Session.Login] or [Session.StepUp] counts.
func (s *Session) Methods() []Method {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.methods()
}

// methods is Methods. The caller holds s.mu.
func (s *Session) methods() []store.Method {
	if s.user() == "" {
		return nil
	}
	a := &s.next.auth
	var before []store.Method
	if a.step != stepLogin {
		before = s.rec.Methods.All()
	}
	now := time.Now()
	if s.identity == stored {
		now = storeNow(&s.rec)
	}
	pending := slices.Clone(a.methods)
	for i := range pending {
		pending[i].At = now
	}
	return merged(before, pending...)
}

// LoginID returns the random name that the login has in events and in the log.
// Without a user it is empty. It is no credential, and stays the same until
// the next login: a rotation and a step-up keep it. A pending [Session.Login]
// counts.
func (s *Session) LoginID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.auth.logsIn() != "" {
		return s.next.auth.loginID.String()
	}
	return s.rec.LoginID.String()
}
