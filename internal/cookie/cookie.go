// Package cookie signs, verifies and writes the cookies of a session. It works
// on bytes and http.Cookie, without sessions and their configuration.
package cookie

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/legacy"
)

const (
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

// Codec reads and writes the cookies of one name. It is immutable, and safe for
// concurrent use.
type Codec struct {
	marker string // the name of its cookie
	seen   string // the name of the cookie after a save
	Cfg    Attributes
	format format
}

// format is how a ticket is written as text: into a cookie's value.
type format interface {
	// sign returns the text of a ticket.
	sign(t Ticket) string
	// verify returns the ticket of a text, and false if it is none that sign
	// has returned.
	verify(text string) (Ticket, bool)
	// foreign reports whether a text that verify refuses is of the other
	// format: that of another library, or else ours.
	foreign(text string) bool
	// newToken returns a new token that sign can write.
	newToken() Token
}

// NewCodec makes a codec for our own format. The first secret signs; the others
// only verify.
func NewCodec(cfg Attributes, env string, secrets []string) (*Codec, error) {
	f, err := newSigned(cfg.Name, env, secrets)
	if err != nil {
		return nil, err
	}
	return newCodec(cfg, f), nil
}

// NewLegacyCodec makes a codec for the format of another library. Its cookie
// says nothing but the session, so each of its tickets is Persistent, or none
// is.
func NewLegacyCodec(cfg Attributes, f legacy.Format, persistent bool) *Codec {
	return newCodec(cfg, legacyFormat{f, persistent})
}

func newCodec(cfg Attributes, f format) *Codec {
	return &Codec{
		Cfg: cfg, marker: cfg.Name + MarkerSuffix, seen: cfg.Name + SeenSuffix, format: f,
	}
}

// Sign returns the value of a ticket's cookie.
func (c *Codec) Sign(t Ticket) string { return c.format.sign(t) }

func (c *Codec) verify(value string) (Ticket, bool) { return c.format.verify(value) }

// NewToken returns the token of a new session.
func (c *Codec) NewToken() Token { return c.format.newToken() }

// presented is the result of reading the cookies of a request.
type presented int

// The results of Read.
const (
	presentedNothing presented = iota // no cookie of our name
	PresentedTickets                  // at least one ticket
	PresentedForged                   // only cookies that are not ours
	PresentedForeign                  // only such, and one is of another library
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
		case !ok && outcome == PresentedTickets:
		case !ok && c.format.foreign(value):
			outcome = PresentedForeign
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

// Has reports whether a request has a cookie of our name, of any value.
func (c *Codec) Has(r *http.Request) bool {
	for range named(r, c.Cfg.Name) {
		return true
	}
	return false
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
