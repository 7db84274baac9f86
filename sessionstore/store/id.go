package store

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// ID is the SHA-256 of a session's token and the key of its row. It can't be
// turned back into the token, so a copied database holds no credential. Still,
// do not show it: use [ID.Handle]. It prints as its handle.
type ID [32]byte

// HandleLabel keeps what is derived for handles apart from any other use of an
// id. SQL derives them too.
const HandleLabel = "pgsession handle v1\x00"

// Handle derives the session's public name.
func (id ID) Handle() Handle {
	var labelled [len(HandleLabel) + len(ID{})]byte
	copy(labelled[copy(labelled[:], HandleLabel):], id[:])
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

// Handle is a session's public name: what a list of devices shows, a log line
// carries and a revoke button sends. It is derived one way from the id and is
// useless as a cookie. The zero value names no session.
type Handle string
