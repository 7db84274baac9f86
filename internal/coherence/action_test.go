package coherence

import (
	"fmt"
	"slices"
)

// action is one possible next event. Its kind says what a, b and c mean.
type action struct {
	kind    actionKind
	a, b, c uint8
}

type actionKind uint8

const (
	begins         actionKind = iota // operation a of instance b on id c
	beginsInOutage                   // the same, by an instance in an outage
	steps                            // operation a continues
	loses                            // operation a continues, and the reply is lost
	misses                           // operation a continues, and its request is lost
	delivers                         // message a arrives and is answered
	unanswers                        // message a arrives and its answer is lost
	repeats                          // message a arrives, will arrive again, and its answer is lost
	drops                            // message a is lost
	// the operation that waits for message a gives up; the message may still
	// arrive
	gives
	forgets // Redis loses its data, or the local cache of instance a drops its records
	replays // an attacker, or an older backup, restores copy a of id b without an end
	crashes // instance a
	ticks   // time passes
	sleeps  // time passes while the machine of instance a sleeps
	sets    // the wall clock of instance a is set forward (b = 1) or back
	naps    // a moment passes while the machine of instance a sleeps, unnoticed
)

var (
	actionNames = [...]string{
		"begin", "begin, Postgres unavailable", "step", "step, answer lost", "step, request lost",
		"deliver", "deliver, answer lost", "deliver one of two",
		"drop", "give up waiting", "Redis forgets", "Redis replays", "crash", "tick",
		"tick, asleep", "wall clock set", "nap",
	}
	operationNames = [...]string{
		"idle", "create", "load", "save", "touch", "rotate", "revoke", "revoke all",
	}
)

func (a action) String() string {
	if a.kind <= beginsInOutage {
		return fmt.Sprintf("%s: %s by instance %d on id %d", actionNames[a.kind],
			operationNames[a.a], a.b, a.c)
	}
	return fmt.Sprintf("%s (%d, %d)", actionNames[a.kind], a.a, a.b)
}

// fault reports whether an action never happens without a failure.
func (a action) fault() bool {
	switch a.kind {
	case begins, steps, delivers, ticks:
		return false
	}
	return true
}

// urgent reports whether a fused operation continues at once. A load's request
// to Redis, its judgement and its request to Postgres happen at one moment:
// later ones only give it more time to be overtaken. A reply of Postgres to a
// writer comes at once, since the message that follows it may still be late.
func (s *stage) urgent(o *operation) bool {
	if !s.fused || o.kind == idle {
		return false
	}
	switch o.kind {
	case load:
		return o.await != toReply
	case save:
		return o.await == toReply
	case touch:
		return false
	}
	return o.await != toAck
}

// enabled appends the possible next actions of the session.
func (s *stage) enabled(list []action) []action {
	faults := s.faults == 0 || s.session.faults < s.faults
	for n := range s.session.ops {
		if o := &s.session.ops[n]; s.urgent(o) {
			return s.stepsOf(list, n, faults)
		}
	}
	for n := range s.session.ops {
		list = s.stepsOf(list, n, faults)
	}
	for n := range s.session.messages {
		m := &s.session.messages[n]
		if m.kind == noMessage {
			continue
		}
		list = append(list, action{kind: delivers, a: uint8(n)})
		if !faults || s.policy.Local {
			continue
		}
		list = s.allow(list, action{kind: drops, a: uint8(n)}, action{kind: repeats, a: uint8(n)})
		if m.op >= 0 {
			list = s.allow(list, action{kind: unanswers, a: uint8(n)},
				action{kind: gives, a: uint8(n)})
		}
	}
	return s.beginnings(list)
}

// allow appends those of the faults that are in the scope.
func (s *scope) allow(list []action, faults ...action) []action {
	for _, a := range faults {
		if slices.Contains(s.allowed, a.kind) {
			list = append(list, a)
		}
	}
	return list
}

func (s *stage) stepsOf(list []action, n int, faults bool) []action {
	o := &s.session.ops[n]
	if o.kind == idle || o.await == toAck {
		return list
	}
	list = append(list, action{kind: steps, a: uint8(n)})
	if !faults {
		return list
	}
	switch {
	case o.await == toGet && s.policy.Local: // it can't fail
	case o.await == toGet, o.await == toReply:
		list = s.allow(list, action{kind: loses, a: uint8(n)})
	case o.await == toExecute:
		list = s.allow(list, action{kind: misses, a: uint8(n)})
	}
	return list
}

func (s *stage) beginnings(list []action) []action {
	if s.free() < 0 || s.operations > 0 && s.session.operations >= s.operations {
		return list
	}
	for i := range uint8(len(s.instances)) {
		for id := range uint8(ids) {
			if r := s.session.ids[id].row; !r.exists && !r.gone {
				continue
			}
			for _, kind := range s.kinds {
				if kind == create || kind == rotate && (id != 0 || s.session.ids[1].row != row{}) {
					continue
				}
				if kind == load || int(i) < s.writers {
					list = append(list, action{kind: begins, a: uint8(kind), b: i, c: id})
				}
			}
			if s.policy.Grace > 0 {
				list = append(list, action{kind: beginsInOutage, a: uint8(load), b: i, c: id})
			}
		}
		if first := &s.session.ids[0]; first.row == (row{}) && i == 0 &&
			s.session.ops == [inFlight]operation{} && !first.unaware {
			list = append(list, action{kind: begins, a: uint8(create), b: i})
		}
	}
	return list
}

// apply performs an action on the session.
func (s *stage) apply(a action) error {
	if a.fault() {
		s.session.faults++
	}
	switch a.kind {
	case begins, beginsInOutage:
		if operationKind(a.a) != create {
			s.session.operations++
		}
		return s.begin(operationKind(a.a), a.b, a.c, a.kind == beginsInOutage)
	case steps:
		return s.step(int(a.a), false, false)
	case loses:
		return s.step(int(a.a), true, false)
	case misses:
		return s.step(int(a.a), true, true)
	case delivers, unanswers, repeats, drops, gives:
		return s.carry(a)
	case forgets:
		for n := range s.session.ids {
			// Tombstones are not in the local cache itself.
			if c := s.slotOf(a.a, uint8(n)); !s.policy.Local || c.state == Filled {
				*c = cached{}
			}
		}
		s.redisLied()
	case replays:
		v := &s.session.ids[a.b]
		v.slots[0] = cached{state: Filled, entry: v.copies[a.a], until: forever}
		s.redisLied()
	}
	return nil
}
