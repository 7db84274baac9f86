package sessionstore

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

// ChainStats is what [Manager.Metrics] tells of Postgres, and of what stands in front of it and behind it. Counts are of
// this process, since its start.
type Metrics struct {
	Postgres  store.PostgresStats
	Cache     store.CacheStats
	Emergency store.EmergencyStats
}

// ChainStats tells how Postgres, the cache and the emergency stand. It asks nobody and may be called as often as one likes. It is zero for a
// Manager made by [NewWithStore].
func (m *Manager) Metrics() Metrics { return m.chain.stats() }
