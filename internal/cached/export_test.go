package cached

import "github.com/reporadar/pgsession/internal/coherence"

// SetClocks replaces the reading of the clocks.
func (c *Store) SetClocks(clocks func() coherence.Instant) { c.clocks = clocks }

// LimitEnded bounds the local tombstones.
func (c *Store) LimitEnded(n int) { c.tombstones.limit = n }

// MaxFills bounds the fills in the background.
const MaxFills = maxFills

var (
	EncodeRecord = encodeRecord
	DecodeRecord = decodeRecord
)
