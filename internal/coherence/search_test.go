package coherence

import (
	"hash/maphash"
	"slices"
	"testing"
	"time"
)

// world is the whole state of a search. It is comparable, so that a state is
// recognized.
type world struct {
	at        moment
	instances [2]instance
	session   session
}

// genesis returns the first state: both instances have a sample of Postgres's
// clock, and the wall clock of the second is two ticks behind.
func genesis(sc *scope) world {
	w := world{at: tick}
	for i := range w.instances {
		in := &w.instances[i]
		in.mono = time.Duration(i+1) * time.Hour
		in.wall = time.Duration(w.at)*time.Millisecond - time.Duration(i)*2*time.Duration(
			tick)*time.Millisecond
		sc.observe(&in.clock, w.at.time(), in.instant(), in.instant())
		in.sampled = true
	}
	if !slices.Contains(sc.kinds, create) {
		w.session.ids[0].row = row{exists: true, version: 1, expires: w.at + sc.lifetime}
	}
	for _, a := range sc.prefix {
		if err := w.apply(sc, a); err != nil {
			panic(err)
		}
	}
	return w
}

func (w *world) stage(sc *scope) *stage {
	return &stage{scope: sc, at: w.at, instances: w.instances[:], session: &w.session}
}

// enabled appends the possible next actions.
func (w *world) enabled(sc *scope, list []action) []action {
	s := w.stage(sc)
	list = s.enabled(list)
	for n := range w.session.ops {
		if s.urgent(&w.session.ops[n]) {
			return list
		}
	}
	late := w.at >= sc.horizon
	for n := range w.session.ops {
		o := &w.session.ops[n]
		late = late || sc.prompt && o.kind == load && o.await == toExecute
	}
	if !late {
		list = append(list, action{kind: ticks})
	}
	if w.session.faults >= sc.faults {
		return list
	}
	var filled [processes]bool
	for id := range w.session.ids {
		v := &w.session.ids[id]
		for i := range v.slots {
			filled[i] = filled[i] || v.slots[i].state != Empty
		}
		for n := range v.copies {
			if v.copies[n] != (entry{}) {
				list = sc.allow(list, action{kind: replays, a: uint8(n), b: uint8(id)})
			}
		}
	}
	for i := range filled {
		if filled[i] {
			list = sc.allow(list, action{kind: forgets, a: uint8(i)})
		}
	}
	for i := range w.instances {
		in := &w.instances[i]
		if in.disturbance != stepped && !late {
			list = sc.allow(list, action{kind: sleeps, a: uint8(i)},
				action{kind: naps, a: uint8(i)})
		}
		if in.disturbance != slept {
			list = sc.allow(list, action{kind: sets, a: uint8(i)})
		}
		list = sc.allow(list, action{kind: crashes, a: uint8(i)})
	}
	return list
}

// apply performs an action.
func (w *world) apply(sc *scope, a action) error {
	s := w.stage(sc)
	if err := s.apply(a); err != nil {
		return err
	}
	in := &w.instances[min(a.a, 1)]
	switch a.kind {
	case crashes:
		s.crash(a.a)
		in.restart()
	case ticks:
		w.at += tick
		advance(w.instances[:], tick, -1)
	case sleeps:
		w.at += tick
		advance(w.instances[:], tick, int(a.a))
		if sc.paused {
			in.wall -= time.Duration(tick) * time.Millisecond
		}
	case naps:
		w.at += nap
		advance(w.instances[:], nap, int(a.a))
	case sets:
		in.disturbance = stepped
		in.wall += (2*time.Duration(a.b) - 1) * 2 * time.Duration(tick) * time.Millisecond
	}
	return nil
}

// found is the result of a search.
type found struct {
	states, steps, depth int
	err                  error
	trace                []action
	cut                  bool // the limit of states was reached
}

type origin struct {
	from uint64
	by   action
}

// search visits every reachable state, nearest first, until an invariant is
// violated.
func search(sc *scope, limit int) found {
	type node struct {
		w world
		h uint64
	}
	var (
		seed  = maphash.MakeSeed()
		first = genesis(sc)
		root  = maphash.Comparable(seed, first)
		known = map[uint64]origin{root: {}}
		level = []node{{first, root}}
		next  []node
		f     = found{states: 1}
		list  []action
	)
	for ; len(level) > 0; f.depth++ {
		for i := range level {
			list = level[i].w.enabled(sc, list[:0])
			for _, a := range list {
				w := level[i].w
				f.steps++
				if err := w.apply(sc, a); err != nil {
					f.err = err
					f.trace = []action{a}
					for h := level[i].h; h != root; h = known[h].from {
						f.trace = append([]action{known[h].by}, f.trace...)
					}
					return f
				}
				w.normalize(sc)
				h := maphash.Comparable(seed, w)
				if _, ok := known[h]; ok {
					continue
				}
				known[h] = origin{level[i].h, a}
				f.states++
				next = append(next, node{w, h})
			}
			if limit > 0 && f.states >= limit {
				f.cut = true
				return f
			}
		}
		level, next = next, level[:0]
	}
	return f
}

func (f found) report(t *testing.T) {
	t.Helper()
	t.Logf("%d distinct states, %d transitions, depth %d", f.states, f.steps, f.depth)
	if f.err == nil {
		return
	}
	for n, a := range f.trace {
		t.Logf("%3d  %v", n+1, a)
	}
	t.Errorf("%v", f.err)
}

// A scope is searched to its end, or up to a limit of states.
type searched struct {
	name  string
	scope *scope
}

var (
	ofOne = []operationKind{load, save, touch, rotate, revoke}
	ofAll = []operationKind{load, rotate, revokeAll}
)

// The scopes that take a second.
func TestSearch(t *testing.T) {
	exhaust(t, []searched{
		{"a creation and two of everything, no faults", small(2, 0, nil, append(ofOne, create)...)},
		{"two loads and revokes, a fault of the clocks", small(2, 1, clocks, load, revoke)},
		{
			"two loads, rotations and revokes of all, two faults of the network",
			small(2, 2, network, ofAll...),
		},
		{
			"local caches: two loads and revokes, a fault",
			near(2, 1, process, load, revoke, revokeAll),
		},
		{"local caches: two loads and saves, no faults", near(2, 0, nil, load, save)},
		{
			"local caches: two loads, saves and revokes of all, an unnoticed sleep",
			napping(2, load, save, revokeAll),
		},
	})
}

// The scopes with more operations, faults and await points.
//
// Slow: some million states.
func TestSlowSearch(t *testing.T) {
	if raceEnabled {
		t.Skip("run without the race detector: nothing here is concurrent, and it would take " +
			"minutes")
	}
	exhaust(t, []searched{
		{
			"two loads and revokes, two faults of the network, every await point",
			small(2, 2, network, load, revoke).split(),
		},
		{
			"two loads and saves, a fault of the network, every await point",
			small(2, 1, network, load, save).split(),
		},
		{"two of everything, two faults of the network", small(2, 2, network, ofOne...)},
		{"two of everything, two faults of Redis", small(2, 2, memory, ofOne...)},
		{"three loads, rotations and revokes of all, no faults", small(3, 0, nil, ofAll...)},
		{"three loads and revokes, no faults", small(3, 0, nil, load, revoke)},
		{"three loads and saves, no faults", small(3, 0, nil, load, save)},
		{"local caches: two of everything, a fault", near(2, 1, process, ofOne...)},
		{
			"local caches: three loads and revokes, no faults",
			near(3, 0, nil, load, revoke, revokeAll),
		},
		{"local caches: three loads and saves, no faults", near(3, 0, nil, load, save)},
	})
}

// The scopes of `make simulate`.
//
// Slow: minutes each, so it is skipped unless -large asks for it.
func TestSlowLargeSearch(t *testing.T) {
	if !*largeFlag {
		t.Skip("-large searches the large scopes")
	}
	for _, s := range []searched{
		{"three loads and revokes, two faults of the network", small(3, 2, network, load, revoke)},
		{"three loads and revokes, two faults of Redis", small(3, 2, memory, load, revoke)},
		{"three loads and revokes, two faults of the clocks", small(3, 2, clocks, load, revoke)},
		{"three loads and saves, two faults of the network", small(3, 2, network, load, save)},
		{"three loads and touches, a fault of Redis", small(3, 1, memory, load, touch)},
		{"three of everything, no faults", small(3, 0, nil, ofOne...)},
		{
			"two of everything, a fault of any kind, every await point",
			small(2, 1, all, ofOne...).split(),
		},
		{
			"local caches: two of everything, a fault, every await point",
			near(2, 1, process, append(slices.Clone(ofOne), revokeAll)...).split(),
		},
		{
			"local caches: three loads and revokes, a fault",
			near(3, 1, process, load, revoke, revokeAll),
		},
		{"local caches: three loads and saves, a fault", near(3, 1, process, load, save)},
	} {
		t.Run(s.name, func(t *testing.T) {
			f := search(s.scope, *statesFlag)
			f.report(t)
			if f.cut {
				t.Logf("NOT EXHAUSTED: stopped at %d states; everything nearer than %d actions "+
					"was seen", f.states, f.depth)
			}
		})
	}
}

// exhaust fails for a scope with more states than an ordinary run can visit.
func exhaust(t *testing.T, scopes []searched) {
	t.Helper()
	total := 0
	for _, s := range scopes {
		t.Run(s.name, func(t *testing.T) {
			f := search(s.scope, 1_000_000)
			total += f.states
			f.report(t)
			if f.cut {
				t.Errorf("stopped at %d states, %d actions deep", f.states, f.depth)
			}
		})
	}
	t.Logf("%d distinct states in all", total)
}
