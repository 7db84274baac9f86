package sessionstore

import (
	"crypto/hkdf"
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
	keyIDChars   = 8
	payloadChars = (payloadBytes*8 + 5) / 6
	macChars     = (sha256.Size*8 + 5) / 6
	valueChars   = len(cookieVersion) + 1 + keyIDChars + 1 + payloadChars + 1 + macChars

	// More cookies of one name than this are not even looked at: each costs a MAC.
	maxPresented = 8
)

// Strict decoding refuses the second spelling that stray trailing bits would allow.
var cookieEncoding = base64.RawURLEncoding.Strict()

// ticket is what a cookie says.
type ticket struct {
	token      token
	persistent bool
	// floor is the version that the browser has seen, where a cache may be behind it; 0 mostly.
	floor uint64
	// made is the Unix time at which an emergency's session was made; 0 for one
	// of Postgres. Such a session has no floor.
	made uint64
	// stale: signed with a key that is on its way out.
	stale bool
}

type cookieKey struct {
	id  string // 8 hex digits, derived from the secret; says nothing about it
	mac *macPool
}

// cookieCodec signs and checks cookies. It is immutable.
type cookieCodec struct {
	marker  string // its name
	cfg     CookieConfig
	context []byte // what goes into every MAC before the key id and the payload
	keys    []cookieKey
}

func newCookieCodec(cfg CookieConfig, env Environment, secrets []Secret) (*cookieCodec, error) {
	c := &cookieCodec{cfg: cfg, marker: cfg.Name + markerSuffix}
	for _, part := range []string{cookiePurpose, cfg.Name, env.String()} {
		c.context = appendPart(c.context, []byte(part))
	}
	for _, secret := range secrets {
		keyID, err := hkdf.Key(sha256.New, []byte(secret), nil, cookiePurpose+" key id", keyIDChars/2)
		if err != nil {
			return nil, err
		}
		mac, err := hkdf.Key(sha256.New, []byte(secret), nil, cookiePurpose+" mac", sha256.Size)
		if err != nil {
			return nil, err
		}
		key := cookieKey{id: hex.EncodeToString(keyID)}
		key.mac = newMACPool(mac, appendPart(slices.Clone(c.context), []byte(key.id)))
		c.keys = append(c.keys, key)
	}
	return c, nil
}

// sign makes the cookie's value, with the first key.
func (c *cookieCodec) sign(t ticket) string {
	key := &c.keys[0]
	var payload [payloadBytes]byte
	copy(payload[:], t.token[:])
	if t.persistent {
		payload[32] |= flagPersistent
	}
	number := t.floor
	if t.made > 0 {
		payload[32] |= flagEmergency
		number = t.made
	}
	binary.BigEndian.PutUint64(payload[33:], number)

	value := make([]byte, 0, valueChars)
	value = append(value, cookieVersion+"."+key.id+"."...)
	value = cookieEncoding.AppendEncode(value, payload[:])
	value = append(value, '.')
	mac := key.mac.sum(&payload)
	value = cookieEncoding.AppendEncode(value, mac[:])
	return string(value)
}

// verify takes a cookie's value apart; false when it is not ours. It compares MACs of fixed length in constant
// time, and never tries a second key: the key id says which.
func (c *cookieCodec) verify(value string) (ticket, bool) {
	if len(value) != valueChars || value[:len(cookieVersion)+1] != cookieVersion+"." {
		return ticket{}, false
	}
	rest := value[len(cookieVersion)+1:]
	if rest[keyIDChars] != '.' || rest[keyIDChars+1+payloadChars] != '.' {
		return ticket{}, false
	}
	for i := range c.keys {
		key := &c.keys[i]
		if rest[:keyIDChars] != key.id {
			continue
		}
		// Decoders skip line ends, so a short result is a foreign spelling.
		var buf [payloadBytes + sha256.Size]byte
		n, err := cookieEncoding.Decode(buf[:payloadBytes], []byte(rest[keyIDChars+1:][:payloadChars]))
		if err != nil || n != payloadBytes {
			return ticket{}, false
		}
		n, err = cookieEncoding.Decode(buf[payloadBytes:], []byte(rest[keyIDChars+1+payloadChars+1:]))
		if err != nil || n != sha256.Size {
			return ticket{}, false
		}
		payload := [payloadBytes]byte(buf[:payloadBytes])
		mac := key.mac.sum(&payload)
		if !hmac.Equal(buf[payloadBytes:], mac[:]) || payload[32]&^(flagPersistent|flagEmergency) != 0 {
			return ticket{}, false
		}
		t := ticket{
			persistent: payload[32]&flagPersistent != 0,
			stale:      i > 0,
		}
		number := &t.floor
		if payload[32]&flagEmergency != 0 {
			number = &t.made
		}
		*number = binary.BigEndian.Uint64(payload[33:])
		copy(t.token[:], payload[:])
		return t, true
	}
	return ticket{}, false
}

// appendPart writes a length and then the bytes, so that no two lists of parts look alike.
func appendPart(b, part []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}

// presented is what came of the cookies of a request.
type presented int

const (
	presentedNothing presented = iota
	presentedTickets
	presentedForged
	presentedTooMany
)

// read appends the tickets of the request to found. Cookies carry no integrity
// of their own: a sibling host, or an attacker on the wire, can add one of our
// name. So when several come, those that verify count, whatever the order.
func (c *cookieCodec) read(r *http.Request, found []ticket) ([]ticket, presented) {
	outcome, seen := presentedNothing, 0
	for _, cookie := range r.CookiesNamed(c.cfg.Name) {
		if seen++; seen > maxPresented {
			return nil, presentedTooMany
		}
		t, ok := c.verify(cookie.Value)
		switch {
		case !ok && outcome == presentedNothing:
			outcome = presentedForged
		case ok:
			outcome = presentedTickets
			i := slices.IndexFunc(found, func(f ticket) bool { return f.token == t.token })
			if i < 0 {
				found = append(found, t)
			} else if t.floor > found[i].floor {
				found[i] = t
			}
		}
	}
	return found, outcome
}

// markerSuffix makes the name of the marker from that of the session's cookie.
const markerSuffix = "-set"

// marked reports whether a request brought the marker. Taking its cookies apart
// is what costs.
func (c *cookieCodec) marked(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Cookie"], func(line string) bool { return strings.Contains(line, c.marker+"=1") }) &&
		slices.ContainsFunc(r.CookiesNamed(c.marker), func(cookie *http.Cookie) bool { return cookie.Value == "1" })
}

// mark adds the Set-Cookie header of the marker, which says that there is a
// session to requests that come without its cookie.
func (c *cookieCodec) mark(h http.Header, persistent bool, maxAge time.Duration, secure bool) {
	cookie := c.markerCookie(secure)
	cookie.Value = "1"
	if persistent {
		cookie.MaxAge = seconds(maxAge)
	}
	put(h, cookie)
}

// unmark adds the Set-Cookie header that removes the marker.
func (c *cookieCodec) unmark(h http.Header, secure bool) {
	cookie := c.markerCookie(secure)
	cookie.MaxAge = -1
	put(h, cookie)
}

func (c *cookieCodec) markerCookie(secure bool) *http.Cookie {
	cookie := c.cookie(secure)
	cookie.Name, cookie.SameSite = c.marker, http.SameSiteLaxMode
	return cookie
}

// seconds is a Max-Age. One of 0 would remove the cookie.
func seconds(d time.Duration) int { return max(1, int(min(d, maxCookieAge)/time.Second)) }

// write adds the Set-Cookie header for a ticket. maxAge is for a persistent cookie.
func (c *cookieCodec) write(h http.Header, t ticket, maxAge time.Duration, secure bool) {
	cookie := c.cookie(secure)
	cookie.Value = c.sign(t)
	if t.persistent {
		cookie.MaxAge = seconds(maxAge)
	}
	put(h, cookie)
}

// clear adds the Set-Cookie header that makes the browser forget its cookie.
func (c *cookieCodec) clear(h http.Header, secure bool) {
	cookie := c.cookie(secure)
	cookie.MaxAge = -1
	put(h, cookie)
}

func (c *cookieCodec) cookie(secure bool) *http.Cookie {
	return &http.Cookie{
		Name:     c.cfg.Name,
		Domain:   c.cfg.Domain,
		Path:     c.cfg.Path,
		Secure:   secure,
		HttpOnly: true,
		SameSite: c.cfg.SameSite,

		Partitioned: c.cfg.Partitioned,
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

// domainMatches reports whether a browser at host, which may have a port, takes
// a cookie of a domain: RFC 6265, "Domain Matching".
func domainMatches(host, domain string) bool {
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
