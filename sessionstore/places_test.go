package sessionstore

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/reporadar/pgsession/sessionstore/store"
)

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
