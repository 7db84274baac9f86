package cookie

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const Redacted = "[redacted]"

// Token is the secret that a browser presents: 256 bits from the system's random source, good for nothing but
// finding its session. It lives in the cookie and in the memory of one request, and prints as "[redacted]".
type Token [32]byte

// NewToken draws a token. There is nothing to fall back to when the random source fails: crypto/rand then ends the
// process, before a guessable token can leave it.
func NewToken() (t Token) {
	_, _ = rand.Read(t[:])
	return t
}

// ID is what the stores know a token by.
func (t Token) ID() store.ID { return sha256.Sum256(t[:]) }

func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

func (t Token) LogValue() slog.Value { return slog.StringValue(Redacted) }

func (t Token) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
