// Package client finds out where a request came from: its address, behind trusted
// proxies or not, and its user agent.
package client

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Cut is the beginning of a string, of n bytes at most and whole characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) // the whole must not live as long as the part
}

const (
	maxUserAgentBytes = 512
	// A longer chain of proxies is somebody playing with the header.
	maxForwarded = 32
)

// Proxies are the networks whose word about a client is taken. The zero Prefix
// stands for the peers of unix sockets: it contains no address.
type Proxies []netip.Prefix

func (p Proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Believes reports whether the peer of the connection is a trusted proxy.
func (p Proxies) Believes(r *http.Request) bool {
	switch addr, isPeer := remote(r); {
	case len(p) == 0:
		return false
	case overUnix(r):
		return slices.Contains(p, netip.Prefix{})
	default:
		return isPeer && p.trusts(addr)
	}
}

// remote returns the address in RemoteAddr. It is the peer's if it has a port.
// A middleware such as chi's RealIP puts the client's there, without one: then
// the peer is unknown, and what the client may have made up must not be a
// proxy's. On a unix socket the address is not valid.
func remote(r *http.Request) (addr netip.Addr, isPeer bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		return peer.Addr().Unmap().WithZone(""), true
	}
	addr, _ = parseForwarded(r.RemoteAddr)
	return addr, false
}

// overUnix reports whether a request came over a unix socket.
func overUnix(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local.Network() == "unix"
	}
	return strings.HasPrefix(r.RemoteAddr, "@") // as Linux calls a peer without a name
}

// clientIP is where a request came from. X-Forwarded-For is read from its end, which the nearest proxy wrote, as far
// as the writers are trusted: what stands before that, the client can have made up.
func (p Proxies) clientIP(r *http.Request) netip.Addr {
	client, isPeer := remote(r)
	if client.IsValid() && !isPeer || !p.Believes(r) {
		return client
	}
	forwarded := r.Header["X-Forwarded-For"]
	for hops := 0; len(forwarded) > 0; {
		line := forwarded[len(forwarded)-1]
		forwarded = forwarded[:len(forwarded)-1]
		for line != "" {
			if hops++; hops > maxForwarded {
				return client
			}
			var last string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, last = line[:i], line[i+1:]
			} else {
				line, last = "", line
			}
			addr, ok := parseForwarded(last)
			if !ok {
				return client
			}
			if client = addr; !p.trusts(client) {
				return client
			}
		}
	}
	return client
}

// parseForwarded reads one address, with or without a port.
func parseForwarded(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// HTTPS says whether the client speaks https: with us, or with a trusted proxy that says so.
func (p Proxies) HTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !p.Believes(r) {
		return false
	}
	lines := r.Header["X-Forwarded-Proto"]
	if len(lines) == 0 {
		return false
	}
	proto := lines[len(lines)-1] // the nearest proxy's
	if i := strings.LastIndexByte(proto, ','); i >= 0 {
		proto = proto[i+1:]
	}
	return strings.EqualFold(strings.TrimSpace(proto), "https")
}

// ClientOf is what is known about where a request came from.
func (p Proxies) ClientOf(r *http.Request) store.Client {
	return store.Client{IP: p.clientIP(r), UserAgent: CleanUserAgent(r.UserAgent())}
}

// Truncated is an address of which so many bits are kept, the others being zero. Zero bits, which is "not set", keep all.
func Truncated(addr netip.Addr, bits4, bits6 int) netip.Addr {
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	if bits == 0 || !addr.IsValid() {
		return addr
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		panic("BUG: sessionstore: a prefix that was checked: " + err.Error())
	}
	return prefix.Addr()
}

// CleanUserAgent cuts a user agent to what the database takes: 512 bytes of valid UTF-8 without control characters.
func CleanUserAgent(ua string) string {
	clean := true
	for i := 0; i < len(ua) && clean; i++ {
		clean = ua[i] >= ' ' && ua[i] < 0x7f
	}
	if !clean {
		ua = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) || c == utf8.RuneError {
				return -1
			}
			return c
		}, ua[:min(len(ua), 4*maxUserAgentBytes)])
	}
	return Cut(ua, maxUserAgentBytes) // the header's memory must not live as long as the session
}
