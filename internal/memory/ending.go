package memory

import (
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// maxEndings bounds the endings of a Store, some megabytes.
	maxEndings = 10_000
	// endingLifetime is how long a Store has an ending. The migrations have the
	// same value.
	endingLifetime = 7 * 24 * time.Hour
)

// ending is why a session is over.
type ending struct {
	id     store.ID
	reason error
	at     time.Time
}

// endings have why sessions are over, the newest maxEndings of them.
type endings struct {
	byID map[store.ID]ending
	// ring has the ids in the order of time. next is where the oldest one is,
	// once it is full.
	ring []store.ID
	next int
}

// end ends a session for a reason, if it is there.
func (m *Store) end(id store.ID, reason error, now time.Time) {
	if _, there := m.sessions[id]; there {
		m.endings.add(ending{id, reason, now})
	}
	m.drop(id)
}

// add adds an ending. One of the same id stays.
func (e *endings) add(last ending) {
	if _, there := e.byID[last.id]; there {
		return
	}
	if e.byID == nil {
		e.byID = map[store.ID]ending{}
	}
	if len(e.ring) < maxEndings {
		e.ring = append(e.ring, last.id)
	} else {
		delete(e.byID, e.ring[e.next])
		e.ring[e.next] = last.id
		e.next = (e.next + 1) % maxEndings
	}
	e.byID[last.id] = last
}

// reason returns why a session is not alive, or ErrNotFound if that is unknown.
func (m *Store) reason(id store.ID, now time.Time) error {
	if _, there := m.sessions[id]; there {
		return store.ErrExpired
	}
	if known, ok := m.endings.byID[id]; ok && now.Sub(known.at) < endingLifetime {
		return known.reason
	}
	return store.ErrNotFound
}
