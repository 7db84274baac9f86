package sessionstore

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestDevice(t *testing.T) {
	for ua, want := range map[string]Device{
		firefoxLinux:   {"Firefox", "Linux", Desktop},
		firefoxWindows: {"Firefox", "Windows", Desktop},
		chromeWindows:  {"Chrome", "Windows", Desktop},
		edgeWindows:    {"Edge", "Windows", Desktop},
		safariMac:      {"Safari", "macOS", Desktop},
		safariPhone:    {"Safari", "iOS", Phone},
		safariTablet:   {"Safari", "iOS", Tablet},
		chromePhone:    {"Chrome", "Android", Phone},
		chromeReduced:  {"Chrome", "Android", Phone},
		firefoxTablet:  {"Firefox", "Android", Tablet},
		googlebot:      {"Googlebot", "", Bot},
		"curl/8.5.0":   {"curl", "", ""},
		"":             {},
	} {
		if got := (Info{UserAgent: ua}).Device(); got != want {
			t.Errorf("%q: %+v, want %+v", ua, got, want)
		}
	}
}

func TestDeviceString(t *testing.T) {
	for want, d := range map[string]Device{
		"Firefox on Linux": {Browser: "Firefox", System: "Linux"},
		"curl":             {Browser: "curl"},
		"Windows":          {System: "Windows"},
		"Unknown device":   {Kind: Phone},
	} {
		if d.String() != want {
			t.Errorf("%+v is called %q, want %q", d, d, want)
		}
	}
}

// A row of another program may hold any text.
func TestDeviceOfInvalidUserAgent(t *testing.T) {
	for _, ua := range []string{
		strings.Repeat("a", 100<<10), strings.Repeat("é", 50<<10), strings.Repeat("(", 500),
		strings.Repeat("/", 500), strings.Repeat("Mozilla/5.0 (", 100),
		"\x00\x1b[31m", "\xff\xfe", "Android", "Android Android", "Linux; Android",
		"(Linux; Android", "iPhone", "FBAN/FBIOS", "Instagram", "Instagram 1", "XiaoMi", "XiaoMi/",
		" ", "/", "()", ";", "http://", "+http://x", "Version", "Opera Mini/", "CPU iPhone OS",
	} {
		d := DeviceOf(Client{UserAgent: ua})
		if name := d.String(); name == "" || len(name) > 100 || !utf8.ValidString(name) ||
			strings.ContainsAny(name, "\x00\x1b\r\n") {
			t.Errorf("%.20q is a device called %q", ua, name)
		}
	}
}

// FuzzUserAgent compares and shows any user agent.
func FuzzUserAgent(f *testing.F) {
	f.Add("Mozilla/5.0")
	f.Add(strings.Repeat("é", 400))
	f.Fuzz(func(t *testing.T, ua string) {
		c := store.Client{UserAgent: client.CleanUserAgent(ua)}
		if agent, network := strayed(c, c); agent || network {
			t.Fatalf("%+v is suspicious beside itself", c)
		}
		if !sameFamily(ua, ua) || sameFamily(ua, "Opera/9") != sameFamily("Opera/9", ua) {
			t.Fatalf("%q: the families of user agents can't be compared", ua)
		}
		d := DeviceOf(c)
		if name := d.String(); name == "" || len(name) > 100 || !utf8.ValidString(name) ||
			strings.ContainsAny(name, "\x00\r\n\x1b") {
			t.Fatalf("user agent %q is a device %q", ua, name)
		}
	})
}
