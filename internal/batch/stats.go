package batch

// Stats counts what a Combiner has done. The numbers of one snapshot belong together.
type Stats struct {
	Calls      uint64 // calls of Do
	Runs       uint64 // calls of Func: direct, shared, and alone after a fallback
	Batched    uint64 // calls that had company in a run
	Fallbacks  uint64 // shared runs that failed and whose calls were run again, each alone
	Overloaded uint64 // calls refused with ErrOverloaded
	Late       uint64 // calls refused with ErrLate
	Abandoned  uint64 // calls whose context ended before their turn or during their shared run
	Largest    int    // most calls in one run
}

// Stats returns a snapshot of the counters.
func (c *Combiner[Q, R]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// countRun counts a run of n calls. The caller holds c.mu.
func (c *Combiner[Q, R]) countRun(n int) {
	c.company = n > 1
	c.stats.Runs++
	if n > 1 {
		c.stats.Batched += uint64(n)
	}
	c.stats.Largest = max(c.stats.Largest, n)
}
