package sessionstore

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestPlaceIsAFamilyAndANetwork(t *testing.T) {
	const (
		firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
		updated = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	)
	p := newSeenPlaces()
	for _, tt := range []struct {
		session, ip, agent string
		action             SuspiciousAction
		want               bool
	}{
		{"a", "203.0.113.5", firefox, ActionObserve, true},
		{"a", "203.0.113.5", firefox, ActionObserve, false},
		{"a", "203.0.200.1", updated, ActionObserve, false},
		{"a", "203.1.113.5", firefox, ActionObserve, true},
		{"a", "203.0.113.5", "curl/8.0", ActionObserve, true},
		{"a", "203.0.113.5", firefox, ActionRequireLogin, true},
		{"b", "203.0.113.5", firefox, ActionObserve, true},
		{"a", "", firefox, ActionObserve, true},
		{"a", "", "", ActionObserve, true},
		{"a", "203.0.113.5", firefox, ActionObserve, false},
	} {
		from := Client{UserAgent: tt.agent}
		if tt.ip != "" {
			from.IP = netip.MustParseAddr(tt.ip)
		}
		if got := p.add(store.ID{tt.session[0]}, from, tt.action); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// The remembered places are bounded against an attacker with many, and a place
// in use is kept.
func TestPlacesAreBounded(t *testing.T) {
	p := newSeenPlaces()
	owner := Client{UserAgent: "owner/1"}
	p.add(store.ID{1}, owner, ActionObserve)
	for i := range 5 * maxPlaces {
		p.add(store.ID{2}, Client{
			IP:        netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), 0, 0}),
			UserAgent: "x" + strconv.Itoa(i%256) + "/1",
		}, ActionObserve)
		if i%1000 == 0 && p.add(store.ID{1}, owner, ActionObserve) {
			t.Fatal("a place in use is forgotten")
		}
	}
	if n := len(p.now) + len(p.old); n > 2*maxPlaces {
		t.Errorf("%d places are remembered, want %d at most", n, 2*maxPlaces)
	}
}
