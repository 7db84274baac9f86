package store

import (
	"errors"
	"fmt"
)

// The errors of a [Store], to be tested with [errors.Is]. None of them, nor any
// error that wraps them, holds a token, a secret, a password or a session's
// data.
var (
	// ErrUnavailable: the store did not answer. The session is not lost, and
	// the same request may succeed later. An HTTP handler answers 503 and keeps
	// the cookie.
	ErrUnavailable = errors.New("session store unavailable")

	// ErrOutcomeUnknown: Postgres did not reply to a change, so the change may
	// have been made. Or it was made, its wait for a synchronous standby was
	// cancelled, and it is lost if the primary is. Making the same change again
	// is safe. It comes with ErrUnavailable, or with the error of a context
	// that ended.
	ErrOutcomeUnknown = errors.New("the change was sent and not answered: it may have been made")

	// ErrOutage: the store as a whole is unavailable, and not for this call
	// alone. It is an ErrUnavailable too. A Manager's emergency begins after
	// several in a row.
	ErrOutage = fmt.Errorf("%w: outage", ErrUnavailable)

	// ErrBrokenRow: the session's row holds what the library never writes. It
	// is an ErrUnavailable too, and concerns this session alone.
	ErrBrokenRow = fmt.Errorf("%w: row unusable", ErrUnavailable)

	// ErrConstraint: the values break a constraint of the table, such as the
	// bound of the data's size. The store is available, and the same call fails
	// again.
	ErrConstraint = errors.New("constraint violated")

	// ErrNotFound: the session was revoked, expired or never existed.
	ErrNotFound = errors.New("session not found")

	// ErrExpired: the session is there and its deadline has passed. It is an
	// ErrNotFound too, and only Load of a Store returns it. To an application
	// both are a visitor without a session.
	ErrExpired = fmt.Errorf("%w: expired", ErrNotFound)

	// ErrEnded: a logout ended the session, or a revoke by its handle. It is an
	// ErrNotFound too, and only Load of a Store returns it. A Store may forget
	// that after a while.
	ErrEnded = fmt.Errorf("%w: ended", ErrNotFound)

	// ErrReplaced: a further login of the user ended the session, since there
	// is a limit. It is an ErrNotFound too, under the conditions of ErrEnded.
	ErrReplaced = fmt.Errorf("%w: too many sessions", ErrNotFound)

	// ErrEventCursor: recorded events can't be read from this cursor on. The
	// error says why, and how to continue.
	ErrEventCursor = errors.New("cursor refused")

	// ErrExists: a session with this id exists. With random tokens that means a
	// broken random source.
	ErrExists = errors.New("session id already in use")

	// ErrTooManySessions: the user has as many sessions as
	// [sessionstore.LimitConfig.MaxSessionsPerUser] allows, and
	// [sessionstore.LimitConfig.DenyAtMaxSessions] refuses a further login.
	ErrTooManySessions = errors.New("the user has too many sessions: one must be ended first")

	// ErrRevoked: the user's sessions were revoked while the login was under
	// way, so it may rest on an old password. Or the session that it would go
	// on from was a user's, and another request has ended or rotated it.
	// [sessionstore.ServeError] answers 403, and the user logs in again.
	ErrRevoked = errors.New("login refused: the sessions of this user were revoked " +
		"meanwhile: log in again")

	// ErrNoPendingLogin: a login can't be completed. The session has no pending
	// login of this user, or it began longer than [PendingTimeout] ago. The
	// user logs in again.
	ErrNoPendingLogin = errors.New("no pending login: it was not begun or took too long: log in " +
		"again")
)
