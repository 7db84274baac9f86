package sessionstore

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Metrics are the numbers of Postgres, of the cache in front of it and of an
// emergency, as [Manager.Metrics] returns them. Counts are of this process
// since its start.
type Metrics struct {
	Postgres  store.PostgresStats
	Cache     store.CacheStats
	Emergency store.EmergencyStats
}

// Metrics returns the numbers of Postgres, the cache and the emergency. It does
// no I/O and may be called at any rate. They are all zero for a Manager made by
// [NewWithStore].
func (m *Manager) Metrics() Metrics { return m.chain.metrics() }
