package client

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzClientIP: what is believed agrees with a slow and simple reading of the
// header, and what is kept can be stored.
func FuzzClientIP(f *testing.F) {
	f.Add("10.0.0.1:80", "1.2.3.4, 203.0.113.5, 10.0.0.2", "https", "Mozilla/5.0")
	f.Add("[::ffff:10.0.0.1]:80", "[2001:db8::1%eth0]:80\n10.0.0.3:4", "http,https", "\xff\x00é")
	f.Add("203.0.113.9:80", "10.0.0.2", "https", "")
	f.Add("@", ",,\n,", ",", strings.Repeat("é", 400))
	f.Add("10.0.0.1:1", strings.Repeat("10.0.0.2,", 40)+"10.0.0.2", "", "a")
	trusted := Proxies(networks("10.0.0.0/8", "2001:db8:1::/48", "fe80::/10"))
	f.Fuzz(func(t *testing.T, remote, lines, proto, ua string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{
			"X-Forwarded-For":   strings.Split(lines, "\n"),
			"X-Forwarded-Proto": strings.Split(proto, "\n"),
			"User-Agent":        {ua},
		}}
		peer := Proxies(nil).clientIP(r)
		got := trusted.clientIP(r)
		if got.Zone() != "" || got.Is4In6() || peer.Zone() != "" || peer.Is4In6() {
			t.Fatalf("%v, %v: two spellings of one address", got, peer)
		}
		if !trusted.contains(peer) {
			if got != peer || trusted.HTTPS(r) {
				t.Fatalf("the header of %v is believed: %v", peer, got)
			}
		} else if want := slowClientIP(trusted, peer, r.Header["X-Forwarded-For"]); got != want {
			t.Fatalf("%q: %v, want %v", lines, got, want)
		}
		c := trusted.ClientOf(r)
		if len(c.UserAgent) > 512 || !utf8.ValidString(c.UserAgent) ||
			strings.ContainsAny(c.UserAgent, "\x00\r\n\x1b\x7f") {
			t.Fatalf("user agent %q", c.UserAgent)
		}
		const ordinary = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /().;"
		if len(ua) <= 512 && strings.Trim(ua, ordinary) == "" && c.UserAgent != ua {
			t.Fatalf("user agent %q is kept as %q", ua, c.UserAgent)
		}
	})
}

func slowClientIP(trusted Proxies, peer netip.Addr, lines []string) netip.Addr {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l == "" })
	if len(lines) == 0 {
		return peer
	}
	hops := strings.Split(strings.Join(lines, ","), ",")
	slices.Reverse(hops)
	client := peer
	for i, hop := range hops {
		addr, ok := parseForwarded(hop)
		if !trusted.contains(client) || !ok || i == 32 {
			return client
		}
		client = addr
	}
	return client
}
