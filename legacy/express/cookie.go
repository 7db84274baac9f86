// Package express reads and writes the cookies of express-session, and reads
// and ends the sessions that its stores connect-pg-simple and connect-redis
// keep.
package express

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/reporadar/pgsession/legacy"
)

const (
	// minSID and maxSID bound a session id, in bytes. Express's own have 32. A
	// generator of the application may make others; what is shorter than 16 can
	// be guessed.
	minSID, maxSID = 16, 256

	minSecret = 32

	prefix   = "s:"
	macChars = (sha256.Size*8 + 5) / 6
	// maxValue bounds what is decoded: each byte may be written as %xx.
	maxValue = 3 * (len(prefix) + maxSID + 1 + macChars)
)

// macEncoding decodes strictly: with trailing bits a value would have a second
// spelling.
var macEncoding = base64.RawStdEncoding.Strict()

// Cookie is the signed cookie of express-session. It is immutable, safe for
// concurrent use, and prints no secret.
type Cookie struct {
	name    string
	secrets [][]byte
}

var _ legacy.Format = (*Cookie)(nil)

// NewCookie returns the format of the cookie with this name, which express-
// session calls "connect.sid" unless its option name says otherwise. The
// secrets are those of its option secret, verbatim: the first signs, all of
// them verify. What is wrong with them is an error of [Cookie.Check].
func NewCookie(name string, secrets ...string) *Cookie {
	c := &Cookie{name: name}
	for _, secret := range secrets {
		c.secrets = append(c.secrets, []byte(secret))
	}
	return c
}

// Format writes the cookie's name, whatever the verb.
func (c *Cookie) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "express.Cookie "+c.name) }

// Name implements [legacy.Format].
func (c *Cookie) Name() string { return c.name }

// Check implements [legacy.Format].
func (c *Cookie) Check() error {
	if err := (&http.Cookie{Name: c.name, Value: "v"}).Valid(); err != nil {
		return errors.New("the cookie's name is empty, or has a character that cookies can't carry")
	}
	if len(c.secrets) == 0 {
		return errors.New("has no secret: give it that of express-session")
	}
	var short error
	for _, secret := range c.secrets {
		switch {
		case len(secret) == 0:
			return errors.New("has an empty secret: give it that of express-session")
		case len(secret) < minSecret:
			short = legacy.ErrShortSecret
		}
	}
	return short
}

// Decode implements [legacy.Format]. It compares MACs in constant time.
func (c *Cookie) Decode(value string) (string, bool) {
	sid, mac, ok := parse(value)
	if !ok {
		return "", false
	}
	valid := 0
	for _, secret := range c.secrets {
		valid |= hmacEqual(mac, sign(secret, sid))
	}
	if valid == 0 {
		return "", false
	}
	return sid, true
}

// hmacEqual is 1 for two equal MACs.
func hmacEqual(a, b [sha256.Size]byte) int {
	if hmac.Equal(a[:], b[:]) {
		return 1
	}
	return 0
}

// parse splits a cookie's value. It does not know whether its MAC is right.
// Express percent-encodes the value, and a client may leave that out.
func parse(value string) (sid string, mac [sha256.Size]byte, ok bool) {
	if len(value) > maxValue {
		return "", mac, false
	}
	text, err := url.PathUnescape(value) // a plus stays one
	if err != nil || !strings.HasPrefix(text, prefix) {
		return "", mac, false
	}
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 || len(text)-dot-1 != macChars {
		return "", mac, false
	}
	sid = text[len(prefix):max(dot, len(prefix))]
	// Decoders skip line ends, so a short result is another spelling.
	n, err := macEncoding.Decode(mac[:], []byte(text[dot+1:]))
	return sid, mac, err == nil && n == len(mac) && valid(sid)
}

// valid reports whether a session id is within its bounds. One with a NUL, or
// that is no UTF-8, is in no store.
func valid(sid string) bool {
	return len(sid) >= minSID && len(sid) <= maxSID && utf8.ValidString(sid) &&
		strings.IndexByte(sid, 0) < 0
}

// Encode implements [legacy.Format].
func (c *Cookie) Encode(sid string) string {
	mac := sign(c.secrets[0], sid)
	return escape(prefix + sid + "." + macEncoding.EncodeToString(mac[:]))
}

// escape is encodeURIComponent, with which Express writes cookies.
func escape(text string) string {
	const hex, unescaped = "0123456789ABCDEF", "-_.!~*'()"
	escaped := make([]byte, 0, len(text)+8)
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			strings.IndexByte(unescaped, c) >= 0:
			escaped = append(escaped, c)
		default:
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(escaped)
}

// New implements [legacy.Format]. The id has 43 characters of the URL-safe
// base64 of Express's own.
func (c *Cookie) New() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func sign(secret []byte, sid string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(sid))
	h.Sum(sum[:0])
	return sum
}
