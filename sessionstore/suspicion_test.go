package sessionstore

import (
	"net/netip"
	"strings"
	"testing"
)

const (
	firefoxLinux   = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	firefoxNewer   = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0.2"
	firefoxWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 " +
		"Firefox/128.0"
	chromeWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	chromeNewer   = "Mozilla/5.0 (Windows NT 11.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
	edgeWindows   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"
	safariMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"
	chromeMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	safariPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
	safariPhone18 = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/16A366 Safari/604.1"
	safariTablet  = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
	chromePhone   = "Mozilla/5.0 (Linux; Android 13; SM-S901B Build/TP1A.220624.014) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36"
	chromePhone14 = "Mozilla/5.0 (Linux; Android 14; SM-S901B Build/UP1A.231005.007) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
	chromeReduced = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
	firefoxTablet = "Mozilla/5.0 (Android 14; Tablet; rv:128.0) Gecko/128.0 Firefox/128.0"
	googlebot     = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

func clientAt(ip, ua string) Client {
	addr, _ := netip.ParseAddr(ip)
	return Client{IP: addr, UserAgent: ua}
}

func TestClientChanges(t *testing.T) {
	const firefox, chrome = firefoxLinux, chromeWindows
	for _, tt := range []struct {
		what           string
		was, is        Client
		agent, network bool
	}{
		{
			"nothing changed", clientAt("192.0.2.1", firefox), clientAt("192.0.2.1", firefox),
			false, false,
		},
		{
			"another browser", clientAt("192.0.2.1", firefox), clientAt("192.0.2.1", chrome), true,
			false,
		},
		{
			"another address of the same network", clientAt("192.0.2.1", firefox),
			clientAt("192.0.77.200", firefox), false, false,
		},
		{
			"another network", clientAt("192.0.2.1", firefox), clientAt("192.1.2.1", firefox),
			false, true,
		},
		{
			"another address of the same IPv6 network", clientAt("2001:db8:1:2::3", firefox),
			clientAt("2001:db8:1:ffff::9", firefox), false, false,
		},
		{
			"another IPv6 network", clientAt("2001:db8:1::1", firefox),
			clientAt("2001:db8:2::1", firefox), false, true,
		},
		{
			"from IPv4 to IPv6", clientAt("192.0.2.1", firefox), clientAt("2001:db8:1::1", firefox),
			false, false,
		},
		{
			"from IPv6 to IPv4", clientAt("2001:db8:1::1", firefox), clientAt("192.0.2.1", firefox),
			false, false,
		},
		{"both", clientAt("192.0.2.1", firefox), clientAt("198.51.100.1", chrome), true, true},
		{
			"the network was unknown", clientAt("", firefox), clientAt("198.51.100.1", firefox),
			false, false,
		},
		{
			"the network was unknown, and is one of IPv6", clientAt("", firefox),
			clientAt("2001:db8::1", firefox), false, false,
		},
		{
			"the network is unknown, and was one of IPv6", clientAt("2001:db8::1", firefox),
			clientAt("", firefox), false, false,
		},
		{
			"the same network, stored as one of IPv6", clientAt("::ffff:192.0.2.1", firefox),
			clientAt("192.0.77.200", firefox), false, false,
		},
		{
			"another network, stored as one of IPv6", clientAt("::ffff:192.0.2.1", firefox),
			clientAt("198.51.100.1", firefox), false, true,
		},
		{
			"two networks, stored as those of IPv6", clientAt("::ffff:192.0.2.1", firefox),
			clientAt("::ffff:198.51.100.1", firefox), false, true,
		},
		{
			"the network is unknown", clientAt("192.0.2.1", firefox), clientAt("", firefox), false,
			false,
		},
		{
			"the user agent was unknown", clientAt("192.0.2.1", ""), clientAt("192.0.2.1", firefox),
			false, false,
		},
		{
			"the user agent is unknown", clientAt("192.0.2.1", firefox), clientAt("192.0.2.1", ""),
			false, false,
		},
		{"everything was unknown", Client{}, clientAt("192.0.2.1", firefox), false, false},
		{
			"what was kept before addresses were cut", clientAt("192.0.2.77", firefox),
			clientAt("192.0.2.0", firefox), false, false,
		},
	} {
		if agent, network := strayed(tt.was, tt.is); agent != tt.agent || network != tt.network {
			t.Errorf("%s: user agent %v, network %v", tt.what, agent, network)
		}
	}
}

func TestFamiliesOfUserAgents(t *testing.T) {
	for what, pair := range map[string][2]string{
		"Firefox was updated":                   {firefoxLinux, firefoxNewer},
		"Chrome and Windows were updated":       {chromeWindows, chromeNewer},
		"an iPhone was updated, build and all":  {safariPhone, safariPhone18},
		"an Android was updated, build and all": {chromePhone, chromePhone14},
		"Chrome on Android hides the model now": {chromePhone14, chromeReduced},
		"a program of one word":                 {"curl/7.88.1", "curl/8.5.0"},
		"nothing but numbers":                   {"1234", "5.6.7"},
		"a version with letters":                {"App/1.0-beta", "App/2.0rc1"},
		"a comment that is not closed":          {"App/1.0 (Linux; a", "App/1.1 (Linux; a"},
		"a second comment counts for nothing": {
			"App/1.0 (Linux) (x; y)", "App/1.0 (Linux) (z)",
		},
		"the architecture counts for nothing, mostly": {
			"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux i686)",
		},
	} {
		if !sameFamily(pair[0], pair[1]) || !sameFamily(pair[1], pair[0]) {
			t.Errorf("%s: taken for another family", what)
		}
	}
	families := []string{
		firefoxLinux, firefoxWindows, chromeWindows, edgeWindows, safariMac, chromeMac, safariPhone,
		safariTablet, chromePhone, firefoxTablet, googlebot, "curl/8.5.0", "python-requests/2.31",
	}
	for i, a := range families {
		for _, b := range families[i+1:] {
			if sameFamily(a, b) || sameFamily(b, a) {
				t.Errorf("one family:\n%s\n%s", a, b)
			}
		}
	}
}

// What a family leaves out makes no phone of a computer.
func TestFamilyKeepsItsKindOfDevice(t *testing.T) {
	for _, ua := range []string{firefoxLinux, firefoxWindows, chromeWindows, safariMac} {
		for _, word := range []string{"Mobi", "Mobile", "Android 14", "iPad"} {
			for _, forged := range []string{
				strings.Replace(ua, ")", "; "+word+")", 1),
				strings.Replace(ua, ";", "; 1"+word+"; ", 1),
				ua + " (" + word + ")", ua + "/" + word, ua + "/1 1" + word,
			} {
				if sameFamily(ua, forged) || sameFamily(forged, ua) {
					t.Errorf("one family:\n%s\n%s", ua, forged)
				}
			}
		}
	}
}

func TestPortable(t *testing.T) {
	for ua, want := range map[string]bool{
		safariPhone: true, chromePhone: true, chromeReduced: true, safariTablet: true,
		firefoxTablet: true,
		firefoxLinux:  false, chromeWindows: false, safariMac: false, "curl/8.5.0": false,
		"": false,
	} {
		if portable(ua) != want {
			t.Errorf("portable(%q) = %v", ua, !want)
		}
	}
}
