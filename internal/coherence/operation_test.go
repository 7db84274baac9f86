package coherence

// operation is a call of an instance. It stops wherever production waits; await
// is the point.
type operation struct {
	kind     operationKind
	await    await
	instance uint8
	id       uint8

	// The variables of the call.
	minVersion  int16
	asks        bool // its client has the cookie "ask Postgres"
	fill        bool // of its Load
	unavailable bool // of its Load
	answer      CacheAnswer
	entry       entry
	found       bool
	begun       moment // when Postgres began its transaction
	sent        Instant
	result      Outcome
	acked       bool

	// What its client may rely on.
	sees, seesIf           int16
	dead, deadIf, deadHere bool
}

type operationKind uint8

const (
	idle operationKind = iota
	create
	load
	save
	touch
	rotate
	revoke
	revokeAll // of all users: the ids are unknown, so the cache gets no tombstones
)

type await uint8

const (
	toGet     await = iota // before the request to Redis
	toJudge                // before the answer of Redis
	toSend                 // before the request to Postgres
	toExecute              // before the snapshot or commit of Postgres
	toReply                // before the reply of Postgres
	toAck                  // before the answer of Redis to a fill or a tombstone
)

func (o *operation) load(s *scope) Load {
	l := Load{
		Policy: s.policy, MinVersion: int64(o.minVersion), Unavailable: o.unavailable, fill: o.fill,
	}
	if o.asks {
		l.MinVersion = 1 << 40
	}
	return l
}

// begin starts an operation in a free place.
func (s *stage) begin(kind operationKind, instance, id uint8, unavailable bool) error {
	n := s.free()
	v := &s.session.ids[id]
	o := operation{kind: kind, instance: instance, id: id, await: toSend, unavailable: unavailable}
	switch {
	case kind == load:
		o.minVersion, o.sees, o.seesIf = v.minVersion, v.sees, v.seesIf
		o.dead, o.deadIf = v.dead != 0 && s.at >= v.dead, v.deadIf
		o.deadHere = v.deadHere&(1<<instance) != 0
		o.asks = s.at < v.asks
		if s.policy.Local && unavailable {
			o.sees = 0 // the cookie may have ended before the grace
		}
		l := o.load(s.scope)
		if s.start(&l) == AskCache {
			o.await = toGet
		}
	case s.cacheFirst && (kind == revoke || kind == rotate):
		o.await = toAck
	}
	s.session.ops[n] = o
	if o.await == toAck {
		s.send(message{
			kind: tombstoneMessage, id: id, op: int8(n),
			ttl: moment(s.tombstoneTTL(s.policy).Milliseconds()),
		})
	}
	return nil
}

// step continues an operation to its next await. lost: the reply that it waits
// for is lost. before: the request was lost.
func (s *stage) step(n int, lost, before bool) error {
	o := &s.session.ops[n]
	switch o.await {
	case toGet:
		o.answer, o.entry, o.await = Timeout, entry{}, toJudge
		if !lost {
			slot := s.slotOf(o.instance, o.id).slot(s.at)
			answer, e := s.get(&slot)
			o.answer, o.entry = answer, compact(e)
		}
	case toJudge:
		return s.judge(n)
	case toSend:
		if o.unavailable {
			return s.fail(n)
		}
		o.sent, o.begun, o.await = s.instances[o.instance].instant(), s.at, toExecute
		if o.kind == touch {
			o.entry.version = s.session.ids[o.id].row.version
		}
	case toExecute:
		o.await = toReply
		if !before {
			if err := s.execute(o); err != nil {
				return err
			}
		}
		if lost {
			return s.lostReply(n)
		}
		if o.kind == touch {
			s.drop(n) // no caller waits for it
		}
	case toReply:
		if lost {
			return s.lostReply(n)
		}
		return s.replied(n)
	}
	return nil
}

func (s *stage) judge(n int) error {
	o := &s.session.ops[n]
	now, err := s.now(o.instance)
	if err != nil {
		return err
	}
	l := o.load(s.scope)
	if s.policy.Local {
		w := &s.session.watermarks[o.instance]
		*w = w.Resolve(now)
		l.Watermark = *w
	}
	step, verdict := s.cacheAnswered(&l, o.answer, o.entry.full(), now)
	o.fill = l.fill
	switch {
	case step == AskStore:
		o.entry, o.await = entry{}, toSend
		return nil
	case step != ServeCache || o.answer != Hit:
		return violated("a load failed because of the cache")
	case verdict == Expired:
		return s.deniedByCache(n)
	}
	return s.servedFromCache(n)
}

// execute is Postgres's part: a load's snapshot, or a commit.
func (s *stage) execute(o *operation) error {
	v := &s.session.ids[o.id]
	alive := v.row.exists && v.row.expires > o.begun
	before := v.row
	switch o.kind {
	case create:
		v.row = row{exists: true, version: 1, expires: o.begun + s.lifetime}
		o.found = true
	case load:
		r := v.row
		if s.standby {
			r = v.before
		}
		o.found = r.exists && r.expires > o.begun
		o.entry = entry{version: r.version, validated: o.begun, expires: r.expires}
		return nil
	case save:
		if alive || s.upsert {
			v.row.exists, v.row.version = true, v.row.version+1
		}
		o.found = alive || s.upsert
	case touch:
		if alive {
			v.row.expires = max(v.row.expires, o.begun+s.lifetime)
			if s.touchWritesBack {
				v.row.version = o.entry.version
			}
		}
	case revokeAll:
		for n := range s.session.ids {
			w := &s.session.ids[n]
			if before := w.row; before.exists {
				w.row, w.before = row{gone: true}, before
			}
		}
		return nil
	case rotate, revoke:
		o.found = alive
		if alive && o.kind == rotate {
			s.session.ids[1].row = row{
				exists: true, version: v.row.version + 1, expires: v.row.expires,
			}
		}
		if !s.cacheOnly {
			v.row = row{gone: true}
		}
	}
	o.entry = entry{version: v.row.version, validated: o.begun, expires: v.row.expires}
	if v.row != before {
		v.before = before
	}
	return s.changed(o, before, v.row)
}

// replied handles Postgres's reply.
func (s *stage) replied(n int) error {
	o := &s.session.ops[n]
	in := &s.instances[o.instance]
	stamp := o.begun
	if s.stampedLate {
		stamp, o.entry.validated = s.at, s.at
	}
	if o.kind != revoke && o.kind != revokeAll { // their replies have no time of Postgres
		s.observe(&in.clock, stamp.time(), o.sent, in.instant())
		in.sampled = true
	}
	now, err := s.now(o.instance)
	if err != nil {
		return err
	}
	switch o.kind {
	case load:
		l := o.load(s.scope)
		if s.filledLate {
			o.entry.validated = moment(now.Time / 1000)
		}
		if ttl := s.storeAnswered(&l, o.entry.full(), o.found, now); ttl > 0 {
			if o.answer == Timeout && s.policy.Freshness > 0 {
				return violated("a load filled a cache that had not answered")
			}
			s.send(message{
				kind: fillMessage, by: o.instance, id: o.id, op: -1, entry: o.entry,
				ttl: moment(ttl.Milliseconds()),
			})
		}
		if o.found {
			return s.served(n)
		}
		return s.denied(n)
	case save:
		if !o.found {
			return s.denied(n)
		}
		ttl := s.saved(s.policy, o.entry.full(), now)
		if s.policy.Local {
			if ttl > 0 {
				s.arrive(message{
					kind: fillMessage, by: o.instance, id: o.id, entry: o.entry,
					ttl: moment(ttl.Milliseconds()),
				})
			}
			return s.returned(n, true)
		}
		if ttl > 0 {
			o.await = toAck
			s.send(message{
				kind: fillMessage, id: o.id, op: int8(n), entry: o.entry,
				ttl: moment(ttl.Milliseconds()),
			})
			return nil
		}
		return s.returned(n, false)
	case rotate, revoke:
		o.result = Committed
		return s.tombstone(n)
	case revokeAll:
		o.result = Committed
		if s.policy.Local {
			s.raise(o, now)
		}
		return s.returned(n, s.revokeAllCounts)
	}
	s.drop(n)
	return nil
}

// lostReply handles a missing reply.
func (s *stage) lostReply(n int) error {
	o := &s.session.ops[n]
	switch o.kind {
	case rotate, revoke:
		o.result = s.lost
		return s.tombstone(n)
	case save:
		if s.lostSaveSucceeds {
			return s.returned(n, false)
		}
	case create:
		s.session.ids[o.id].unaware = true
	}
	return s.fail(n)
}

// tombstone sends a tombstone for the id if the outcome needs one.
func (s *stage) tombstone(n int) error {
	o := &s.session.ops[n]
	if s.cacheFirst {
		return s.returned(n, o.acked)
	}
	if !s.needsTombstone(o.result) || s.policy.Freshness <= 0 {
		return s.returned(n, false)
	}
	if s.policy.Local {
		if !s.noTombstone {
			s.arrive(message{
				kind: tombstoneMessage, by: o.instance, id: o.id,
				ttl: moment(s.tombstoneTTL(s.policy).Milliseconds()),
			})
		}
		return s.returned(n, true)
	}
	o.await = toAck
	s.send(message{
		kind: tombstoneMessage, id: o.id, op: int8(n),
		ttl: moment(s.tombstoneTTL(s.policy).Milliseconds()),
	})
	return nil
}

// raise sets the watermark of the instance that has revoked all sessions. The
// mutants drop what is there instead, or take the bound of an earlier moment.
func (s *stage) raise(o *operation, now Bound) {
	if s.noWatermark {
		for id := range s.session.ids {
			s.session.ids[id].slots[o.instance] = cached{}
		}
		return
	}
	if s.watermarkOfSending {
		now.Time = o.begun.time()
	}
	w := &s.session.watermarks[o.instance]
	*w = w.Or(s.revokedAt(now))
}

// fail ends an operation with an error that leaves the outcome open.
func (s *stage) fail(n int) error {
	s.drop(n)
	return nil
}

func (s *stage) free() int {
	for n := range s.session.ops {
		if s.session.ops[n].kind == idle {
			return n
		}
	}
	return -1
}

// drop removes an operation. Its messages stay in flight.
func (s *stage) drop(n int) {
	s.session.ops[n] = operation{}
	for m := range s.session.messages {
		if s.session.messages[m].kind != noMessage && s.session.messages[m].op == int8(n) {
			s.session.messages[m].op = -1
		}
	}
}
