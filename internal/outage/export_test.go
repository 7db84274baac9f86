package outage

import (
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Mode is the state of the outage.
func (s *Store) Mode() coherence.Mode { return s.detector.current() }

// SetLimit bounds what is kept in memory, which must be empty.
func (s *Store) SetLimit(sessions, bytes int) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.memory = memory.New(s.recovery.expiry, memory.Options{
		Sessions: sessions, Bytes: bytes, ReserveHalf: true, Emergency: true,
	})
}

// Age makes a session in memory older.
func (s *Store) Age(id store.ID, d time.Duration) { memorytest.Age(s.sessions.memory, id, d) }

// Memory returns the store with the sessions of an emergency.
func (s *Store) Memory() *memory.Store { return s.sessions.memory }

// LimitJournal bounds the journal.
func (s *Store) LimitJournal(n int) { s.sessions.limits.journal = n }

// LimitLocal bounds the ids in endedHere and those of creates without a reply.
func (s *Store) LimitLocal(ended, creates int) {
	s.sessions.limits.endedHere, s.sessions.limits.creates = ended, creates
}

// AgeOf returns how long a session has existed.
func (s *Store) AgeOf(rec *store.Record, now time.Time) time.Duration {
	return age(rec.CreatedAt, now)
}

// ErrNotCalled is the error of a call that the guard did not make.
var ErrNotCalled = errNotCalled

// ShutGate shuts the gate, as a restore does, and returns what opens it.
func (s *Store) ShutGate() (open func()) {
	s.gate.shut()
	return s.gate.open
}
