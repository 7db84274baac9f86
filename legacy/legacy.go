// Package legacy describes sessions that another library has made, so that
// their users stay logged in when an application moves to this module: how the
// other library writes its cookie ([Format]), where it keeps its sessions
// ([Store]), and which id such a session has here ([Token]).
//
// [github.com/reporadar/pgsession/legacy/express] has both for Express. Package
// sessionstore takes them as CookieConfig.Format, to share sessions with the
// other library, and as Config.Legacy, to take them over.
package legacy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// UnknownAge is the age of a login whose time is unknown. It is older than any
// mark of a revoke, and no time within which a login counts as fresh.
const UnknownAge = 50 * 365 * 24 * time.Hour

var (
	// ErrUnreadable: the other library has the session, and it can't be taken
	// over: its values are no JSON, say, or its user can't be found. The
	// session stays where it is.
	ErrUnreadable = errors.New("legacy session unreadable")

	// ErrShortSecret: a secret has less than 32 characters. It is a warning,
	// since the other library may have accepted it for years.
	ErrShortSecret = errors.New("a secret has less than 32 characters: an attacker may guess it " +
		"from one cookie: replace it when the other library is gone")
)

// Format is how another library writes a session's id into a cookie. Its
// methods are safe for concurrent use.
type Format interface {
	// Name returns the name of the cookie, such as "connect.sid".
	Name() string
	// Decode returns the session id of a cookie's value, as the request has it.
	// It is false for a value that is not signed, or is of another format.
	Decode(value string) (sid string, ok bool)
	// Encode returns the value for a session id, signed.
	Encode(sid string) string
	// New returns a new session id of this format, with 256 bits from the
	// random source of the system.
	New() string
	// Check returns what is wrong with the settings of the format. An error
	// that wraps ErrShortSecret is logged, and each other one is refused.
	Check() error
}

// Store reads and ends the sessions of another library. Its methods are safe
// for concurrent use, and give up when their context ends. An error that is
// none of those below is taken for a [store.ErrUnavailable]. No error has a
// session's id or data.
type Store interface {
	// Load returns a session that is alive. It extends none. One that is not
	// there, or has expired, is store.ErrNotFound. One that can't be used is
	// ErrUnreadable.
	Load(ctx context.Context, sid string) (Session, error)
	// End ends a session for good. One that is not there is no error.
	End(ctx context.Context, sid string) error
}

// Session is a session of another library.
type Session struct {
	// UserID is who is logged in; empty for a visitor.
	UserID string
	// Data is one JSON object, a member for each value. What the other library
	// keeps of its cookie is not in it.
	Data json.RawMessage
	// Idle is for how long the session may yet be idle. 0 is the idle timeout
	// of the application.
	Idle time.Duration
	// LoginAge is how long ago the user logged in; UnknownAge if the other
	// library does not say.
	LoginAge time.Duration
	// Persistent reports that the cookie outlives the browser.
	Persistent bool
}

// Format writes the name of the type, whatever the verb, so that no log line
// has what it holds.
func (s Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "legacy.Session") }

// Token returns the token of the session that has a legacy id. It is the id
// itself if that has 32 bytes, as Express's has, and else its SHA-256. So an
// import in SQL, another program and this module compute the same id of a row
// from a legacy id, and no instance needs a table of both.
func Token(sid string) [32]byte {
	if len(sid) == sha256.Size {
		return [32]byte([]byte(sid))
	}
	return sha256.Sum256([]byte(sid))
}

// ID returns the id of the row of that session: the SHA-256 of its token.
func ID(sid string) store.ID {
	token := Token(sid)
	return sha256.Sum256(token[:])
}
