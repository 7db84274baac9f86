package coherence

// normalize clears what can't matter any more, so that states without a
// relevant difference are equal. It must not clear more: every line says why it
// may.
func (w *world) normalize(sc *scope) {
	var (
		s     = &w.session
		last  = s.operations >= sc.operations // no operation will begin
		busy  [len(w.instances)]bool
		reads [ids]bool // an operation will read Redis
		any   bool
		// an operation has read its slot, and not the watermark
		judges bool
	)
	for n := range s.ops {
		o := &s.ops[n]
		if o.kind == idle {
			continue
		}
		any = true
		busy[o.instance] = true
		reads[o.id] = reads[o.id] || o.await == toGet
		judges = judges || o.await == toJudge
		if o.await == toSend || o.await == toGet {
			o.sent, o.begun = Instant{}, 0 // not set yet
		}
	}
	if last && !any {
		*w = world{} // the end: nothing is read any more
		return
	}
	for i := range w.instances {
		if last && !busy[i] {
			w.instances[i] = instance{} // its clock will not be read
		}
	}
	if s.faults >= sc.faults {
		for i := range w.instances {
			w.instances[i].disturbance = undisturbed // only decides which fault is possible
		}
	}
	for id := range s.ids {
		v := &s.ids[id]
		if !sc.standby {
			v.before = row{} // will not be read
		}
		if s.faults >= sc.faults {
			v.copies = [2]entry{} // no fault will restore one
		}
		for i := range v.slots {
			if v.slots[i].until <= w.at {
				v.slots[i] = cached{} // has expired
			}
		}
		if v.asks <= w.at {
			v.asks = 0 // the cookie has ended
		}
		if last {
			// read when an operation begins
			v.minVersion, v.sees, v.seesIf, v.dead, v.deadIf, v.unaware = 0, 0, 0, 0, false, false
			v.asks, v.deadHere = 0, 0
			if !reads[id] { // will not be read
				v.slots, v.copies = [processes]cached{}, [2]entry{}
			}
		}
	}
	if last && !reads[0] && !reads[1] && !judges {
		s.watermarks = [processes]Watermark{} // will not be read
	}
	for n := range s.messages {
		if m := &s.messages[n]; m.kind != noMessage && m.op < 0 && last && !reads[m.id] {
			*m = message{} // its effect will not be seen
		}
	}
	s.sort()
}

// sort orders operations and messages independently of when they began.
func (s *session) sort() {
	for n := 1; n < len(s.ops); n++ {
		for k := n; k > 0 && s.ops[k].before(&s.ops[k-1]); k-- {
			s.ops[k], s.ops[k-1] = s.ops[k-1], s.ops[k]
			for m := range s.messages {
				if q := &s.messages[m]; q.kind != noMessage && q.op == int8(k) {
					q.op = int8(k - 1)
				} else if q.kind != noMessage && q.op == int8(k-1) {
					q.op = int8(k)
				}
			}
		}
	}
	for n := 1; n < len(s.messages); n++ {
		for k := n; k > 0 && s.messages[k].before(&s.messages[k-1]); k-- {
			s.messages[k], s.messages[k-1] = s.messages[k-1], s.messages[k]
		}
	}
}

func (o *operation) before(p *operation) bool { return o.key() > p.key() }

func (o *operation) key() uint64 {
	return uint64(o.kind)<<56 | uint64(o.await)<<48 | uint64(o.instance)<<40 | uint64(
		o.id)<<32 | uint64(uint32(o.begun))
}

func (m *message) before(p *message) bool { return m.key() > p.key() }

func (m *message) key() uint64 {
	return uint64(m.kind)<<56 | uint64(m.id)<<48 | uint64(uint8(m.op+1))<<40 | uint64(
		uint8(m.entry.version))<<32 | uint64(uint32(m.entry.validated))
}
