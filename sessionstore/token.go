package sessionstore

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const redacted = "[redacted]"

// token is the secret that a browser presents: 256 bits from the system's random source, good for nothing but
// finding its session. It lives in the cookie and in the memory of one request, and prints as "[redacted]".
type token [32]byte

// newToken draws a token. There is nothing to fall back to when the random source fails: crypto/rand then ends the
// process, before a guessable token can leave it.
func newToken() (t token) {
	_, _ = rand.Read(t[:])
	return t
}

// id is what the stores know a token by.
func (t token) id() store.ID { return sha256.Sum256(t[:]) }

func (t token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (t token) LogValue() slog.Value { return slog.StringValue(redacted) }

func (t token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// randomNonce is for one page.
func randomNonce() string { return rand.Text() }

// randomSecret is a secret that lives as long as the process.
func randomSecret() Secret { return Secret(rand.Text() + rand.Text()) }
