package memory

import (
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Age moves a session into the past.
func (m *Store) Age(id store.ID, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec, ok := m.sessions[id]
	if !ok {
		return
	}
	for _, at := range []*time.Time{&rec.CreatedAt, &rec.LastSeenAt, &rec.ExpiresAt, &rec.AbsoluteExpiresAt} {
		*at = at.Add(-d)
	}
	if !rec.AuthenticatedAt.IsZero() {
		rec.AuthenticatedAt = rec.AuthenticatedAt.Add(-d)
	}
	m.sessions[id] = rec
}

// SetLimit bounds what is kept.
func (m *Store) SetLimit(sessions, bytes int) { m.options.Sessions, m.options.Bytes = sessions, bytes }
