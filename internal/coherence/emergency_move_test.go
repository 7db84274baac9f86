package coherence

// The way of a session from P's memory to Postgres, and what comes in between.

// arrivals is what becomes of moves that were sent, whether or not P is there to hear of it.
func (e emergency) arrivals(r rules, do doing, ok harmless) {
	if e.flying > 0 {
		do("a move arrives", func(n *emergency) error {
			n.flying--
			return n.moved(r)
		})
		do("a move is lost", ok(func(n *emergency) { n.flying-- }))
	}
	if e.made.row && e.sent && !e.made.promised && r.stages {
		// What was under way to the server that is lost arrives nowhere.
		do("a failover undoes a move that nobody heard of", ok(func(n *emergency) { n.made.row, n.staged, n.flying = false, true, 0 }))
	}
}

// moved is what Postgres makes of a move.
func (e *emergency) moved(r rules) error {
	if r.stages && !e.staged || e.made.row {
		return nil
	}
	e.staged, e.made.row = false, true
	if e.made.promised {
		return violated("an import revived a revoked session")
	}
	return nil
}

// ends is how P ends a session that was sent: two statements, between which a move may arrive.
func (e emergency) ends(r rules, do doing) {
	do("P ends one of the two rows of made", func(n *emergency) error {
		if n.ending = true; r.orders {
			n.staged = false
		} else {
			n.made.row = false
		}
		return nil
	})
	if e.ending {
		do("P ends the other row of made", func(n *emergency) error {
			if !r.orders {
				n.staged = false
			} else {
				n.made.row = false
			}
			n.sent, n.memory, n.ending, n.written, n.made.promised = false, false, false, blank, true
			if n.made.row {
				return violated("a revoke was acknowledged, and the session lives")
			}
			return nil
		})
	}
}

// imports is the end of P's way back.
func (e emergency) imports(r rules, do doing, ok harmless) {
	if e.written == written && e.outage.Mode == Replaying && !e.unavailable {
		e.ends(r, do)
	}
	if e.outage.Mode != Restoring || e.unavailable || e.written != blank {
		return
	}
	if !e.memory && !e.sent {
		do("all imported", func(n *emergency) error {
			n.outage.Restored()
			if n.acknowledged && !n.made.row && !n.made.promised && !n.removed {
				return violated("a session made in memory was lost")
			}
			return nil
		})
	}
	if e.memory && !r.imports {
		do("memory is dropped", ok(func(n *emergency) { n.memory = false }))
	}
	if e.memory && !e.put && !e.sent {
		do("put", ok(func(n *emergency) { n.put, n.staged = true, true }))
	}
	if e.put && e.flying < 2 {
		do("move refused", ok(func(n *emergency) { n.put, n.staged = false, false })) // that row is given up
		do("move sent", ok(func(n *emergency) { n.put, n.sent, n.flying, n.memory = false, true, n.flying+1, !r.holds }))
	}
	if e.sent && !e.ending {
		e.hears(r, do, ok)
	}
}

// hears is how P learns what became of a move.
func (e emergency) hears(r rules, do doing, ok harmless) {
	if !r.resends {
		do("no answer", ok(func(n *emergency) { n.sent, n.memory, n.staged = false, true, false }))
		return
	}
	if e.flying < 2 {
		do("move sent again", ok(func(n *emergency) { n.flying++ }))
	}
	do("move made again, and answered", func(n *emergency) error {
		err := n.moved(r)
		n.sent, n.memory = false, false
		return err
	})
}
