// Package client reads the address of a request's client, behind trusted
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

// Cut returns the first characters of a string, of at most n bytes.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) // a part would keep the whole in memory
}

const (
	maxUserAgentBytes = 512
	// maxForwarded bounds the chain of proxies. A longer one is forged.
	maxForwarded = 32
)

// Proxies are the networks of trusted proxies. The zero Prefix contains no
// address and stands for the peers of unix sockets.
type Proxies []netip.Prefix

func (p Proxies) contains(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Trusts reports whether the peer of the connection is a trusted proxy.
func (p Proxies) Trusts(r *http.Request) bool {
	switch addr, isPeer := remote(r); {
	case len(p) == 0:
		return false
	case overUnix(r):
		return slices.Contains(p, netip.Prefix{})
	default:
		return isPeer && p.contains(addr)
	}
}

// remote returns the address in RemoteAddr. With a port it is that of the peer.
// A middleware such as chi's RealIP replaces it by the client's, without a
// port. The client may have forged that, so it must not count as a trusted
// proxy. On a unix socket the address is not valid.
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
	return strings.HasPrefix(r.RemoteAddr, "@") // a peer without a name, on Linux
}

// clientIP returns the address of the client. It reads X-Forwarded-For from its
// end, which the nearest proxy wrote, up to the first address that is no
// trusted proxy. The client can forge what stands before that.
func (p Proxies) clientIP(r *http.Request) netip.Addr {
	client, isPeer := remote(r)
	if client.IsValid() && !isPeer || !p.Trusts(r) {
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
			if client = addr; !p.contains(client) {
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

// HTTPS reports whether the client uses https, according to this connection or
// to a trusted proxy.
func (p Proxies) HTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !p.Trusts(r) {
		return false
	}
	lines := r.Header["X-Forwarded-Proto"]
	if len(lines) == 0 {
		return false
	}
	proto := lines[len(lines)-1] // of the nearest proxy
	if i := strings.LastIndexByte(proto, ','); i >= 0 {
		proto = proto[i+1:]
	}
	return strings.EqualFold(strings.TrimSpace(proto), "https")
}

// ClientOf returns the address and the user agent of a request.
func (p Proxies) ClientOf(r *http.Request) store.Client {
	return store.Client{IP: p.clientIP(r), UserAgent: CleanUserAgent(r.UserAgent())}
}

// Truncated returns an address with all but the first bits set to zero: bits4
// of IPv4, bits6 of IPv6. Zero bits mean that the setting is not set and keep
// all.
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
		panic("BUG: sessionstore: prefix length was not checked: " + err.Error())
	}
	return prefix.Addr()
}

// CleanUserAgent returns the part of a user agent that the database accepts:
// 512 bytes of valid UTF-8 without control characters.
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
	return Cut(ua, maxUserAgentBytes)
}
