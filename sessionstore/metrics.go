package sessionstore

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Metrics are the numbers of Postgres, of the cache in front of it, of an
// emergency and of open connections. [Manager.Metrics] returns them. Counts are
// of this process since its start.
type Metrics struct {
	Postgres  store.PostgresStats
	Cache     store.CacheStats
	Emergency store.EmergencyStats
	// Watches is how many connections [Session.Watch] binds to their sessions
	// now.
	Watches int
}

// Metrics returns the numbers of this Manager. It does no I/O and may be called
// at any rate. For a Manager made by [NewWithStore] all but Watches are zero.
func (m *Manager) Metrics() Metrics {
	metrics := m.chain.metrics()
	metrics.Watches = m.watches.number()
	return metrics
}
