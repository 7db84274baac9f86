package cache

import "sync/atomic"

// Stats counts what a [Cache] has done. Each number is exact; numbers of one snapshot may be a call apart.
type Stats struct {
	Hits       uint64 // Gets that returned an entry
	Misses     uint64 // Gets that found nothing
	Unopened   uint64 // Gets that found what does not open: altered, of another id, key or format, too large, or foreign
	Tombstones uint64 // Gets that found a tombstone
	Errors     uint64 // Gets, Fills and Buries that Redis failed, or kept waiting; not those whose caller left
	Skipped    uint64 // Gets and Fills that were not tried because the breaker was open, and Gets while another waits too long

	FillsStored  uint64
	FillsRefused uint64 // where a tombstone or a version not lower stood, or too large

	BreakerOpen bool // the breaker: Redis fails and is left alone

	WritesRefused  uint64 // Fills and tombstones that Redis answered with an error
	RefusingWrites bool   // it refuses all writes, and answers reads
}

type counts struct {
	hits, misses, unopened, tombstones, errors, skipped atomic.Uint64
	fillsStored, fillsRefused                           atomic.Uint64
}

// Stats returns a snapshot of the counters.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits:         c.counts.hits.Load(),
		Misses:       c.counts.misses.Load(),
		Unopened:     c.counts.unopened.Load(),
		Tombstones:   c.counts.tombstones.Load(),
		Errors:       c.counts.errors.Load(),
		Skipped:      c.counts.skipped.Load(),
		FillsStored:  c.counts.fillsStored.Load(),
		FillsRefused: c.counts.fillsRefused.Load(),
		BreakerOpen:  c.breaker.isOpen(),

		WritesRefused:  c.writes.refused.Load(),
		RefusingWrites: c.writes.refusing.Load(),
	}
}
