package cookie

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Redacted replaces a secret in logs and other output.
const Redacted = "[redacted]"

// Token is the secret of a session: 256 bits from the random source of the
// system. It is in the cookie, and in memory during a request. It prints as
// [Redacted].
type Token struct {
	Secret [32]byte
	// SID is the session id of another library that Secret was made of; empty
	// for a token of our own. Only it can be written into a cookie of that
	// library.
	SID string
}

// NewToken returns a new token of our own. If the random source fails,
// crypto/rand ends the process before a guessable token can be used.
func NewToken() (t Token) {
	_, _ = rand.Read(t.Secret[:])
	return t
}

// LegacyToken returns the token of a session id of another library.
func LegacyToken(sid string) Token { return Token{Secret: legacy.Token(sid), SID: sid} }

// ID returns the id of the session in the stores.
func (t Token) ID() store.ID { return sha256.Sum256(t.Secret[:]) }

// Format writes [Redacted].
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns [Redacted].
func (t Token) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted].
func (t Token) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
