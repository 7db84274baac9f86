// Package memorytest lets time pass for single sessions of a store in memory.
package memorytest

import (
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Age makes a session d older: all its times become earlier. It does nothing
// without the session. The store must not be in use.
func Age(m *memory.Store, id store.ID, d time.Duration) {
	for _, rec := range m.Some(m.Len(), nil) {
		if rec.ID == id {
			m.Put(older(rec, d))
		}
	}
}

func older(rec store.Record, d time.Duration) store.Record {
	rec.CreatedAt = rec.CreatedAt.Add(-d)
	rec.LastSeenAt = rec.LastSeenAt.Add(-d)
	rec.ExpiresAt = rec.ExpiresAt.Add(-d)
	rec.AbsoluteExpiresAt = rec.AbsoluteExpiresAt.Add(-d)
	if !rec.AuthenticatedAt.IsZero() {
		rec.AuthenticatedAt = rec.AuthenticatedAt.Add(-d)
	}
	if !rec.PendingSince.IsZero() {
		rec.PendingSince = rec.PendingSince.Add(-d)
	}
	methods := rec.Methods.All()
	for i := range methods {
		methods[i].At = methods[i].At.Add(-d)
	}
	rec.Methods = store.NewMethods(methods...)
	return rec
}
