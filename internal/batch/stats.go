package batch

// Stats counts what a Combiner has done. The numbers of one snapshot are
// consistent.
type Stats struct {
	Calls      uint64 // calls of Do
	Runs       uint64 // calls of Func: direct, shared, and single after a fallback
	Batched    uint64 // calls that shared a run
	Fallbacks  uint64 // failed shared runs whose calls were run again one by one
	Overloaded uint64 // calls that got ErrOverloaded
	Late       uint64 // calls that got ErrLate
	Abandoned  uint64 // calls whose context ended in the queue or during their shared run
	Largest    int    // most calls of one run
}

// Stats returns a snapshot of the counters.
func (c *Combiner[Q, R]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// countRun counts a run of n calls. The caller holds c.mu.
func (c *Combiner[Q, R]) countRun(n int) {
	c.crowded = n > 1
	c.stats.Runs++
	if n > 1 {
		c.stats.Batched += uint64(n)
	}
	c.stats.Largest = max(c.stats.Largest, n)
}
