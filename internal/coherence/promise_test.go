package coherence

// The invariants are checked where a client gets a result and where a row
// changes in Postgres.

// changed checks a change of a row: only a creation makes one, a deleted row
// stays deleted, and no acknowledged change is undone.
func (s *stage) changed(o *operation, before, after row) error {
	switch {
	case after.exists && before.gone:
		return violated("operation %d revived a dead session", o.kind)
	case before.exists && after.exists && after.version < before.version:
		return violated("operation %d took the row from version %d back to %d", o.kind,
			before.version, after.version)
	case o.kind == save && before.exists && after.version != before.version &&
		before.expires <= o.begun:
		return violated("a save changed an expired session")
	}
	return nil
}

// servedFromCache checks the faults of the cache, then all others.
func (s *stage) servedFromCache(n int) error {
	o := &s.session.ops[n]
	switch r := s.session.ids[o.id].row; {
	case s.policy.Freshness <= 0:
		return violated("served from the cache by a strict policy")
	case !s.instances[o.instance].sampled:
		return violated("served from the cache by an instance that does not know Postgres's clock")
	case r.exists && s.at.time() >= r.expires.time().Add(s.clockError):
		return violated("served after its deadline")
	}
	return s.served(n)
}

// served ends a load that found its session alive.
func (s *stage) served(n int) error {
	o := s.session.ops[n]
	s.drop(n)
	switch {
	case o.dead:
		return violated("a revoked session was served later than the revoke's bound")
	case o.deadHere:
		return violated("a session was served by the instance that had revoked it")
	case o.deadIf:
		return violated(
			"a revoked session was served although the cache had acknowledged the revoke and " +
				"kept it")
	case o.entry.version < o.minVersion:
		return violated("a load returned version %d, below its minimum version %d", o.entry.version,
			o.minVersion)
	case o.entry.version < o.sees:
		return violated("a client that wrote version %d was served version %d", o.sees,
			o.entry.version)
	case o.entry.version < o.seesIf:
		return violated(
			"a client that wrote version %d, acknowledged by the cache, was served version %d",
			o.seesIf, o.entry.version)
	}
	return nil
}

// denied ends an operation that found its session ended.
func (s *stage) denied(n int) error {
	s.drop(n)
	return nil
}

// deniedByCache ends a load that the cache alone denied, which must not happen.
func (s *stage) deniedByCache(n int) error {
	r := s.session.ids[s.session.ops[n].id].row
	s.drop(n)
	if r.exists && r.expires > s.at {
		return violated("a live session was reported dead")
	}
	return nil
}

// returned ends an operation that waited for the cache, with the result for its
// caller.
func (s *stage) returned(n int, acknowledged bool) error {
	o := s.session.ops[n]
	s.drop(n)
	v := &s.session.ids[o.id]
	if o.kind == save {
		if !o.found {
			return violated(
				"a save whose reply was lost was reported as success, and had no effect")
		}
		if minVersion := s.minVersion(s.policy, o.entry.full(), acknowledged); minVersion > 0 {
			v.minVersion = int16(minVersion)
		}
		switch {
		case s.policy.Local:
			v.asks = max(v.asks, s.at.after(s.askFor(s.policy)))
			v.sees = max(v.sees, o.entry.version)
		case acknowledged:
			v.seesIf = max(v.seesIf, o.entry.version)
		default:
			v.sees = o.entry.version
		}
		return nil
	}
	r := s.revoked(s.policy, o.result, acknowledged, o.kind == revoke || o.kind == rotate)
	if !r.Committed {
		return nil
	}
	if o.kind == revokeAll {
		for n := range s.session.ids {
			if err := s.promise(&s.session.ids[n], o.instance, r); err != nil {
				return err
			}
		}
		return nil
	}
	return s.promise(v, o.instance, r)
}

// promise records what was promised about an ended session.
func (s *stage) promise(v *identity, by uint8, r Revocation) error {
	if v.row.exists {
		return violated("a revoke said that it was committed, and the session lives")
	}
	bound := s.at
	if x := s.policy.Exposure(); x > 0 {
		bound = s.at.after(x) + 1
	}
	if v.dead == 0 || v.dead > bound {
		v.dead = bound
	}
	if r.MaxExposure == 0 {
		v.deadIf = true
	}
	if s.policy.Local {
		v.deadHere |= 1 << by
	}
	return nil
}

// answered passes Redis's answer, or its absence, to the operation that waits
// for it.
func (s *stage) answered(n int, acknowledged bool) error {
	o := &s.session.ops[n]
	if s.cacheFirst && o.kind != save && o.await == toAck {
		o.acked, o.await = acknowledged, toSend
		if s.cacheOnly {
			o.result = Committed
			return s.returned(n, acknowledged)
		}
		return nil
	}
	return s.returned(n, acknowledged)
}

// quiet reports whether nothing is in flight and nothing can happen to the
// session.
func (s *stage) quiet() bool {
	for n := range s.session.ops {
		if s.session.ops[n].kind != idle || s.session.messages[n].kind != noMessage {
			return false
		}
	}
	for n := range s.session.ids {
		if r := s.session.ids[n].row; r.exists && r.expires > s.at {
			return false
		}
	}
	return true
}
