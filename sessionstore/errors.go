package sessionstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// The errors of this package, to be tested with [errors.Is]. None of them, nor
// any error that wraps them, holds a token, a secret, a password or a session's
// data.
var (
	// ErrUnavailable: the store did not answer. The session is not lost, and
	// the same request may succeed later. An HTTP handler answers 503 and keeps
	// the cookie.
	ErrUnavailable = store.ErrUnavailable

	// ErrOutcomeUnknown: Postgres did not reply to a change, so the change may
	// have been made. Or it was made, its wait for a synchronous standby was
	// cancelled, and it is lost if the primary is. Making the same change again
	// is safe. It comes with ErrUnavailable, or with the error of a context
	// that ended.
	ErrOutcomeUnknown = store.ErrOutcomeUnknown

	// ErrEventCursor: [Manager.Events] can't continue at this cursor. The
	// database was replaced or has lost the event, or the prune has deleted it.
	// Begin with an empty cursor, and skip the events whose ID and At you have.
	ErrEventCursor = store.ErrEventCursor

	// ErrNotFound: the session was revoked, expired or never existed.
	ErrNotFound = store.ErrNotFound

	// ErrTooManySessions: the user has as many sessions as
	// [LimitConfig.MaxSessionsPerUser] allows, and
	// [LimitConfig.DenyAtMaxSessions] refuses a further login.
	ErrTooManySessions = store.ErrTooManySessions

	// ErrRevoked: the user's sessions were revoked while the login was under
	// way, so it may rest on an old password. Or the session that it would go
	// on from was a user's, and another request has ended or rotated it.
	// [sessionstore.ServeError] answers 403, and the user logs in again.
	ErrRevoked = store.ErrRevoked

	// ErrNoPendingLogin: [Session.CompleteLogin] found no pending login, or one
	// that [Session.BeginLogin] began more than ten minutes ago. [ServeError]
	// answers 403, and the user begins again.
	ErrNoPendingLogin = store.ErrNoPendingLogin

	// ErrNotLoggedIn: [Session.StepUp] and [Session.RevokeOthers] need a
	// session with a user, and this one has none, or none any more. So do
	// [Manager.List] and the revokes of a user: with the empty user id of such
	// a session they return it within a *[ValueError]. [ServeError] answers
	// 401. Guard pages for users with [RequireLogin], which can redirect to the
	// login instead.
	ErrNotLoggedIn = errors.New("no user is logged in: log in again")

	// ErrNoMiddleware: the context is not that of a request that came through
	// [Manager.Handler]. A context of a framework's own, such as a
	// *gin.Context, may hide it.
	ErrNoMiddleware = errors.New("no session in this context: " +
		"wrap the handler with Manager.Handler, and pass r.Context() " +
		"(in gin c.Request.Context())")

	// ErrRequestEnded: the session was used after its request had ended, by a
	// goroutine that outlived it.
	ErrRequestEnded = errors.New("session used after its request ended")

	// ErrHeadersSent: the change needs a cookie, and the response has begun.
	// For a value it is within a *[ValueError] that names the key.
	ErrHeadersSent = errors.New("response headers already sent: log in, log out, " +
		"regenerate and start sessions before writing the body, or render into a buffer")
)

// ValueError reports that one value of a session could not be stored or read,
// or that a user id or an option of a login is invalid. The rest of the session
// is unchanged.
type ValueError struct {
	// Key is the name of the value, as given to [NewKey] or [Session.Set], or
	// "user id", "level", "method", "tag" or "time".
	Key string
	// Problem describes the fault without the value.
	Problem string
	// Err is the cause; nil for none.
	Err error
}

// Error returns the key and the problem. It omits the cause, since the error of
// an encoder may quote the value.
func (e *ValueError) Error() string {
	return fmt.Sprintf("session value %q: %s", e.Key, e.Problem)
}

// Unwrap returns the cause, for [errors.Is] and [errors.As].
func (e *ValueError) Unwrap() error { return e.Err }

// ConfigError reports one fault of a [Config]. [ConfigFromEnv], [Open], [New]
// and [NewWithStore] return all faults as one error: [errors.As] finds the
// first, and its Unwrap method returns all as []error.
type ConfigError struct {
	// Name is the field of Config, or the environment variable.
	Name string
	// Problem describes the fault and its remedy without the value.
	Problem string
}

// Error returns the name and the problem.
func (e *ConfigError) Error() string { return e.Name + ": " + e.Problem }

// configErrors are all faults of a configuration. Error has a line for each.
type configErrors []error

func (e configErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return "sessionstore: configuration: " + strings.Join(lines, "\n\t")
}

func (e configErrors) Unwrap() []error { return e }
