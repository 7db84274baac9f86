package coherence

// How a session moves from P's memory to Postgres, and what can happen
// meanwhile.

// arrivals are the moves that were sent, whether or not P is there to get the
// reply.
func (e emergency) arrivals(r rules, do doing, ok harmless) {
	if e.moving > 0 {
		do("a move arrives", func(n *emergency) error {
			n.moving--
			return n.moved(r)
		})
		do("a move is lost", ok(func(n *emergency) { n.moving-- }))
	}
	if e.made.row && e.sent && !e.made.promised && r.stages {
		// A move in flight to the failed server arrives nowhere.
		do("a failover undoes a move without a reply",
			ok(func(n *emergency) { n.made.row, n.temporary, n.moving = false, true, 0 }))
	}
}

// moved applies a move in Postgres.
func (e *emergency) moved(r rules) error {
	if r.stages && !e.temporary || e.made.row {
		return nil
	}
	e.temporary, e.made.row = false, true
	if e.made.promised {
		return violated("a restore revived a revoked session")
	}
	return nil
}

// ends is how P ends a session that was sent: two statements, between which a
// move may arrive.
func (e emergency) ends(r rules, do doing) {
	do("P ends one of the two rows of made", func(n *emergency) error {
		if n.ending = true; r.orders {
			n.temporary = false
		} else {
			n.made.row = false
		}
		return nil
	})
	if e.ending {
		do("P ends the other row of made", func(n *emergency) error {
			if !r.orders {
				n.temporary = false
			} else {
				n.made.row = false
			}
			n.sent, n.memory, n.ending, n.written, n.made.promised = false, false, false, blank,
				true
			if n.made.row {
				return violated("a revoke was acknowledged, and the session lives")
			}
			return nil
		})
	}
}

// restores is the last part of P's recovery.
func (e emergency) restores(r rules, do doing, ok harmless) {
	if e.written == written && e.outage.Mode == Replaying && !e.unavailable {
		e.ends(r, do)
	}
	if e.outage.Mode != Restoring || e.unavailable || e.written != blank {
		return
	}
	if !e.memory && !e.sent {
		do("all restored", func(n *emergency) error {
			n.outage.Restored()
			if n.acknowledged && !n.made.row && !n.made.promised && !n.removed {
				return violated("a session made in memory was lost")
			}
			return nil
		})
	}
	if e.memory && !r.restores {
		do("memory is dropped", ok(func(n *emergency) { n.memory = false }))
	}
	if e.memory && !e.put && !e.sent {
		do("put", ok(func(n *emergency) { n.put, n.temporary = true, true }))
	}
	if e.put && e.moving < 2 {
		// P gives up that row
		do("move refused", ok(func(n *emergency) { n.put, n.temporary = false, false }))
		do("move sent",
			ok(func(n *emergency) {
				n.put, n.sent, n.moving, n.memory = false, true, n.moving+1, !r.holds
			}))
	}
	if e.sent && !e.ending {
		e.confirms(r, do, ok)
	}
}

// confirms is how P learns the outcome of a move.
func (e emergency) confirms(r rules, do doing, ok harmless) {
	if !r.resends {
		do("no answer",
			ok(func(n *emergency) { n.sent, n.memory, n.temporary = false, true, false }))
		return
	}
	if e.moving < 2 {
		do("move sent again", ok(func(n *emergency) { n.moving++ }))
	}
	do("move made again, and answered", func(n *emergency) error {
		err := n.moved(r)
		n.sent, n.memory = false, false
		return err
	})
}
