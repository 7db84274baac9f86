package coherence

import (
	"fmt"
	"testing"
	"time"
)

// emergency is the model of an outage. Process P loses Postgres and gets it
// back; the other instances keep it. There are two sessions: old is in
// Postgres, P created made in memory. It is comparable.
type emergency struct {
	outage      Outage
	unavailable bool // Postgres, for P
	at          int8
	moves       int8

	old, made    place
	cache        SlotState // for old
	validated    int8
	journal      journal // about old
	kept         int8    // how long the journal is kept
	acknowledged bool    // the creation of made was

	// The progress of made towards Postgres.
	memory    bool    // in P's memory
	put       bool    // P created its row under a temporary id, and calls wait
	temporary bool    // the row under the temporary id exists
	sent      bool    // P has sent the move from there to its own id, and got no reply
	moving    int8    // moves in flight
	written   journal // about made, while it was sent
	ending    bool    // one of the two rows was deleted
	removed   bool    // another instance revoked all sessions of the user before the move
	dead      bool    // P has crashed
}

type place struct{ row, promised bool } // promised: a revoke was acknowledged

type journal uint8

const (
	blank journal = iota
	written
	replayed // in Postgres too
)

// rules is what the outage store must do.
type rules struct {
	refuses   func(*Outage) bool
	journals  bool // a revoke goes into the journal
	remembers bool // the journal counts until no entry from before the replay is fresh
	// a session moves from a temporary row, which exists once, and is not
	// created under its id
	stages   bool
	resends  bool // a move without a reply is repeated from the same row, not from memory
	holds    bool // a session that was sent is not served from memory
	orders   bool // of a session that was sent, the temporary row is deleted first
	restores bool // sessions in memory are not dropped
}

func proper() rules {
	return rules{
		refuses: (*Outage).Refuses, journals: true, remembers: true, stages: true, resends: true,
		holds: true, orders: true, restores: true,
	}
}

// outageFresh is F in steps of time.
const outageFresh = 2

// next calls visit with every possible next state.
func (e emergency) next(r rules, visit func(emergency, string, error)) {
	do := func(what string, change func(*emergency) error) {
		n := e
		n.moves++
		err := change(&n)
		visit(n, what, err)
	}
	ok := func(change func(*emergency)) func(*emergency) error {
		return func(n *emergency) error { change(n); return nil }
	}
	if e.at < 4 {
		do("time passes", ok(func(n *emergency) { n.at++ }))
	}
	e.others(do, ok)
	e.arrivals(r, do, ok)
	if e.dead {
		return
	}
	do("P dies", ok(func(n *emergency) { n.dead = true }))
	do("Postgres goes or comes", ok(func(n *emergency) { n.unavailable = !n.unavailable }))
	if e.unavailable && e.outage.Mode != Emergency && e.outage.Mode != Replaying {
		do("P notices", func(n *emergency) error {
			for i := range outageFailures {
				if n.outage.Failed(time.Duration(i) * outageAfter) {
					return nil
				}
			}
			return violated("an outage was not noticed")
		})
	}
	if !e.unavailable && e.outage.Mode == Emergency {
		do("P probes", ok(func(n *emergency) { n.outage.Probed() }))
	}
	if e.outage.Mode == Emergency && !e.acknowledged {
		do("made in memory", ok(func(n *emergency) { n.memory, n.acknowledged = true, true }))
	}
	e.revokes(r, do)
	do("P loads old", func(n *emergency) error { return n.loadOld(r) })
	do("P loads made", func(n *emergency) error { return n.loadMade(r) })
	e.recovers(r, do, ok)
}

type (
	doing    func(what string, change func(*emergency) error)
	harmless func(change func(*emergency)) func(*emergency) error
)

// others is what the other instances and Redis do.
func (e emergency) others(do doing, ok harmless) {
	if e.old.row && e.cache != Tombstone {
		do("another fills old", ok(func(n *emergency) { n.cache, n.validated = Filled, n.at }))
	}
	if e.cache != Empty {
		do("Redis forgets", ok(func(n *emergency) { n.cache, n.validated = Empty, 0 }))
	}
	if e.made.row {
		do("another revokes made", ok(func(n *emergency) { n.made = place{promised: true} }))
	}
	if e.temporary || e.made.row {
		do("another revokes all of the user", ok(func(n *emergency) {
			n.removed = !n.made.row
			n.made = place{promised: n.made.row || n.made.promised}
			n.temporary = false
		}))
	}
}

func (e emergency) revokes(r rules, do doing) {
	if e.outage.Mode == Emergency && e.journal == blank && !e.old.promised {
		for _, reached := range []bool{true, false} {
			do("P revokes old", func(n *emergency) error {
				if r.journals {
					n.journal = written
				}
				n.old.promised = true
				if reached {
					n.cache, n.validated = Tombstone, 0
				}
				if p := (Policy{Freshness: time.Second}).Revoked(Journalled, reached,
					true); p.Committed {
					return violated("a journalled revoke says that it was committed")
				}
				return nil
			})
		}
	}
	if e.memory && !e.put {
		do("P revokes made", func(n *emergency) error {
			n.memory, n.made = false, place{promised: true}
			return nil
		})
	}
	if e.sent && e.outage.Mode == Emergency && e.written == blank {
		do("P revokes made, sent", func(n *emergency) error {
			n.written, n.memory = written, false
			return nil
		})
	}
	if e.sent && e.outage.Mode == Restoring && !e.unavailable {
		e.ends(r, do)
	}
}

func (e *emergency) loadOld(r rules) error {
	fresh := e.cache == Filled && e.at <= e.validated+outageFresh
	switch {
	case e.journal != blank:
		return nil // ended
	case fresh && e.old.promised:
		return violated("a journalled revoke was forgotten: served from the cache")
	case fresh, r.refuses(&e.outage), e.unavailable:
		return nil
	case e.old.row && e.old.promised:
		return violated("a journalled revoke was forgotten: served from Postgres")
	}
	return nil
}

func (e *emergency) loadMade(r rules) error {
	switch {
	case e.written != blank:
		return nil // ended
	case e.memory && !e.put:
		if e.made.promised {
			return violated("a session was served from memory after it was revoked in Postgres")
		}
		return nil
	case e.put, r.refuses(&e.outage), e.unavailable:
		return nil
	case e.journal == written:
		return violated("Postgres served before it knew of a journalled revoke")
	case e.made.row && e.made.promised:
		return violated("a session made in memory was revived")
	}
	return nil
}

// recovers is P's recovery.
func (e emergency) recovers(r rules, do doing, ok harmless) {
	if e.journal == replayed && e.at > e.kept {
		do("the journal is cleared", ok(func(n *emergency) { n.journal, n.kept = blank, 0 }))
	}
	if e.outage.Mode == Replaying && !e.unavailable {
		if e.journal == written {
			do("replayed", ok(func(n *emergency) {
				n.old.row, n.journal, n.kept = false, replayed, n.at+outageFresh
				if !r.remembers {
					n.journal, n.kept = blank, 0
				}
			}))
			do("replayed, reply lost", ok(func(n *emergency) { n.old.row = false }))
		} else {
			do("all replayed", ok(func(n *emergency) { n.outage.Replayed() }))
		}
	}
	e.restores(r, do, ok)
}

func outageSearch(r rules, moves int8) found {
	first := emergency{old: place{row: true}}
	type step struct {
		from emergency
		what string
	}
	var (
		known = map[emergency]step{first: {}}
		level = []emergency{first}
		f     = found{states: 1}
	)
	for ; len(level) > 0; f.depth++ {
		var next []emergency
		for _, e := range level {
			if e.moves >= moves {
				continue
			}
			e.next(r, func(n emergency, what string, err error) {
				f.steps++
				if err != nil && f.err == nil {
					path := what
					for at := e; at != first; at = known[at].from {
						path = known[at].what + "; " + path
					}
					f.err = fmt.Errorf("%w, after: %s", err, path)
				}
				n.moves = 0
				if _, ok := known[n]; !ok {
					known[n] = step{e, what}
					f.states++
					next = append(next, n)
				}
			})
			if f.err != nil {
				return f
			}
		}
		level = next
	}
	return f
}

// TestEmergency visits every state of an outage and its recovery.
func TestEmergency(t *testing.T) { outageSearch(proper(), 127).report(t) }

func TestEmergencyMutants(t *testing.T) {
	mutants := map[string]func(r *rules){
		"emergency without a journal": func(r *rules) {
			r.journals = false
		},
		"Postgres serves before the replay": func(r *rules) {
			r.refuses = func(o *Outage) bool { return o.Mode == Emergency }
		},
		"Postgres serves in an outage": func(r *rules) {
			r.refuses = func(*Outage) bool { return false }
		},
		"the journal is forgotten at the replay": func(r *rules) {
			r.remembers = false
		},
		"a session is created under its own id": func(r *rules) { r.stages = false },
		"restore again from memory, without asking": func(r *rules) {
			r.resends = false
		},
		"the session is ended before what it would come from": func(r *rules) { r.orders = false },
		"memory is dropped at the recovery": func(r *rules) {
			r.restores = false
		},
		"a session is served from memory while it is restored": func(r *rules) { r.holds = false },
	}
	for name, mutate := range mutants {
		r := proper()
		mutate(&r)
		if f := outageSearch(r, 127); f.err != nil {
			t.Logf("caught      %s: by the search after %d states: %v", name, f.states, f.err)
		} else {
			t.Errorf("NOT CAUGHT  %s, after %d states", name, f.states)
		}
	}
}
