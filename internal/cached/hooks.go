package cached

// Forget forgets which sessions were touched, as a touch interval does, and
// waits for fills.
func (c *Store) Forget() {
	c.fills.Wait()
	c.touched.mu.Lock()
	defer c.touched.mu.Unlock()
	c.touched.at, c.touched.old = nil, nil
}
