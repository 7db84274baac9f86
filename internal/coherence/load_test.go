package coherence

import (
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	p := Policy{Freshness: 30 * time.Second}
	now := Bound{Time: 10_000_000, Known: true}
	e := Entry{Version: 3, ValidatedAt: 10_000_000, ExpiresAt: 1 << 50}
	old := Entry{Version: 3, ValidatedAt: -60_000_000, ExpiresAt: 1 << 50}
	tests := map[string]struct {
		answer     CacheAnswer
		entry      Entry
		minVersion int64
		step       Step
		verdict    Verdict
		fills      bool
	}{
		"hit":                             {Hit, e, 3, ServeCache, Fresh, false},
		"a hit that is stale":             {Hit, old, 0, AskStore, Stale, true},
		"a hit below the minimum version": {Hit, e, 4, AskStore, BelowMinimum, true},
		"miss":                            {Miss, Entry{}, 0, AskStore, Stale, true},
		"a tombstone is a miss":           {FoundTombstone, Entry{}, 0, AskStore, Stale, false},
		"no answer is never filled":       {Timeout, Entry{}, 0, AskStore, Stale, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := Load{Policy: p, MinVersion: test.minVersion}
			if got := l.Start(); got != AskCache {
				t.Fatalf("start: %d", got)
			}
			if step, verdict := l.CacheAnswered(test.answer, test.entry, now); step != test.step ||
				verdict != test.verdict {
				t.Errorf("got step %d, verdict %d", step, verdict)
			}
			if got := l.StoreAnswered(e, true, now) > 0; got != test.fills {
				t.Errorf("fills %t, want %t", got, test.fills)
			}
			if got := l.StoreAnswered(e, false, now); got != 0 {
				t.Errorf("nothing was found, and it is put into the cache for %v", got)
			}
		})
	}
	strict := Load{}
	if got := strict.Start(); got != AskStore {
		t.Errorf("strict: start with %d", got)
	}
	if got := strict.StoreAnswered(e, true, now); got != 0 {
		t.Errorf("strict: filled for %v", got)
	}
}

func TestSlot(t *testing.T) {
	e := func(version int64, validated Time) Entry {
		return Entry{Version: version, ValidatedAt: validated}
	}
	for _, test := range []struct {
		name  string
		stand Slot
		fill  Entry
		put   bool
	}{
		{"empty", Slot{}, e(1, 1), true},
		{"a higher version", Slot{Filled, e(1, 9)}, e(2, 1), true},
		{"a lower version, read later", Slot{Filled, e(2, 1)}, e(1, 9), false},
		{"the same, read later", Slot{Filled, e(2, 1)}, e(2, 2), true},
		{"the same", Slot{Filled, e(2, 2)}, e(2, 2), false},
		{"the same, read earlier", Slot{Filled, e(2, 2)}, e(2, 1), false},
		{"a tombstone", Slot{State: Tombstone}, e(9, 9), false},
	} {
		s := test.stand
		if got := s.Fill(test.fill); got != test.put {
			t.Errorf("%s: put in %t", test.name, got)
		}
		want := test.stand
		if test.put {
			want = Slot{Filled, test.fill}
		}
		if s != want {
			t.Errorf("%s: %+v stands, want %+v", test.name, s, want)
		}
		s.PutTombstone()
		if answer, _ := s.Get(); answer != FoundTombstone {
			t.Errorf("%s, after a tombstone: answer %d", test.name, answer)
		}
	}
	if answer, got := (&Slot{Filled, e(1, 1)}).Get(); answer != Hit || got != e(1, 1) {
		t.Errorf("got %d, %+v", answer, got)
	}
	if answer, _ := (&Slot{}).Get(); answer != Miss {
		t.Errorf("empty: answer %d", answer)
	}
}
