package sessionstore

import (
	"errors"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Ending is why a session is over, as its browser may know.
type Ending string

// The endings, for a page of the login. Their values are fit for logs and URLs.
const (
	// EndingExpired: its timeout has passed. It is known until the session is
	// pruned, which is 15 minutes later by default.
	EndingExpired Ending = "expired"
	// EndingLogout: a logout has ended it, [Manager.Revoke] with its handle, or
	// [ActionRevoke]. It is known for seven days.
	EndingLogout Ending = "ended"
	// EndingTooMany: a further login of the user took its place, since
	// [LimitConfig.MaxSessionsPerUser] is reached. It is known for seven days.
	EndingTooMany Ending = "too_many"
)

// Ended returns why the session of the request's cookie is over, so that a page
// may show it. It returns "" if the request has a session or a pending login.
//
// Only a request with the token of the dead session gets the reason. Ended
// returns "" for a visitor, for a forged cookie and for a token that was
// replaced. It also does so after a revoke of all sessions of the user, as the
// bearer of the token may be an attacker.
//
// Postgres keeps the newest million reasons. On Citus it keeps none but
// EndingExpired. In an emergency the reason appears when Postgres is available
// again. Ended costs no query: Postgres returns the reason when it finds no
// session.
func (s *Session) Ended() Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity == stored || s.next.auth.userID != "" {
		return ""
	}
	return s.ended
}

// endingOf returns the ending in an error of Load, or "" for none.
func endingOf(err error) Ending {
	switch {
	case errors.Is(err, store.ErrExpired):
		return EndingExpired
	case errors.Is(err, store.ErrEnded):
		return EndingLogout
	case errors.Is(err, store.ErrReplaced):
		return EndingTooMany
	}
	return ""
}
