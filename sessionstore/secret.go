package sessionstore

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/internal/cookie"
)

// Secret is a string that must not be shown: a signing secret, a key, a URL with a password in it. It prints,
// logs and encodes as "[redacted]"; convert it with string(s) to use it. The zero value is "not set".
//
// Where the standard library does not ask a type how to show itself, it can't help: fmt in an unexported field of
// another struct, encoding/json in the key of a map. Keep it out of both.
type Secret string

// Format writes "[redacted]", whatever the verb; an empty secret is written as nothing.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, cookie.Redacted)
	}
}

// LogValue is "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(cookie.Redacted) }

// MarshalText is "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(cookie.Redacted), nil }

// randomNonce is for one page.
func randomNonce() string { return rand.Text() }

// randomSecret is a secret that lives as long as the process.
func randomSecret() Secret { return Secret(rand.Text() + rand.Text()) }
