// Package cookie signs, verifies and writes the cookies of a session. It works
// on bytes and http.Cookie, without sessions and their configuration.
package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/keyring"
)

// The cookie's value is
//
//	v1.<key id>.<base64url(payload)>.<base64url(HMAC-SHA-256)>
//
// where the payload is the token (32 bytes), flags (1 byte) and 8 bytes, big
// endian: the minimum version of a load, or the Unix time at which a session of
// an emergency was created.
//
// The MAC covers the purpose, the name of the cookie, the environment, the key
// id and the payload, each with its length before it. So a cookie of another
// name, another environment or another purpose of the same secret is refused.
// The token keeps a session safe; the MAC lets a forged cookie be refused
// without a query.
const (
	cookieVersion  = "v1"
	cookiePurpose  = "pgsession cookie v1"
	flagPersistent = 1 << 0
	flagEmergency  = 1 << 1

	payloadBytes = 32 + 1 + 8
	keyIDChars   = 2 * keyring.IDBytes
	payloadChars = (payloadBytes*8 + 5) / 6
	macChars     = (sha256.Size*8 + 5) / 6

	// ValueChars is the length of a cookie's value.
	ValueChars = len(cookieVersion) + 1 + keyIDChars + 1 + payloadChars + 1 + macChars
	// MaxPresented bounds the cookies of our name that a request may have,
	// since each costs a MAC.
	MaxPresented = 8
	// MaxCookieAge is for how long browsers keep a cookie: RFC 6265bis, "Cookie
	// Lifetime Limits".
	MaxCookieAge = 400 * 24 * time.Hour
	// MarkerSuffix follows the name of the session's cookie in that of the
	// marker.
	MarkerSuffix = "-set"
	// SeenSuffix follows the name of the session's cookie in that of the cookie
	// after a save.
	SeenSuffix = "-seen"
)

// cookieEncoding decodes strictly: with trailing bits a value would have a
// second spelling.
var cookieEncoding = base64.RawURLEncoding.Strict()

// Ticket is the content of a cookie.
type Ticket struct {
	Token Token
	// Persistent is set if the cookie outlives the browser.
	Persistent bool
	// MinVersion is the minimum version that this browser demands of a load. It
	// is 0 unless the cache may have an older one.
	MinVersion uint64
	// Made is the Unix time at which a session of an emergency was created, 0
	// for one of Postgres. A session of an emergency has no minimum version.
	Made uint64
	// Stale is set if another key than the first signed the cookie.
	Stale bool
}

// Attributes has the attributes of each cookie that a codec writes.
type Attributes struct {
	Name, Domain, Path string
	SameSite           http.SameSite
	Partitioned        bool
}

// Codec signs, verifies and writes cookies. It is immutable, and safe for
// concurrent use.
type Codec struct {
	marker  string // the name of its cookie
	seen    string // the name of the cookie after a save
	Cfg     Attributes
	context []byte // of every MAC, before the key id and the payload
	ring    keyring.Ring
	ids     []string // of the keys, in hex
}

// NewCodec makes a codec. The first secret signs; the others only verify.
func NewCodec(cfg Attributes, env string, secrets []string) (*Codec, error) {
	c := &Codec{Cfg: cfg, marker: cfg.Name + MarkerSuffix, seen: cfg.Name + SeenSuffix}
	for _, part := range []string{cookiePurpose, cfg.Name, env} {
		c.context = keyring.AppendPart(c.context, part)
	}
	raw := make([][]byte, len(secrets))
	for i, secret := range secrets {
		raw[i] = []byte(secret)
	}
	purpose := keyring.Purpose{ID: cookiePurpose + " key id", Key: cookiePurpose + " mac"}
	ring, err := keyring.New(raw, purpose, func(id keyring.ID) keyring.Layout {
		c.ids = append(c.ids, hex.EncodeToString(id[:]))
		prefix := keyring.AppendPart(slices.Clone(c.context), c.ids[len(c.ids)-1])
		return keyring.Layout{
			Prefix: keyring.AppendLength(prefix, payloadBytes), Size: payloadBytes,
		}
	})
	if err != nil {
		return nil, err
	}
	c.ring = ring
	return c, nil
}

// Sign returns the value of a ticket's cookie, signed with the first key.
func (c *Codec) Sign(t Ticket) string {
	var payload [payloadBytes]byte
	copy(payload[:], t.Token[:])
	if t.Persistent {
		payload[32] |= flagPersistent
	}
	number := t.MinVersion
	if t.Made > 0 {
		payload[32] |= flagEmergency
		number = t.Made
	}
	binary.BigEndian.PutUint64(payload[33:], number)

	value := make([]byte, 0, ValueChars)
	value = append(value, cookieVersion+"."+c.ids[0]+"."...)
	value = cookieEncoding.AppendEncode(value, payload[:])
	value = append(value, '.')
	mac := c.ring[0].MAC.Sum(payload[:])
	value = cookieEncoding.AppendEncode(value, mac[:])
	return string(value)
}

// verify returns the ticket of a cookie's value, and false if the value is not
// ours. It compares MACs of fixed length in constant time, and tries only the
// key that the key id names.
func (c *Codec) verify(value string) (Ticket, bool) {
	if len(value) != ValueChars || value[:len(cookieVersion)+1] != cookieVersion+"." {
		return Ticket{}, false
	}
	rest := value[len(cookieVersion)+1:]
	if rest[keyIDChars] != '.' || rest[keyIDChars+1+payloadChars] != '.' {
		return Ticket{}, false
	}
	for i := range c.ring {
		if rest[:keyIDChars] != c.ids[i] {
			continue
		}
		// Decoders skip line ends, so a short result is another spelling.
		var buf [payloadBytes + sha256.Size]byte
		payloadText, macText := rest[keyIDChars+1:][:payloadChars], rest[len(rest)-macChars:]
		n, err := cookieEncoding.Decode(buf[:payloadBytes], []byte(payloadText))
		if err != nil || n != payloadBytes {
			return Ticket{}, false
		}
		n, err = cookieEncoding.Decode(buf[payloadBytes:], []byte(macText))
		if err != nil || n != sha256.Size {
			return Ticket{}, false
		}
		payload := [payloadBytes]byte(buf[:payloadBytes])
		mac := c.ring[i].MAC.Sum(payload[:])
		flags := payload[32]
		if !hmac.Equal(buf[payloadBytes:], mac[:]) || flags&^(flagPersistent|flagEmergency) != 0 {
			return Ticket{}, false
		}
		t := Ticket{Persistent: flags&flagPersistent != 0, Stale: i > 0}
		number := &t.MinVersion
		if flags&flagEmergency != 0 {
			number = &t.Made
		}
		*number = binary.BigEndian.Uint64(payload[33:])
		copy(t.Token[:], payload[:])
		return t, true
	}
	return Ticket{}, false
}

// presented is the result of reading the cookies of a request.
type presented int

// The results of Read.
const (
	presentedNothing presented = iota // no cookie of our name
	PresentedTickets                  // at least one ticket
	PresentedForged                   // only cookies that are not ours
	PresentedTooMany                  // more than MaxPresented
)

// Read appends the tickets of a request to found. A sibling host, or an
// attacker on the network, can add a cookie of our name. So Read returns all
// that verify, in any order.
func (c *Codec) Read(r *http.Request, found []Ticket) ([]Ticket, presented) {
	outcome, seen := presentedNothing, 0
	for value := range named(r, c.Cfg.Name) {
		if seen++; seen > MaxPresented {
			return nil, PresentedTooMany
		}
		t, ok := c.verify(value)
		switch {
		case !ok && outcome == presentedNothing:
			outcome = PresentedForged
		case ok:
			outcome = PresentedTickets
			i := slices.IndexFunc(found, func(f Ticket) bool { return f.Token == t.Token })
			if i < 0 {
				found = append(found, t)
			} else if t.MinVersion > found[i].MinVersion {
				found[i] = t
			}
		}
	}
	return found, outcome
}

// ReadAll returns the tickets of a request, also of one with more cookies than
// MaxPresented. Only the size of the header bounds its work, so it is for a
// logout, which must not miss one.
func (c *Codec) ReadAll(r *http.Request) (found []Ticket) {
	seen := map[Token]bool{}
	for value := range named(r, c.Cfg.Name) {
		if t, ok := c.verify(value); ok && !seen[t.Token] {
			seen[t.Token] = true
			found = append(found, t)
		}
	}
	return found
}

// Marked reports whether a request has the marker.
func (c *Codec) Marked(r *http.Request) bool {
	for value := range named(r, c.marker) {
		if value == "1" {
			return true
		}
	}
	return false
}

// Mark adds the Set-Cookie header of the marker. A request with the marker and
// without the session's cookie is from a browser that has a session.
func (c *Codec) Mark(h http.Header, persistent bool, maxAge time.Duration, secure bool) {
	cookie := c.markerCookie(secure)
	cookie.Value = "1"
	if persistent {
		cookie.MaxAge = seconds(maxAge)
	}
	put(h, cookie)
}

// Unmark adds the Set-Cookie header that removes the marker.
func (c *Codec) Unmark(h http.Header, secure bool) {
	cookie := c.markerCookie(secure)
	cookie.MaxAge = -1
	put(h, cookie)
}

func (c *Codec) markerCookie(secure bool) *http.Cookie {
	cookie := c.cookie(secure)
	cookie.Name, cookie.SameSite = c.marker, http.SameSiteLaxMode
	return cookie
}

// Saved adds the Set-Cookie header with which a browser demands, for this long,
// what it has seen of its own saves. It has no token. A browser that keeps it
// too long, or gets a forged one, is served a little slower.
func (c *Codec) Saved(h http.Header, age time.Duration, secure bool) {
	cookie := c.cookie(secure)
	cookie.Name, cookie.Value = c.seen, "1"
	cookie.MaxAge = seconds(age + time.Second - 1) // rounded up
	put(h, cookie)
}

// SavedLately reports whether a request has the cookie of Saved. A name or
// value of another cookie that looks like it does no harm.
func (c *Codec) SavedLately(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Cookie"], func(line string) bool {
		return strings.Contains(line, c.seen+"=1")
	})
}

// seconds returns the Max-Age of a cookie, at least 1: 0 would remove it.
func seconds(d time.Duration) int { return max(1, int(min(d, MaxCookieAge)/time.Second)) }

// Write adds the Set-Cookie header of a ticket. maxAge is that of a persistent
// cookie.
func (c *Codec) Write(h http.Header, t Ticket, maxAge time.Duration, secure bool) {
	cookie := c.cookie(secure)
	cookie.Value = c.Sign(t)
	if t.Persistent {
		cookie.MaxAge = seconds(maxAge)
	}
	put(h, cookie)
}

// Clear adds the Set-Cookie header that removes the session's cookie.
func (c *Codec) Clear(h http.Header, secure bool) {
	cookie := c.cookie(secure)
	cookie.MaxAge = -1
	put(h, cookie)
}

func (c *Codec) cookie(secure bool) *http.Cookie {
	return &http.Cookie{
		Name:     c.Cfg.Name,
		Domain:   c.Cfg.Domain,
		Path:     c.Cfg.Path,
		Secure:   secure,
		HttpOnly: true,
		SameSite: c.Cfg.SameSite,

		Partitioned: c.Cfg.Partitioned,
	}
}

// put adds a Set-Cookie header in place of one of the same name. It does not
// use http.SetCookie, which drops an invalid cookie silently. The caller of
// NewCodec has checked the attributes.
func put(h http.Header, cookie *http.Cookie) {
	kept := h["Set-Cookie"][:0:0]
	for _, line := range h["Set-Cookie"] {
		if !strings.HasPrefix(line, cookie.Name+"=") {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, cookie.String())
}

// DomainMatches reports whether a browser accepts a cookie of a domain from a
// host, which may have a port: RFC 6265, "Domain Matching".
func DomainMatches(host, domain string) bool {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	domain = strings.ToLower(strings.TrimPrefix(domain, "."))
	if host == domain {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && strings.HasSuffix(host, "."+domain)
}
