package cache

import "sync/atomic"

// Stats counts what a [Cache] did since its creation. Each number is exact; two
// numbers of one snapshot may be one call apart.
type Stats struct {
	Hits   uint64 // Gets that returned an entry
	Misses uint64 // Gets without an entry
	// Gets of an entry that does not open: altered, too large, or of another
	// id, key or format.
	Unopened   uint64
	Tombstones uint64 // Gets that found a tombstone
	Errors     uint64 // calls that failed or timed out; not those whose context ended
	// Gets and Fills not tried: the breaker was open. Gets also while another
	// one was slower than usual.
	Skipped uint64

	FillsStored  uint64
	FillsRefused uint64 // a tombstone or a version that is not lower is there, or too large

	BreakerOpen bool // Redis failed repeatedly and is probed in the background

	WritesRefused  uint64 // fills and tombstones answered with an error
	RefusingWrites bool   // Redis refuses all writes and answers reads
}

type counts struct {
	hits, misses, unopened, tombstones, errors, skipped atomic.Uint64
	fillsStored, fillsRefused                           atomic.Uint64
}

// Stats returns a snapshot of the counters. It asks Redis nothing.
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
