// Package cookie signs, verifies and writes the session's cookies. It knows bytes
// and http.Cookie, and nothing of sessions or their configuration.
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
// endian: the minimum version that a cache may answer with, or the Unix time at
// which a session of an emergency was made. The MAC covers, each with its
// length before it: the purpose, the cookie's name, the environment, the key id
// and the payload. So a cookie of another name, another environment or another
// purpose of the same secret is worth nothing. The signature is not what keeps
// a session safe, the token is; it lets garbage be refused without a query.
const (
	cookieVersion  = "v1"
	cookiePurpose  = "pgsession cookie v1"
	flagPersistent = 1 << 0
	flagEmergency  = 1 << 1

	payloadBytes = 32 + 1 + 8
	keyIDChars   = 2 * keyring.IDBytes
	payloadChars = (payloadBytes*8 + 5) / 6
	macChars     = (sha256.Size*8 + 5) / 6
	ValueChars   = len(cookieVersion) + 1 + keyIDChars + 1 + payloadChars + 1 + macChars

	// More cookies of one name than this are not even looked at: each costs a MAC.
	MaxPresented = 8
)

// Strict decoding refuses the second spelling that stray trailing bits would allow.
var cookieEncoding = base64.RawURLEncoding.Strict()

// Ticket is what a cookie says.
type Ticket struct {
	Token      Token
	Persistent bool
	// minimum version is the version that the browser has seen, where a cache may be behind it; 0 mostly.
	MinVersion uint64
	// made is the Unix time at which an emergency's session was made; 0 for one
	// of Postgres. Such a session has no minimum version.
	Made uint64
	// stale: signed with a key that is on its way out.
	Stale bool
}

// Attributes are those of each cookie that a codec writes.
type Attributes struct {
	Name, Domain, Path string
	SameSite           http.SameSite
	Partitioned        bool
}

// Codec signs and checks cookies. It is immutable.
type Codec struct {
	marker  string // its name
	Cfg     Attributes
	context []byte // what goes into every MAC before the key id and the payload
	ring    keyring.Ring
	ids     []string // of the keys, in hex
}

func NewCodec(cfg Attributes, env string, secrets []string) (*Codec, error) {
	c := &Codec{Cfg: cfg, marker: cfg.Name + MarkerSuffix}
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

// Sign makes the cookie's value, with the first key.
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

// verify takes a cookie's value apart; false when it is not ours. It compares MACs of fixed length in constant
// time, and never tries a second key: the key id says which.
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
		// Decoders skip line ends, so a short result is a foreign spelling.
		var buf [payloadBytes + sha256.Size]byte
		n, err := cookieEncoding.Decode(buf[:payloadBytes], []byte(rest[keyIDChars+1:][:payloadChars]))
		if err != nil || n != payloadBytes {
			return Ticket{}, false
		}
		n, err = cookieEncoding.Decode(buf[payloadBytes:], []byte(rest[keyIDChars+1+payloadChars+1:]))
		if err != nil || n != sha256.Size {
			return Ticket{}, false
		}
		payload := [payloadBytes]byte(buf[:payloadBytes])
		mac := c.ring[i].MAC.Sum(payload[:])
		if !hmac.Equal(buf[payloadBytes:], mac[:]) || payload[32]&^(flagPersistent|flagEmergency) != 0 {
			return Ticket{}, false
		}
		t := Ticket{
			Persistent: payload[32]&flagPersistent != 0,
			Stale:      i > 0,
		}
		number := &t.MinVersion
		if payload[32]&flagEmergency != 0 {
			number = &t.Made
		}
		*number = binary.BigEndian.Uint64(payload[33:])
		copy(t.Token[:], payload[:])
		return t, true
	}
	return Ticket{}, false
}

// presented is what came of the cookies of a request.
type presented int

const (
	presentedNothing presented = iota
	PresentedTickets
	PresentedForged
	PresentedTooMany
)

// Read appends the tickets of the request to found. Cookies carry no integrity
// of their own: a sibling host, or an attacker on the wire, can add one of our
// name. So when several come, those that verify count, whatever the order.
func (c *Codec) Read(r *http.Request, found []Ticket) ([]Ticket, presented) {
	outcome, seen := presentedNothing, 0
	for _, cookie := range r.CookiesNamed(c.Cfg.Name) {
		if seen++; seen > MaxPresented {
			return nil, PresentedTooMany
		}
		t, ok := c.verify(cookie.Value)
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

// Browsers keep no cookie longer than 400 days: RFC 6265bis, "Cookie Lifetime Limits".
const MaxCookieAge = 400 * 24 * time.Hour

// MarkerSuffix makes the name of the marker from that of the session's cookie.
const MarkerSuffix = "-set"

// Marked reports whether a request brought the marker. Taking its cookies apart
// is what costs.
func (c *Codec) Marked(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Cookie"], func(line string) bool { return strings.Contains(line, c.marker+"=1") }) &&
		slices.ContainsFunc(r.CookiesNamed(c.marker), func(cookie *http.Cookie) bool { return cookie.Value == "1" })
}

// Mark adds the Set-Cookie header of the marker, which says that there is a
// session to requests that come without its cookie.
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

// seconds is a Max-Age. One of 0 would remove the cookie.
func seconds(d time.Duration) int { return max(1, int(min(d, MaxCookieAge)/time.Second)) }

// Write adds the Set-Cookie header for a ticket. maxAge is for a persistent cookie.
func (c *Codec) Write(h http.Header, t Ticket, maxAge time.Duration, secure bool) {
	cookie := c.cookie(secure)
	cookie.Value = c.Sign(t)
	if t.Persistent {
		cookie.MaxAge = seconds(maxAge)
	}
	put(h, cookie)
}

// Clear adds the Set-Cookie header that makes the browser forget its cookie.
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

// put replaces a Set-Cookie header of the same name. It does not go through http.SetCookie, which drops a cookie it
// does not like without a word; newCookieCodec's caller has checked every part that configuration can reach.
func put(h http.Header, cookie *http.Cookie) {
	kept := h["Set-Cookie"][:0:0]
	for _, line := range h["Set-Cookie"] {
		if !strings.HasPrefix(line, cookie.Name+"=") {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, cookie.String())
}

// DomainMatches reports whether a browser at host, which may have a port, takes
// a cookie of a domain: RFC 6265, "Domain Matching".
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
