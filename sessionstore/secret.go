package sessionstore

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"github.com/reporadar/pgsession/internal/cookie"
)

// Secret is a string that is never shown: a signing secret, a key, a URL with a
// password. It prints, logs and encodes as "[redacted]". Convert it with
// string(s) to use it. The zero value means not set.
//
// Do not put a Secret into an unexported field of another struct or into the
// key of a map: fmt and encoding/json do not call its methods there.
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

// randomNonce returns a nonce for one page.
func randomNonce() string { return rand.Text() }

// randomSecret returns a secret that lasts as long as the process.
func randomSecret() Secret { return Secret(rand.Text() + rand.Text()) }
