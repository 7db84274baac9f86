package sessionstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
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

// newMarkID draws a MarkID.
func newMarkID() (id MarkID) {
	_, _ = rand.Read(id[:])
	return id
}

// id is what the stores know a token by.
func (t token) id() ID { return sha256.Sum256(t[:]) }

func (t token) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (t token) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (t token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ID is the SHA-256 of a session's token and the key of its row. It can't be turned back into the token, so a
// copied database logs nobody in. It is still not for showing: use [ID.Handle]. It prints as its handle.
type ID [32]byte

// handleLabel keeps what is derived for handles apart from any other use of an id. SQL derives them too.
const handleLabel = "pgsession handle v1\x00"

// Handle derives the session's public name.
func (id ID) Handle() Handle {
	var labelled [len(handleLabel) + len(ID{})]byte
	copy(labelled[copy(labelled[:], handleLabel):], id[:])
	sum := sha256.Sum256(labelled[:])
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], sum[:16])
	return Handle(text[:])
}

// Format writes the handle, whatever the verb, so that no log line holds an id.
func (id ID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, string(id.Handle())) }

// LogValue is the handle.
func (id ID) LogValue() slog.Value { return slog.StringValue(string(id.Handle())) }

// MarshalText is the handle.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.Handle()), nil }

// Handle is a session's public name: what a list of devices shows, a log line carries and a revoke button sends.
// It is derived one way from the id and is useless as a cookie. The zero value names no session.
type Handle string

// randomNonce is for one page.
func randomNonce() string { return rand.Text() }

// randomSecret is a secret that lives as long as the process.
func randomSecret() Secret { return Secret(rand.Text() + rand.Text()) }
