package outage

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Mode is the state of the outage.
func (e *Store) Mode() coherence.Mode { return e.current() }

// SetLimit bounds what is kept in memory.
func (e *Store) SetLimit(sessions, bytes int) { e.memory.SetLimit(sessions, bytes) }

// InMemory is how many sessions are not yet in Postgres for sure.
func (e *Store) InMemory() int { return e.Metrics().InMemory }

// Left is how much is left to do before the emergency is over.
func (e *Store) Left() int { return e.left() }

// Age moves a session in memory into the past.
func (e *Store) Age(id store.ID, d time.Duration) { e.memory.Age(id, d) }

// Forget forgets which sessions were touched, for the cache in front.
func (e *Store) Forget() {
	if c, ok := e.Cache.(interface{ Forget() }); ok {
		c.Forget()
	}
}

// Memory is what holds the sessions of an emergency.
func (e *Store) Memory() *memory.Store { return e.memory }

// LimitJournal bounds the journal.
func (e *Store) LimitJournal(n int) { e.maxJournal = n }

// LimitLocal bounds what is known of sessions that Postgres can't have.
func (e *Store) LimitLocal(ended, doubted int) {
	e.local.maxEnded, e.local.maxDoubted = ended, doubted
}

// SetCheck sets what is looked at before a recovery.
func (e *Store) SetCheck(check func(context.Context) error) { e.Check = check }

// SetEvents sets what is called when the emergency begins and ends.
func (e *Store) SetEvents(events Events) { e.Events = events }

// AgeOf is how long a session has existed.
func (e *Store) AgeOf(rec *store.Record, now time.Time) time.Duration { return age(rec, now) }

// EmergencyStats tells of the emergency.
func (e *Store) EmergencyStats() store.EmergencyStats { return e.Metrics() }
