package coherence

import "testing"

// TestExceptions shows that each exception and assumption that ARCHITECTURE.md names is needed: without it the search breaks the invariant.
func TestExceptions(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing here is concurrent")
	}
	naive := func(s *scope) *scope { s.naive = true; return s }
	late := func(s *scope) *scope { s.prompt = false; return s }
	tests := map[string]*scope{
		"a revoke that Redis acknowledged and then lost":              naive(small(3, 1, []actionKind{forgets, replays}, load, revoke)),
		"a save that Redis acknowledged and then lost":                naive(small(3, 1, []actionKind{forgets, replays}, load, save)),
		"a load whose snapshot follows its now() by more than margin": late(small(3, 0, nil, load, save).split()),
		"a machine whose clocks all stand still while it is paused":   trusting(blind(small(3, 2, []actionKind{drops, sleeps}, load, revoke))),
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

func trusting(s *scope) *scope { s.trusting = true; return s }

// blind lets an instance sleep with a wall clock that stands still as well.
func blind(s *scope) *scope {
	s.paused = true
	return s
}
