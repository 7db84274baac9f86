package main

import (
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestDeviceNames(t *testing.T) {
	for _, test := range []struct{ agent, name, kind string }{
		{
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
				"Chrome/156.0.0.0 Safari/537.36",
			"Chrome on Linux", "computer",
		},
		{
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
				"Chrome/156.0.0.0 Safari/537.36 Edg/156.0",
			"Edge on Windows", "computer",
		},
		{
			"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 " +
				"(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
			"Safari on iOS", "phone",
		},
		{
			"Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
			"Firefox on Android", "phone",
		},
		{"curl/8.14.1", "curl", "computer"},
		{"", "Unknown device", "computer"},
	} {
		d := sessionstore.Info{UserAgent: test.agent}.Device()
		if name, kind := d.String(), deviceKind(d); name != test.name || kind != test.kind {
			t.Errorf("%q is %s, a %s; want %s, %s", test.agent, name, kind, test.name, test.kind)
		}
	}
}
