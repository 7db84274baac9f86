package coherence

// forever is the end of an attacker's value without a time to live.
const forever moment = 1 << 30

// send puts a message in flight. With a local cache it is a call that is about
// to happen, and only a crash of its process loses it. Without a free place it
// drops one without a waiting operation, as any message may be lost.
func (s *stage) send(m message) {
	place := -1
	for n := range s.session.messages {
		switch q := &s.session.messages[n]; {
		case q.kind == noMessage:
			s.session.messages[n] = m
			return
		case q.op < 0:
			place = n
		}
	}
	// there is one: at most one message waits for each of the other operations
	s.session.messages[place] = m
}

// carry is what the network does with a message.
func (s *stage) carry(a action) error {
	m := s.session.messages[a.a]
	acknowledged, refused := false, false
	switch a.kind {
	case delivers, unanswers, repeats:
		taken := s.arrive(m)
		acknowledged, refused = taken && a.kind == delivers, !taken && a.kind == delivers
	}
	if a.kind == repeats || a.kind == gives {
		s.session.messages[a.a].op = -1
	} else {
		s.session.messages[a.a] = message{}
	}
	if m.op < 0 {
		return nil
	}
	if refused {
		// The save stores a tombstone in place of the value that refused it.
		s.send(message{
			kind: tombstoneMessage, id: m.id, op: m.op,
			ttl: moment(s.refusedTTL(s.policy).Milliseconds()),
		})
		return nil
	}
	return s.answered(int(m.op), acknowledged)
}

// arrive applies a message as the script in Redis does, and returns its answer.
func (s *stage) arrive(m message) bool {
	v, c := &s.session.ids[m.id], s.slotOf(m.by, m.id)
	slot := c.slot(s.at)
	if m.kind == tombstoneMessage {
		s.putTombstone(&slot)
		c.set(slot, s.at+m.ttl)
		return true
	}
	if !s.fill(&slot, m.entry.full()) {
		return s.refusalConfirms || slot.State == Filled // by an entry that is not older
	}
	c.set(slot, s.at+m.ttl)
	if v.copies[0] != m.entry && !s.policy.Local {
		v.copies[1], v.copies[0] = v.copies[0], m.entry
	}
	return true
}
