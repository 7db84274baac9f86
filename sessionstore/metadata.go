package sessionstore

import (
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxUserAgentBytes = 512
	// A longer chain of proxies is somebody playing with the header.
	maxForwarded = 32
)

// proxies are the networks whose word about a client is taken.
type proxies []netip.Prefix

func (p proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// peer is who is at the other end of the connection; not valid for a unix socket.
func peer(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap().WithZone("")
}

// clientIP is where a request came from. X-Forwarded-For is read from its end, which the nearest proxy wrote, as far
// as the writers are trusted: what stands before that, the client can have made up.
func (p proxies) clientIP(r *http.Request) netip.Addr {
	client := peer(r)
	if len(p) == 0 || !p.trusts(client) {
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

// https says whether the client speaks https: with us, or with a trusted proxy that says so.
func (p proxies) https(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(p) == 0 || !p.trusts(peer(r)) {
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

// clientOf is what is known about where a request came from.
func (p proxies) clientOf(r *http.Request) Client {
	return Client{IP: p.clientIP(r), UserAgent: cleanUserAgent(r.UserAgent())}
}

// clientOf is what is kept about where a request came from, cut as the Config says.
func (m *Manager) clientOf(r *http.Request) Client {
	c := m.proxies.clientOf(r)
	c.IP = truncated(c.IP, m.cfg.IPv4Prefix, m.cfg.IPv6Prefix)
	return c
}

// truncated is an address of which so many bits are kept, the others being zero. Zero bits, which is "not set", keep all.
func truncated(addr netip.Addr, bits4, bits6 int) netip.Addr {
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

// cleanUserAgent cuts a user agent to what the database takes: 512 bytes of valid UTF-8 without control characters.
func cleanUserAgent(ua string) string {
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
	return cut(ua, maxUserAgentBytes) // the header's memory must not live as long as the session
}
