package coherence

import (
	"math/rand/v2"
	"slices"
	"time"
)

// fleet is the large model of the simulation: instances with clocks of their
// own, sessions that they share, Postgres and Redis.
type fleet struct {
	*scope
	rand      *rand.Rand
	at        moment
	instances []instance
	sessions  []session
	backup    [][ids]cached // an older copy of Redis
	sleeper   []bool        // instances that sleep; the others have their wall clocks set
	pace      moment        // of time
	hostility int           // probability of a fault where one is possible, in parts of 32
	list      []action
	trace     func(format string, args ...any)
}

// newFleet creates a model from a seed, which determines everything in it.
func newFleet(seed uint64, d decisions, c conduct) *fleet {
	r := rand.New(rand.NewPCG(seed, 0x636f686572656e63))
	sc := &scope{
		decisions: d, conduct: c, allowed: all,
		kinds: []operationKind{load, load, load, save, touch, rotate, revoke, revokeAll},
	}
	sc.instances = 2 + r.IntN(4)
	sc.writers = sc.instances
	sc.clockError = maxGap
	if r.IntN(12) > 0 {
		sc.policy.Freshness = time.Duration(1+r.Int64N(60)) * time.Second
		if r.IntN(4) == 0 {
			sc.policy.Grace = time.Duration(
				r.Int64N(int64(2*sc.policy.Freshness/time.Millisecond))) * time.Millisecond
		}
	}
	if r.IntN(3) == 0 {
		sc.policy.Local = true
		sc.instances = min(sc.instances, processes)
		sc.writers = sc.instances
	}
	f := &fleet{
		scope: sc, rand: r, at: 1000, sessions: make([]session, 1+r.IntN(50)), hostility: r.IntN(8),
		trace: func(string, ...any) {},
	}
	fresh := moment(max(sc.policy.Freshness, 5*time.Second).Milliseconds())
	sc.lifetime = fresh * moment(1+r.IntN(8)) / 2
	f.pace = max(1, fresh/moment(8*len(f.sessions)))
	f.backup = make([][ids]cached, len(f.sessions))
	for range sc.instances {
		skew := time.Duration(r.Int64N(int64(4*time.Second))) - 2*time.Second
		in := instance{
			mono: time.Duration(r.Int64N(int64(time.Hour))),
			wall: time.Duration(f.at)*time.Millisecond + skew, ppm: int32(r.IntN(1999) - 999),
		}
		f.instances = append(f.instances, in)
		f.sleeper = append(f.sleeper, r.IntN(2) == 0)
	}
	return f
}

func (f *fleet) stage(n int) *stage {
	return &stage{scope: f.scope, at: f.at, instances: f.instances, session: &f.sessions[n]}
}

// run takes a number of steps, or stops at a violation.
func (f *fleet) run(steps int) (int, error) {
	for n := range steps {
		if err := f.step(); err != nil {
			return n + 1, err
		}
	}
	return steps, nil
}

func (f *fleet) step() error {
	switch r := f.rand.IntN(256); {
	case r < 64:
		f.pass(-1)
		return nil
	case r < 64+f.hostility:
		return f.disturb()
	}
	n := f.rand.IntN(len(f.sessions))
	s := f.stage(n)
	if s.quiet() && f.sessions[n] != (session{}) {
		f.sessions[n] = session{} // ended: another takes its place
		f.trace("%v session %d: another", f.at, n)
		return nil
	}
	f.list = s.enabled(f.list[:0])
	if f.rand.IntN(32) >= f.hostility {
		f.list = slices.DeleteFunc(f.list, action.fault)
	}
	if len(f.list) == 0 {
		return nil
	}
	a := f.list[f.rand.IntN(len(f.list))]
	if a.kind <= beginsInOutage && operationKind(a.a) >= rotate && f.rand.IntN(3) > 0 {
		return nil // sessions would be too short-lived
	}
	f.trace("%v session %d: %v", f.at, n, a)
	return s.apply(a)
}

// pass lets time pass: mostly little, sometimes much.
func (f *fleet) pass(suspended int) {
	d := 1 + moment(f.rand.Int32N(int32(f.pace)))
	switch f.rand.IntN(64) {
	case 0:
		d *= moment(len(f.sessions)) * 8
	case 1, 2, 3:
		d *= 16
	}
	if suspended >= 0 && f.rand.IntN(2) == 0 {
		d = 1 + moment(f.rand.Int32N(400)) // about as much as goes unnoticed
	}
	// A load's snapshot follows its now() within the margin. A save's commit
	// need not.
	for n := range f.sessions {
		for k := range f.sessions[n].ops {
			if o := &f.sessions[n].ops[k]; o.kind == load && o.await == toExecute &&
				f.at+d >= o.begun.after(margin) {
				_ = f.stage(n).step(k, false, false) // a snapshot violates nothing
			}
		}
	}
	f.at += d
	advance(f.instances, d, suspended)
	f.trace("%v time passes, asleep %d", f.at, suspended)
}

// disturb is a fault that concerns several sessions.
func (f *fleet) disturb() error {
	i := f.rand.IntN(len(f.instances))
	fault := f.rand.IntN(6)
	if f.policy.Local && fault >= 1 && fault <= 3 {
		fault = 0 // there is no Redis
	}
	switch fault {
	case 0:
		f.trace("%v the cache forgets", f.at)
		for n := range f.sessions {
			if err := f.stage(n).apply(action{kind: forgets, a: uint8(i)}); err != nil {
				return err
			}
		}
	case 1:
		f.trace("%v backup", f.at)
		for n := range f.sessions {
			for id := range f.sessions[n].ids {
				f.backup[n][id] = f.sessions[n].ids[id].slots[0]
			}
		}
	case 2:
		f.trace("%v Redis is rolled back", f.at)
		for n := range f.sessions {
			s := f.stage(n)
			for id := range s.session.ids {
				c := &s.session.ids[id].slots[0]
				if s.session.ids[id].row != (row{}) && c.until != f.backup[n][id].until {
					*c = f.backup[n][id]
				}
			}
			s.redisLied()
		}
	case 3:
		n, id, c := f.rand.IntN(len(f.sessions)), f.rand.IntN(ids), f.rand.IntN(2)
		if s := f.stage(n); s.session.ids[id].copies[c] != (entry{}) {
			f.trace("%v session %d: replay of copy %d of id %d", f.at, n, c, id)
			return s.apply(action{kind: replays, a: uint8(c), b: uint8(id)})
		}
	case 4:
		f.trace("%v crash of instance %d", f.at, i)
		for n := range f.sessions {
			f.stage(n).crash(uint8(i))
		}
		f.instances[i].restart()
	case 5:
		if f.sleeper[i] {
			f.pass(i)
			return nil
		}
		d := time.Duration(f.rand.Int64N(int64(4*time.Minute))) - 2*time.Minute
		f.instances[i].wall += d
		f.trace("%v wall clock of instance %d set by %v", f.at, i, d)
	}
	return nil
}
