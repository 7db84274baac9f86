package cached

import (
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// SetClocks hands in the reading of the clocks.
func (c *Store) SetClocks(clocks func() coherence.Instant) { c.clocks = clocks }

// Settle waits for fills.
func (c *Store) Settle() { c.fills.Wait() }

// Forget forgets which sessions were touched, as a touch interval does, and
// waits for fills.
func (c *Store) Forget() {
	c.fills.Wait()
	c.touched.mu.Lock()
	defer c.touched.mu.Unlock()
	c.touched.at, c.touched.old = nil, nil
}

// LimitEnded bounds what is kept of revokes that the cache did not acknowledge.
func (c *Store) LimitEnded(n int) { c.ended.limit = n }

// CacheStats counts.
func (c *Store) CacheStats() store.CacheStats { return c.Metrics() }
