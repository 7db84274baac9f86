package cached

import "github.com/reporadar/pgsession/internal/coherence"

// SetClocks hands in the reading of the clocks.
func (c *Store) SetClocks(clocks func() coherence.Instant) { c.clocks = clocks }

// LimitEnded bounds what is kept of revokes that the cache did not acknowledge.
func (c *Store) LimitEnded(n int) { c.tombstones.limit = n }

var (
	EncodeRecord = encodeRecord
	DecodeRecord = decodeRecord
)
