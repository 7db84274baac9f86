package cookie

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Redacted replaces a secret in logs and other output.
const Redacted = "[redacted]"

// Token is the secret of a session: 256 bits from the random source of the
// system. It is in the cookie, and in memory during a request. It prints as
// [Redacted].
type Token [32]byte

// NewToken returns a new token. If the random source fails, crypto/rand ends
// the process before a guessable token can be used.
func NewToken() (t Token) {
	_, _ = rand.Read(t[:])
	return t
}

// ID returns the id of the session in the stores.
func (t Token) ID() store.ID { return sha256.Sum256(t[:]) }

// Format writes [Redacted].
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns [Redacted].
func (t Token) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted].
func (t Token) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
