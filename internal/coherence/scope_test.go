package coherence

import (
	"slices"
	"time"
)

// The faults, by what they concern.
var (
	network = []actionKind{loses, misses, unanswers, repeats, drops, gives}
	memory  = []actionKind{drops, loses, misses, forgets, replays}
	clocks  = []actionKind{drops, crashes, sleeps, sets}
	// of instances with local caches
	process = []actionKind{loses, misses, forgets, crashes, sleeps, sets}
	all     = []actionKind{
		loses, misses, unanswers, repeats, drops, gives, forgets, replays, crashes, sleeps, sets,
	}
)

// small returns a scope for the search. F is two and a half ticks: an entry
// read at one tick is fresh at the next two, and the half leaves room for
// drift. Both instances load; only the first does anything else, since another
// instance differs only in its clock.
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

// near returns a scope with a local cache in each instance.
func near(operations, faults int32, allowed []actionKind, kinds ...operationKind) *scope {
	s := small(operations, faults, allowed, kinds...)
	s.policy.Local = true
	return s
}

// napping returns a scope with local caches in which a machine sleeps for a
// moment, so that its bound of Postgres's clock is behind. F is a little more
// than two ticks.
func napping(operations int32, kinds ...operationKind) *scope {
	s := near(operations, 1, []actionKind{naps}, kinds...)
	s.policy.Freshness = 20_100 * time.Millisecond
	s.clockError = maxGap
	return s
}

// split turns a scope into one without fused steps.
func (s *scope) split() *scope {
	s.fused = false
	return s
}
