package sessionstore

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/internal/cookie"
)

// Secret is a string that must not be shown: a signing secret, a key, a URL
// with a password. It prints, logs and encodes as "[redacted]". Convert it with
// string(s) to use it. The zero value means not set.
//
// The standard library does not always ask a type how to print itself: fmt does
// not in an unexported field of another struct, encoding/json does not in the
// key of a map. Keep a Secret out of both.
type Secret string

// Format writes "[redacted]" for any verb, and nothing for an empty secret.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, cookie.Redacted)
	}
}

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(cookie.Redacted) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(cookie.Redacted), nil }

// randomNonce is for one page.
func randomNonce() string { return rand.Text() }

// randomSecret is a secret that lives as long as the process.
func randomSecret() Secret { return Secret(rand.Text() + rand.Text()) }
