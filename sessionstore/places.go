package sessionstore

import (
	"hash/maphash"
	"sync"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxPlaces bounds what is remembered twice over. Forgetting a place costs one
// more event.
const maxPlaces = 20_000

// seenPlaces remembers from where a session was used suspiciously and what was
// done, so that each place is one event and not one with each request. It must
// be made by newSeenPlaces.
type seenPlaces struct {
	seed maphash.Seed

	mu       sync.Mutex
	now, old map[place]struct{}
}

// place is what strayed tells apart: the family of browser and system, and the
// network.
type place struct {
	session store.ID
	action  SuspiciousAction
	client  uint64 // hash
}

func newSeenPlaces() *seenPlaces { return &seenPlaces{seed: maphash.MakeSeed()} }

// add reports whether a session is used from a place for the first time.
func (p *seenPlaces) add(session store.ID, from Client, action SuspiciousAction) bool {
	var h maphash.Hash
	h.SetSeed(p.seed)
	words := agentWords{rest: from.UserAgent}
	for word := words.next(); word != ""; word = words.next() {
		_, _ = h.WriteString(word)
		_ = h.WriteByte(0)
	}
	if from.IP.IsValid() {
		maphash.WriteComparable(&h, networkOf(from.IP))
	}
	at := place{session: session, action: action, client: h.Sum64()}

	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.now[at]; known {
		return false
	}
	_, known := p.old[at]
	if len(p.now) >= maxPlaces || p.now == nil {
		p.old, p.now = p.now, map[place]struct{}{}
	}
	p.now[at] = struct{}{}
	return !known
}
