package coherence

import (
	"testing"
	"time"
)

// exposed is the model of a promise about a user: two sessions of the user,
// their entries in the cache, the revoking process and another one. It is
// comparable.
type exposed struct {
	at    int8
	rows  [2]bool
	cache [2]exposedEntry
	// What the process remembers of ended sessions.
	ids  [2]int8 // until when; 0 for nothing
	user Watermark
	// The promise: from then on no other process serves a session of the user,
	// and this process serves none at once.
	promised bool
	from     int8
	// The promise about one session ended by its id.
	dead     [2]bool
	deadFrom [2]int8
	renewed  bool
	lost     bool // the reply of a revoke was lost
}

type exposedEntry struct {
	state     SlotState
	validated int8
}

// exposedFor is F and the allowance in ticks, in a policy where a tick is a
// second.
const exposedFor = 2

var exposedPolicy = Policy{Freshness: exposedFor*time.Second - Allowance}

// keeping is what the cached store must do.
type keeping struct {
	revoked    func(p Policy, o Outcome, acknowledged, one bool) Revocation
	keepsIDs   bool // ids whose tombstones were not acknowledged are remembered here
	keepsUsers bool // so is the user of a revoke
	// What can happen before the revoke of the user.
	lost, another, renewal, byID bool
}

func properKeeping() keeping {
	return keeping{
		revoked: Policy.Revoked, keepsIDs: true, keepsUsers: true, lost: true, another: true,
		renewal: true, byID: true,
	}
}

// end ends these sessions here and, if reached is set, stores their tombstones.
func (e *exposed) end(k keeping, ids []int, reached bool) {
	for _, id := range ids {
		e.rows[id] = false
		if reached {
			e.cache[id] = exposedEntry{state: Tombstone}
		} else if k.keepsIDs {
			e.ids[id] = e.at + exposedFor
		}
	}
}

func (e exposed) next(k keeping, visit func(exposed, string, error)) {
	do := func(what string, change func(*exposed)) {
		n := e
		change(&n)
		visit(n, what, n.holds(k))
	}
	if e.at < 2*exposedFor+1 {
		do("time passes", func(n *exposed) { n.at++ })
	}
	for id := range e.rows {
		if e.rows[id] && e.cache[id].state != Tombstone {
			do("a load fills", func(n *exposed) { n.cache[id] = exposedEntry{Filled, n.at} })
		}
	}
	if e.rows[0] && !e.renewed && k.renewal {
		for _, reached := range []bool{true, false} {
			do("the session is renewed",
				func(n *exposed) {
					n.renewed = true
					n.end(k, []int{0}, reached)
					n.rows[1] = true
				})
		}
	}
	for id := range e.rows {
		if !e.rows[id] || e.promised || !k.byID {
			continue
		}
		for _, reached := range []bool{true, false} {
			do("the session is ended by its id", func(n *exposed) {
				n.end(k, []int{id}, reached)
				r := k.revoked(exposedPolicy, Committed, reached, true)
				n.dead[id], n.deadFrom[id] = true, n.at+inTicks(r.MaxExposure)
			})
		}
	}
	if !e.promised {
		e.revokes(k, do)
	}
}

// inSeconds returns the time of a tick, from one on: 0 is no watermark.
func inSeconds(at int8) Time { return Time(at+1) * 1_000_000 }

func inTicks(d time.Duration) int8 { return int8((d + time.Second - 1) / time.Second) }

func (e exposed) revokes(k keeping, do func(string, func(*exposed))) {
	var alive []int
	for id := range e.rows {
		if e.rows[id] {
			alive = append(alive, id)
		}
	}
	if len(alive) > 0 && k.another {
		do("another instance ends the sessions, and its tombstones are lost",
			func(n *exposed) { n.rows = [2]bool{} })
	}
	if len(alive) > 0 && !e.lost && k.lost {
		do("the user is revoked, and the answer is lost",
			func(n *exposed) { n.rows, n.lost = [2]bool{}, true })
	}
	for _, reached := range []bool{true, false} {
		do("the user is revoked", func(n *exposed) {
			n.end(k, alive, reached)
			if k.keepsUsers {
				n.user = RevokedAt(Bound{Time: inSeconds(n.at), Known: true})
			}
			r := k.revoked(exposedPolicy, Committed, reached || len(alive) == 0, false)
			n.promised, n.from = true, n.at+inTicks(r.MaxExposure)
		})
	}
}

// holds checks that no process serves a session that was promised to have
// ended.
func (e *exposed) holds(k keeping) error {
	for id, c := range e.cache {
		if c.state != Filled || e.at >= c.validated+exposedFor {
			continue // not fresh
		}
		covered := e.user.Covers(Entry{ValidatedAt: inSeconds(c.validated)})
		served := e.at >= e.ids[id] && !covered // here
		switch {
		case e.promised && e.at >= e.from:
			return violated(
				"another instance serves a session of a revoked user later than was promised")
		case e.promised && served:
			return violated("the instance that revoked a user serves a session of the user")
		case e.dead[id] && e.at >= e.deadFrom[id]:
			return violated(
				"another instance serves a session that was ended by its id later than was " +
					"promised")
		case e.dead[id] && served:
			return violated("the instance that ended a session serves it")
		}
	}
	return nil
}

func searchExposed(k keeping) found {
	first := exposed{rows: [2]bool{true, false}}
	return walk(first, func(e exposed, visit func(exposed, string, error)) { e.next(k, visit) })
}

// TestExposed visits every order of revokes of a user, renewals, lost replies
// and lost tombstones.
func TestExposed(t *testing.T) { searchExposed(properKeeping()).report(t) }

func TestExposedMutants(t *testing.T) {
	fromIDs := func(p Policy, o Outcome, acknowledged, _ bool) Revocation {
		return p.Revoked(o, acknowledged, true)
	}
	for name, mutate := range map[string]func(k *keeping){
		"a promise is made from what one call saw, after a lost answer": func(k *keeping) {
			k.revoked, k.another, k.renewal, k.byID = fromIDs, false, false, false
		},
		"a promise is made from what one call saw, after another instance": func(k *keeping) {
			k.revoked, k.lost, k.renewal, k.byID = fromIDs, false, false, false
		},
		"a promise is made from what one call saw, after a renewal": func(k *keeping) {
			k.revoked, k.lost, k.another, k.byID = fromIDs, false, false, false
		},
		"a tombstone that was not acknowledged is not kept": func(k *keeping) {
			k.keepsIDs = false
		},
		"the user of a revoke is not kept": func(k *keeping) { k.keepsUsers = false },
		"what the cache did not acknowledge counts as none here": func(k *keeping) {
			k.revoked = func(Policy, Outcome, bool, bool) Revocation {
				return Revocation{Committed: true}
			}
		},
	} {
		k := properKeeping()
		mutate(&k)
		if f := searchExposed(k); f.err != nil {
			t.Logf("caught      %s: by the search after %d states: %v", name, f.states, f.err)
		} else {
			t.Errorf("NOT CAUGHT  %s, after %d states", name, f.states)
		}
	}
}
