package coherence

import "testing"

// TestExceptions shows that each exception and assumption of the package doc is
// needed: without it the search breaks the invariant.
func TestExceptions(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing here is concurrent")
	}
	naive := func(s *scope) *scope { s.naive = true; return s }
	tests := map[string]*scope{
		"a revoke that Redis acknowledged and then lost": naive(
			small(3, 1, []actionKind{forgets, replays}, load, revoke)),
		"a save that Redis acknowledged and then lost": naive(
			small(3, 1, []actionKind{forgets, replays}, load, save)),
		"a load whose snapshot follows its now() by more than margin": late(),
		"a machine whose clocks all stand still while it is paused": trusting(
			blind(small(3, 2, []actionKind{drops, sleeps}, load, revoke))),
	}
	for name, s := range tests {
		f := search(s, 1_500_000)
		if f.err == nil {
			t.Errorf("not needed, as far as %d states show: %s", f.states, name)
			continue
		}
		t.Logf("needed: %s: %d states, %d actions: %v", name, f.states, len(f.trace), f.err)
	}
}

// late returns a scope with a save and a load whose transactions have begun,
// the load's later. The save waits for a lock and the load for its snapshot.
func late() *scope {
	s := small(4, 0, nil, load, save).split()
	s.prompt = false
	s.kinds = []operationKind{load}
	s.lifetime = 8 * tick
	s.prefix = []action{
		{kind: begins, a: uint8(save)},
		{kind: steps},
		{kind: ticks},
		{kind: begins, a: uint8(load)},
		{kind: steps, a: 1},
		{kind: steps, a: 1},
		{kind: steps, a: 1},
		{kind: ticks},
	}
	return s
}

func trusting(s *scope) *scope { s.trusting = true; return s }

// blind lets an instance sleep with a stopped wall clock.
func blind(s *scope) *scope {
	s.paused = true
	return s
}
