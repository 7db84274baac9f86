package sessionstore

import (
	"context"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The sizes and intervals that tests use.
const (
	TouchEvery      = touchEvery
	MaxTouches      = maxTouches
	PruneBatch      = pruneBatch
	PruneRest       = pruneRest
	PruneGentleRest = pruneGentleRest
	PruneGentle     = pruneGentle
)

// Record returns the session as it was last loaded or saved.
func (s *Session) Record() (store.Record, bool) { return s.current() }

// Remembered reports what RememberMe decided, now or in an earlier request.
func (s *Session) Remembered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.persistent()
}

// Name returns the name given to NewKey.
func (k Key[T]) Name() string { return k.name }

// AddTouch queues a touch as the end of a request does.
func (m *Manager) AddTouch(t store.Touch) { m.touches.add(t) }

// FlushEvents waits until the observer has received all events so far. Unlike
// Flush it writes no touches, whose calls some tests count.
func (m *Manager) FlushEvents(ctx context.Context) error { return m.events.flush(ctx) }

// Sign returns the cookie of a ticket.
func (m *Manager) Sign(t cookie.Ticket) string { return m.cookie.Sign(t) }

// Watching reports whether a check of open connections is scheduled or under
// way. A timer that stays without a watch is visible only here.
func (m *Manager) Watching() bool {
	m.watches.mu.Lock()
	defer m.watches.mu.Unlock()
	return m.watches.timer != nil
}

// NewManagerOver is NewWithStore over an emergency store, with its metrics and
// its events.
func NewManagerOver(p *outagetest.Process, cfg Config) (*Manager, error) {
	m, err := NewWithStore(p.Store, cfg)
	if err == nil {
		m.chain = &chain{emergency: p.Store, detector: p.Detector, cached: p.Cached}
		p.Relay(outageEvents{m.events})
	}
	return m, err
}
