package coherence

import (
	"fmt"
	"slices"
)

// action is one thing that can happen next. Its fields mean what its kind says.
type action struct {
	kind    actionKind
	a, b, c uint8
}

type actionKind uint8

const (
	begins    actionKind = iota // operation a of instance b on id c
	beginsOff                   // the same by an instance that takes Postgres to be away
	steps                       // operation a goes on
	loses                       // operation a goes on, and the answer is lost
	misses                      // operation a goes on, and its question is lost
	delivers                    // message a arrives and is answered
	unanswers                   // message a arrives and its answer is lost
	repeats                     // message a arrives and will arrive again; its answer is lost
	drops                       // message a is lost
	gives                       // whoever waits for message a gives up; it is still under way
	forgets                     // Redis loses what it has
	replays                     // an attacker, or an older copy, puts copy a of id b back, for ever
	crashes                     // instance a
	ticks                       // time passes
	sleeps                      // time passes while the machine of instance a sleeps
	sets                        // the wall clock of instance a is set forward (b = 1) or back
)

var (
	actionNames = [...]string{
		"begin", "begin, Postgres away", "step", "step, answer lost", "step, question lost", "deliver", "deliver, answer lost", "deliver one of two",
		"drop", "give up waiting", "Redis forgets", "Redis replays", "crash", "tick", "tick, asleep", "wall clock set",
	}
	operationNames = [...]string{"idle", "create", "load", "save", "touch", "rotate", "revoke", "revoke all"}
)

func (a action) String() string {
	if a.kind <= beginsOff {
		return fmt.Sprintf("%s: %s by instance %d on id %d", actionNames[a.kind], operationNames[a.a], a.b, a.c)
	}
	return fmt.Sprintf("%s (%d, %d)", actionNames[a.kind], a.a, a.b)
}

// fault says whether an action is one that a perfect world would not see.
func (a action) fault() bool {
	switch a.kind {
	case begins, steps, delivers, ticks:
		return false
	}
	return true
}

// urgent is the await at which a fused operation does not wait: a load's question to Redis, its judgement and its question to Postgres are taken at one moment, which only
// gives it less time to be overtaken after its start; a reply of Postgres to a writer comes at once, since the message that follows it may still be late.
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

// enabled appends what can happen to the session next.
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
		if !faults {
			continue
		}
		list = s.allow(list, action{kind: drops, a: uint8(n)}, action{kind: repeats, a: uint8(n)})
		if m.op >= 0 {
			list = s.allow(list, action{kind: unanswers, a: uint8(n)}, action{kind: gives, a: uint8(n)})
		}
	}
	return s.beginnings(list)
}

// allow appends those of the faults that the scope has.
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
	switch o.await {
	case toGet, toReply:
		list = s.allow(list, action{kind: loses, a: uint8(n)})
	case toExecute:
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
				list = append(list, action{kind: beginsOff, a: uint8(load), b: i, c: id})
			}
		}
		if first := &s.session.ids[0]; first.row == (row{}) && i == 0 && s.session.ops == [inFlight]operation{} && !first.unaware {
			list = append(list, action{kind: begins, a: uint8(create), b: i})
		}
	}
	return list
}

// apply makes an action of the session happen.
func (s *stage) apply(a action) error {
	if a.fault() {
		s.session.faults++
	}
	switch a.kind {
	case begins, beginsOff:
		if operationKind(a.a) != create {
			s.session.operations++
		}
		return s.begin(operationKind(a.a), a.b, a.c, a.kind == beginsOff)
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
			s.session.ids[n].slot = cached{}
		}
		s.redisLied()
	case replays:
		v := &s.session.ids[a.b]
		v.slot = cached{state: Filled, entry: v.copies[a.a], until: forever}
		s.redisLied()
	}
	return nil
}
