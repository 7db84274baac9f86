package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

var unixSocket netip.Prefix // in proxies

func request(remote string, forwarded ...string) *http.Request {
	return &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": forwarded}}
}

func TestClientIP(t *testing.T) {
	const proxy, stranger = "10.0.0.1:1000", "203.0.113.9:1000"
	chain := func(n int, of string) string { return strings.Repeat(of+", ", n-1) + of }
	trusted := Proxies(networks("10.0.0.0/8", "2001:db8:1::/48", "fe80::/10"))
	h := func(lines ...string) []string { return lines }
	for _, tt := range []struct {
		what      string
		trusted   Proxies
		remote    string
		forwarded []string
		want      string // "" is unknown
	}{
		{"without proxies, it is the peer", nil, stranger, nil, "203.0.113.9"},
		{
			"without proxies, a spoofed header is ignored", nil, stranger, h("1.2.3.4"),
			"203.0.113.9",
		},
		{
			"without proxies, a private peer's header is ignored", nil, proxy, h("1.2.3.4"),
			"10.0.0.1",
		},
		{"an untrusted peer's header is ignored", trusted, stranger, h("1.2.3.4"), "203.0.113.9"},
		{
			"an untrusted peer can't claim to be a proxy", trusted, stranger,
			h("1.2.3.4, 10.0.0.2"), "203.0.113.9",
		},
		{"a trusted peer's header is trusted", trusted, proxy, h("203.0.113.5"), "203.0.113.5"},
		{"a trusted peer without a header is the client", trusted, proxy, nil, "10.0.0.1"},
		{"an empty header is none", trusted, proxy, h(""), "10.0.0.1"},
		{
			"what the client made up stands before the proxy's word", trusted, proxy,
			h("1.2.3.4, 203.0.113.5"), "203.0.113.5",
		},
		{
			"a client that made up a proxy's address", trusted, proxy, h("10.0.0.7, 203.0.113.5"),
			"203.0.113.5",
		},
		{"two proxies", trusted, proxy, h("1.2.3.4, 203.0.113.5, 10.0.0.2"), "203.0.113.5"},
		{
			"two proxies, each with its own line", trusted, proxy,
			h("1.2.3.4", "203.0.113.5", "10.0.0.2"), "203.0.113.5",
		},
		{"a chain of nothing but proxies", trusted, proxy, h("10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{
			"an untrusted hop ends it", trusted, proxy, h("203.0.113.5, 198.51.100.1, 10.0.0.2"),
			"198.51.100.1",
		},
		{
			"spaces and tabs do not matter", trusted, proxy, h(" 1.2.3.4 ,\t203.0.113.5\t"),
			"203.0.113.5",
		},
		{"a port", trusted, proxy, h("203.0.113.5:4711"), "203.0.113.5"},
		{"IPv6", trusted, proxy, h("2001:db8::5"), "2001:db8::5"},
		{"IPv6 in brackets", trusted, proxy, h("[2001:db8::5]"), "2001:db8::5"},
		{"IPv6 with a port", trusted, proxy, h("[2001:db8::5]:4711"), "2001:db8::5"},
		{"IPv6 with a zone", trusted, proxy, h("2001:db8::5%eth0"), "2001:db8::5"},
		{"IPv4 in IPv6 is IPv4", trusted, proxy, h("::ffff:203.0.113.5"), "203.0.113.5"},
		{
			"a proxy's IPv4 in IPv6 is trusted as IPv4", trusted, proxy,
			h("203.0.113.5, ::ffff:10.0.0.2"), "203.0.113.5",
		},
		{
			"a peer that came by IPv4 in IPv6", trusted, "[::ffff:10.0.0.1]:1000", h("203.0.113.5"),
			"203.0.113.5",
		},
		{"a peer of IPv6", trusted, "[2001:db8:1::1]:1000", h("203.0.113.5"), "203.0.113.5"},
		{"a peer with a zone", trusted, "[fe80::1%eth0]:1000", h("203.0.113.5"), "203.0.113.5"},
		{"an untrusted peer with a zone", nil, "[fe80::1%eth0]:1000", nil, "fe80::1"},
		{"a malformed address is not trusted", trusted, proxy, h("203.0.113.999"), "10.0.0.1"},
		{"a name is no address", trusted, proxy, h("localhost"), "10.0.0.1"},
		{"unknown, as RFC 7239 has it", trusted, proxy, h("unknown"), "10.0.0.1"},
		{
			"what stands before a malformed one is not trusted either", trusted, proxy,
			h("1.2.3.4, junk"), "10.0.0.1",
		},
		{
			"a malformed one behind a proxy leaves the proxy", trusted, proxy,
			h("1.2.3.4, junk, 10.0.0.2"), "10.0.0.2",
		},
		{"a comma at the end", trusted, proxy, h("1.2.3.4,"), "10.0.0.1"},
		{"nothing but commas", trusted, proxy, h(",,,,"), "10.0.0.1"},
		{"an injected line", trusted, proxy, h("1.2.3.4\r\nX: y"), "10.0.0.1"},
		{"NUL", trusted, proxy, h("1.2.3.4\x00"), "10.0.0.1"},
		{"an octal octet", trusted, proxy, h("010.1.2.3"), "10.0.0.1"},
		{"an address as a number", trusted, proxy, h("3405803781"), "10.0.0.1"},
		{"32 proxies", trusted, proxy, h("203.0.113.5, " + chain(31, "10.0.0.2")), "203.0.113.5"},
		{
			"more are not followed", trusted, proxy, h("203.0.113.5, " + chain(32, "10.0.0.2")),
			"10.0.0.2",
		},
		{
			"a thousand entries are not followed", trusted, proxy,
			h("203.0.113.5, " + chain(1000, "10.0.0.2")), "10.0.0.2",
		},
		{
			"a thousand lines are not followed", trusted, proxy,
			append(h("203.0.113.5"), slices.Repeat(h("10.0.0.2"), 1000)...), "10.0.0.2",
		},
		{"a unix socket has no address", trusted, "@", h("1.2.3.4"), ""},
		{"no peer at all", trusted, "", h("1.2.3.4"), ""},
		{"a client that RealIP has put there", nil, "203.0.113.9", nil, "203.0.113.9"},
		{"one of IPv6", nil, "2001:db8::9", nil, "2001:db8::9"},
		{"one of IPv6 in brackets", nil, "[2001:db8::9]", nil, "2001:db8::9"},
		{"one with a zone", nil, "fe80::1%eth0", nil, "fe80::1"},
		{"one of IPv4 in IPv6", nil, "::ffff:203.0.113.9", nil, "203.0.113.9"},
		{
			"a client that gave RealIP a proxy's address", trusted, "10.0.0.1", h("1.2.3.4"),
			"10.0.0.1",
		},
		{"a unix socket without trust", trusted, "@", h("203.0.113.5"), ""},
		{"a unix socket", Proxies{unixSocket}, "@", h("203.0.113.5"), "203.0.113.5"},
		{"a unix socket without a header", Proxies{unixSocket}, "@", nil, ""},
		{
			"a unix socket behind another proxy", append(Proxies{unixSocket}, trusted...), "@",
			h("1.2.3.4, 203.0.113.5, 10.0.0.2"), "203.0.113.5",
		},
		{
			"a stranger where a unix socket is trusted",
			Proxies{unixSocket},
			stranger,
			h("203.0.113.5"), "203.0.113.9",
		},
		{"a unix socket of a name", Proxies{unixSocket}, "@nginx", h("203.0.113.5"), "203.0.113.5"},
		{"nothing where a unix socket is trusted", Proxies{unixSocket}, "", h("203.0.113.5"), ""},
		{
			"the whole world trusted", Proxies(networks("0.0.0.0/0", "::/0")), stranger,
			h("1.2.3.4, 5.6.7.8"), "1.2.3.4",
		},
		{
			"a prefix of mapped addresses contains no address",
			Proxies{netip.MustParsePrefix("::ffff:10.0.0.0/104")},
			proxy, h("1.2.3.4"), "10.0.0.1",
		},
	} {
		var want netip.Addr
		if tt.want != "" {
			want = netip.MustParseAddr(tt.want)
		}
		r := request(tt.remote, tt.forwarded...)
		if got := tt.trusted.clientIP(r); got != want {
			t.Errorf("%s: %v, want %q", tt.what, got, tt.want)
		}
		if got := tt.trusted.ClientOf(r); got.IP != want {
			t.Errorf("%s: the client's IP is %v", tt.what, got.IP)
		}
	}
	for _, header := range []string{
		"X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
	} {
		r := request(proxy)
		r.Header.Set(header, "1.2.3.4")
		if got := trusted.clientIP(r); got != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("%s is trusted", header)
		}
	}
}

// A middleware that copies what the client says into RemoteAddr must not make a
// unix socket of a TCP connection.
func TestClientCannotClaimAUnixSocket(t *testing.T) {
	r := request("@", "203.0.113.5")
	r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{}))
	if got := (Proxies{unixSocket}).clientIP(r); got.IsValid() {
		t.Errorf("the client is %s", got)
	}
}

func TestForwardedProto(t *testing.T) {
	trusted := Proxies(networks("10.0.0.0/8"))
	for _, tt := range []struct {
		what    string
		trusted Proxies
		remote  string
		tls     bool
		proto   []string
		want    bool
	}{
		{"https with us", nil, "203.0.113.9:1", true, nil, true},
		{"http with us", nil, "203.0.113.9:1", false, nil, false},
		{
			"https with us, with a proxy that says http", trusted, "10.0.0.1:1", true,
			[]string{"http"},
			true,
		},
		{"a stranger's word", trusted, "203.0.113.9:1", false, []string{"https"}, false},
		{
			"a proxy's word where none is trusted", nil, "10.0.0.1:1", false,
			[]string{"https"},
			false,
		},
		{"a trusted proxy's word", trusted, "10.0.0.1:1", false, []string{"https"}, true},
		{"in capitals, with spaces", trusted, "10.0.0.1:1", false, []string{" HTTPS "}, true},
		{"a trusted proxy that says http", trusted, "10.0.0.1:1", false, []string{"http"}, false},
		{"a trusted proxy that says nothing", trusted, "10.0.0.1:1", false, nil, false},
		{
			"the client's word before the proxy's", trusted, "10.0.0.1:1", false,
			[]string{"https, http"},
			false,
		},
		{
			"the client's line before the proxy's", trusted, "10.0.0.1:1", false,
			[]string{"https", "http"},
			false,
		},
		{
			"the proxy's line behind the client's", trusted, "10.0.0.1:1", false,
			[]string{"http", "https"},
			true,
		},
		{"something that begins alike", trusted, "10.0.0.1:1", false, []string{"https-not"}, false},
		{"a unix socket", trusted, "@", false, []string{"https"}, false},
		{"a trusted unix socket", Proxies{unixSocket}, "@", false, []string{"https"}, true},
		{
			"a client that gave RealIP a proxy's address", trusted, "10.0.0.1", false,
			[]string{"https"},
			false,
		},
	} {
		r := request(tt.remote)
		r.Header["X-Forwarded-Proto"] = tt.proto
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := tt.trusted.HTTPS(r); got != tt.want {
			t.Errorf("%s: https %v", tt.what, got)
		}
	}
}

func TestUserAgentIsCut(t *testing.T) {
	big := 100 << 10
	for _, tt := range []struct{ what, given, want string }{
		{"none", "", ""},
		{
			"an ordinary one", "Mozilla/5.0 (X11; Linux) Firefox/128.0",
			"Mozilla/5.0 (X11; Linux) Firefox/128.0",
		},
		{"512 bytes", strings.Repeat("a", 512), strings.Repeat("a", 512)},
		{"513 bytes", strings.Repeat("a", 513), strings.Repeat("a", 512)},
		{"100 KiB", strings.Repeat("a", big), strings.Repeat("a", 512)},
		{"100 KiB of letters of two bytes", strings.Repeat("é", big/2), strings.Repeat("é", 256)},
		{"a letter across the cut", strings.Repeat("a", 511) + "é", strings.Repeat("a", 511)},
		{
			"100 KiB of letters of four bytes, off by one", "a" + strings.Repeat("😀", big/4),
			"a" + strings.Repeat("😀", 127),
		},
		{"NUL", "a\x00b", "ab"},
		{"line ends", "a\r\nb: c", "ab: c"},
		{"escape sequences of terminals", "a\x1b[31m\u009b31m\x7fb", "a[31m31mb"},
		{"invalid UTF-8", "a\xff\xc3b\xed\xa0\x80", "ab"},
		{"half a letter at the end", "a\xc3", "a"},
		{"100 KiB of NUL", strings.Repeat("\x00", big), ""},
		{"100 KiB of invalid UTF-8", strings.Repeat("\xff", big), ""},
		{"a replacement character", "a\ufffdb", "ab"},
		{"another script", "Обозреватель/1.0", "Обозреватель/1.0"},
	} {
		got := CleanUserAgent(tt.given)
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
		if len(got) > 512 || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Errorf("%s: the database would refuse it", tt.what)
		}
		if again := CleanUserAgent(got); again != got {
			t.Errorf("%s: cleaned twice it is another: %q", tt.what, again)
		}
		if len(got) < len(tt.given) && got != "" &&
			unsafe.StringData(got) == unsafe.StringData(tt.given) {
			t.Errorf("%s: the part keeps the whole header in memory", tt.what)
		}
		r := request("203.0.113.9:1")
		r.Header.Set("User-Agent", tt.given)
		if c := Proxies(nil).ClientOf(r); c.UserAgent != tt.want {
			t.Errorf("%s: the client's user agent is %q", tt.what, c.UserAgent)
		}
	}
}

func networks(list ...string) (out []netip.Prefix) {
	for _, text := range list {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestTruncatedAddresses(t *testing.T) {
	for _, tt := range []struct {
		addr       string
		four, six  int
		want, what string
	}{
		{"203.0.113.77", 0, 0, "203.0.113.77", "whole"},
		{"203.0.113.77", 24, 0, "203.0.113.0", "/24"},
		{"203.0.113.77", 1, 48, "128.0.0.0", "/1"},
		{"203.0.113.77", 32, 48, "203.0.113.77", "/32"},
		{"2001:db8:1:2:3:4:5:6", 24, 0, "2001:db8:1:2:3:4:5:6", "only IPv4 is cut"},
		{"2001:db8:1:2:3:4:5:6", 24, 48, "2001:db8:1::", "/48"},
		{"2001:db8:1:2:3:4:5:6", 24, 128, "2001:db8:1:2:3:4:5:6", "/128"},
	} {
		if got := Truncated(
			netip.MustParseAddr(tt.addr), tt.four, tt.six,
		); got != netip.MustParseAddr(tt.want) {
			t.Errorf("%s: %v, want %s", tt.what, got, tt.want)
		}
	}
	if got := Truncated(netip.Addr{}, 24, 48); got.IsValid() {
		t.Errorf("an unknown address became %v", got)
	}
}
