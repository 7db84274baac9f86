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

	// ErrNotFound: the session was revoked, expired or never existed.
	ErrNotFound = store.ErrNotFound

	// ErrTooManySessions: the user has as many sessions as
	// [LimitConfig.MaxSessionsPerUser] allows, and
	// [LimitConfig.DenyAtMaxSessions] refuses a further login.
	ErrTooManySessions = store.ErrTooManySessions

	// ErrRevoked: the user's sessions were revoked while the login was under
	// way, so it may rest on an old password. [ServeError] answers 403, and the
	// user logs in again.
	ErrRevoked = store.ErrRevoked

	// ErrNoMiddleware: the context is not that of a request that came through
	// [Manager.Handler]. A context of a framework's own, such as a
	// *gin.Context, may hide it.
	ErrNoMiddleware = errors.New("no session in this context: wrap the handler with Manager.Handler, and pass r.Context() (in gin c.Request.Context())")

	// ErrRequestEnded: the session was used after its request had ended, by a
	// goroutine that outlived it.
	ErrRequestEnded = errors.New("session used after its request ended")

	// ErrHeadersSent: the change needs a cookie, and the response has begun.
	// For a value it is within a *[ValueError] that names the key.
	ErrHeadersSent = errors.New("response headers already sent: log in, log out, regenerate and start sessions before writing the body, or render into a buffer")
)

// ValueError says that one value of a session could not be kept or read. It is
// about that key alone: the rest of the session is as it was.
type ValueError struct {
	// Key is the name of the value, as given to [NewKey] or [Session.Set].
	Key string
	// Problem says what is wrong with it, without the value.
	Problem string
	// Err is the cause, where there is one. It may be nil.
	Err error
}

// Error names the key and the problem. The cause is left out, since encoders
// like to quote what they choke on; it is there for [errors.As].
func (e *ValueError) Error() string {
	return fmt.Sprintf("session value %q: %s", e.Key, e.Problem)
}

// Unwrap returns the cause.
func (e *ValueError) Unwrap() error { return e.Err }

// ConfigError is one fault of a [Config]. [ConfigFromEnv] and [Open] report all
// faults of a configuration together, as one error that [errors.As] takes
// apart.
type ConfigError struct {
	// Name is the field of Config or the environment variable that is wrong.
	Name string
	// Problem says what is wrong and what to do, without the value.
	Problem string
}

// Error names the setting and the problem.
func (e *ConfigError) Error() string { return e.Name + ": " + e.Problem }

// configErrors is every fault of a configuration, one to a line.
type configErrors []error

func (e configErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return "sessionstore: configuration: " + strings.Join(lines, "\n\t")
}

func (e configErrors) Unwrap() []error { return e }
