package coherence

import (
	"slices"
	"time"
)

// The faults, by what they befall.
var (
	network = []actionKind{loses, misses, unanswers, repeats, drops, gives}
	memory  = []actionKind{drops, loses, misses, forgets, replays}
	clocks  = []actionKind{drops, crashes, sleeps, sets}
	all     = []actionKind{loses, misses, unanswers, repeats, drops, gives, forgets, replays, crashes, sleeps, sets}
)

// small is a scope for the search. F is two ticks and a half: an entry read at one tick is fresh at the next two, and two and a half leave the bound of the clock its drift.
// Loads are by both instances, everything else by the first: which instance does it matters only to its clock.
func small(operations, faults int32, allowed []actionKind, kinds ...operationKind) *scope {
	return &scope{
		decisions:  production(),
		conduct:    conduct{lost: OutcomeUnknown},
		policy:     Policy{Freshness: 25 * time.Second},
		lifetime:   4 * tick,
		instances:  2,
		writers:    1,
		operations: operations,
		faults:     faults,
		allowed:    allowed,
		kinds:      kinds,
		horizon:    5 * tick,
		fused:      true,
		prompt:     slices.Contains(kinds, save),
	}
}

// split is a scope in which no step is taken together with another.
func (s *scope) split() *scope {
	s.fused = false
	return s
}
