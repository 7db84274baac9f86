package cached

import (
	"sync/atomic"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// counts has the numbers of [store.CacheStats].
type counts struct {
	answers  [coherence.Timeout + 1]atomic.Int64
	verdicts [coherence.Revoked + 1]atomic.Int64 // on the entries of hits

	fills, fillsRefused, fillsFailed, fillsSkipped, tombstonesFailed atomic.Int64
}

// Metrics returns the numbers of this process's use of the cache. Those that
// only the cache has are zero.
func (c *Store) Metrics() store.CacheStats {
	answers, verdicts := &c.counts.answers, &c.counts.verdicts
	stats := store.CacheStats{
		Freshness: c.policy.Freshness, MaxExposure: c.policy.Exposure(),
		Hits:   verdicts[coherence.Fresh].Load(),
		Misses: answers[coherence.Miss].Load(),
		Tombstones: answers[coherence.FoundTombstone].Load() +
			verdicts[coherence.Revoked].Load(),
		Unavailable:  answers[coherence.Timeout].Load(),
		ClockUnknown: verdicts[coherence.ClockUnknown].Load(),
		Stale:        verdicts[coherence.Stale].Load(),
		Expired:      verdicts[coherence.Expired].Load(),
		BelowMinimum: verdicts[coherence.BelowMinimum].Load(),

		Fills:            c.counts.fills.Load(),
		FillsRefused:     c.counts.fillsRefused.Load(),
		FillsFailed:      c.counts.fillsFailed.Load(),
		FillsSkipped:     c.counts.fillsSkipped.Load(),
		TombstonesFailed: c.counts.tombstonesFailed.Load(),
	}
	if l, ok := c.cache.(near); ok {
		of := l.Stats()
		stats.Sessions, stats.Bytes, stats.Evictions = of.Records, of.Bytes, of.Evicted
	}
	return stats
}
