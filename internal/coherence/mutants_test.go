package coherence

import (
	"fmt"
	"testing"
	"time"
)

// mutant is a fault in the decisions or in how a store acts on them. The search
// or the simulation must catch it.
type mutant struct {
	name   string
	mutate func(s *scope)
	// by is the scope that is searched first; nil for the simulation.
	by func() *scope
}

func judged(change func(l Load, e Entry, now Bound) (Load, Entry, Bound)) func(s *scope) {
	return func(s *scope) {
		s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
			changed, e, now := change(*l, e, now)
			step, verdict := changed.CacheAnswered(a, e, now)
			l.fill = changed.fill
			return step, verdict
		}
	}
}

var (
	ends   = func() *scope { return small(3, 1, network, load, revoke) }
	ends2  = func() *scope { return small(3, 2, all, load, revoke) }
	clocky = func() *scope { return small(3, 2, clocks, load, revoke) }
	writes = func() *scope { return small(3, 1, network, load, save) }

	nearEnds   = func() *scope { return near(3, 1, process, load, revoke, revokeAll) }
	nearWrites = func() *scope { return near(3, 0, nil, load, save) }

	every = func() *scope { return small(3, 1, network, load, save, touch, rotate, revoke) }
)

var mutants = []mutant{
	{"fill without compare", func(s *scope) {
		s.fill = func(slot *Slot, e Entry) bool {
			if slot.State == Tombstone {
				return false
			}
			*slot = Slot{State: Filled, Entry: e}
			return true
		}
	}, writes},
	{"a tombstone is not terminal", func(s *scope) {
		s.fill = func(slot *Slot, e Entry) bool {
			if slot.State == Tombstone {
				*slot = Slot{}
			}
			return slot.Fill(e)
		}
	}, ends},
	{
		"a revoke deletes the key and leaves no tombstone", func(s *scope) {
			s.putTombstone = func(slot *Slot) { *slot = Slot{} }
		}, ends,
	},
	{
		"a tombstone's TTL below F", func(s *scope) {
			s.tombstoneTTL = func(p Policy) time.Duration { return p.Freshness / 3 }
		}, ends,
	},
	{"validated_at from the time of the fill", func(s *scope) { s.filledLate = true }, ends2},
	{"validated_at from clock_timestamp()", func(s *scope) { s.stampedLate = true }, ends2},
	{
		"no freshness check", judged(func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
			e.ValidatedAt = now.Time
			return l, e, now
		}), ends2,
	},
	{"the wall clock in place of the bound", func(s *scope) {
		s.now = func(c *Clock, at Instant) Bound {
			return Bound{Time: Time(at.Wall.Microseconds()), Known: c.known}
		}
	}, clocky},
	{"a bound that ignores suspension", func(s *scope) {
		s.now = func(c *Clock, at Instant) Bound {
			if !c.known {
				return Bound{}
			}
			return Bound{Time: bound(c.stamp, c.sent, at), Known: true}
		}
	}, clocky},
	{
		"served without a sample of the clock",
		judged(func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
			if !now.Known {
				now = Bound{Time: e.ValidatedAt, Known: true}
			}
			return l, e, now
		}), clocky,
	},
	{"served by a strict policy", func(s *scope) {
		s.policy.Freshness = 0
		s.start = func(*Load) Step { return AskCache }
		s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
			l.Freshness = 25 * time.Second
			return l.CacheAnswered(a, e, now)
		}
		s.storeAnswered = func(l *Load, e Entry, found bool, now Bound) time.Duration {
			l.Freshness = 25 * time.Second
			return l.StoreAnswered(e, found, now)
		}
	}, writes},
	{"a save inserts what it does not find", func(s *scope) { s.upsert = true }, every},
	{"a touch rewrites the record it has read", func(s *scope) { s.touchWritesBack = true }, every},
	{"a revoke ends the session in the cache first", func(s *scope) { s.cacheFirst = true }, ends},
	{
		"a revoke ends the session in the cache only", func(s *scope) {
			s.cacheFirst, s.cacheOnly = true, true
		}, ends,
	},
	{"a revoke's lost reply is success", func(s *scope) { s.lost = Committed }, ends},
	{"a save's lost reply is success", func(s *scope) { s.lostSaveSucceeds = true }, writes},
	{"a standby is read", func(s *scope) { s.standby = true }, ends},
	{"a fill after no answer", func(s *scope) {
		s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
			step, verdict := l.CacheAnswered(a, e, now)
			l.fill = l.fill || a == Timeout
			return step, verdict
		}
	}, ends},
	{"a cache that does not answer fails the load", func(s *scope) {
		s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
			if a == Timeout {
				return ServeCache, Stale
			}
			return l.CacheAnswered(a, e, now)
		}
	}, ends},
	{
		"the minimum version is ignored", judged(
			func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
				l.MinVersion = 0
				return l, e, now
			}), writes,
	},
	{
		"no minimum version without an acknowledgement", func(s *scope) {
			s.minVersion = func(Policy, Entry, bool) int64 { return 0 }
		}, writes,
	},
	{
		"a save's entry leaves the cache when it is stale", func(s *scope) {
			s.saved = Policy.FillTTL
		}, func() *scope { return small(3, 0, nil, load, save) },
	},
	{
		"a fill that a tombstone refused counts as acknowledged", func(s *scope) {
			s.refusalConfirms = true
		}, refusedByTombstone,
	},
	{"a tombstone in place of a refused fill ends early", func(s *scope) {
		s.refusedTTL = func(p Policy) time.Duration { return p.Freshness / 3 }
	}, refusedByTombstone},
	{
		"an expired entry is served",
		judged(func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
			e.ExpiresAt = 1 << 60
			return l, e, now
		}), func() *scope {
			s := small(2, 1, memory, load, touch)
			s.lifetime = tick
			return s
		},
	},
	{"an expired entry means a dead session", func(s *scope) {
		s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
			step, verdict := l.CacheAnswered(a, e, now)
			if verdict == Expired {
				step = ServeCache
			}
			return step, verdict
		}
	}, func() *scope {
		s := small(3, 0, nil, load, touch)
		s.lifetime = 2 * tick
		return s
	}},
	{"a revoke of all counts as acknowledged", func(s *scope) {
		s.revokeAllCounts = true
		s.revoked = func(p Policy, o Outcome, acknowledged, _ bool) Revocation {
			return p.Revoked(o, acknowledged, true)
		}
	}, func() *scope { return small(3, 0, nil, load, revokeAll) }},
	{"an acknowledgement is made up", func(s *scope) {
		s.revoked = func(p Policy, o Outcome, _, one bool) Revocation {
			return p.Revoked(o, true, one)
		}
	}, ends},
	{
		"local: a revoke promises 0, since its own cache has it", func(s *scope) {
			s.revoked = func(p Policy, o Outcome, acknowledged, one bool) Revocation {
				p.Local = false
				return p.Revoked(o, acknowledged, one)
			}
		}, nearEnds,
	},
	{"local: a revoke leaves no tombstone", func(s *scope) { s.noTombstone = true }, nearEnds},
	{
		"local: a tombstone's lifetime below F", func(s *scope) {
			s.tombstoneTTL = func(p Policy) time.Duration { return p.Freshness / 3 }
		}, nearEnds,
	},
	{
		"local: a revoke of all leaves no watermark", func(s *scope) { s.noWatermark = true },
		nearEnds,
	},
	{
		"local: the watermark is the clock when the revoke was sent", func(s *scope) {
			s.watermarkOfSending = true
		}, func() *scope { return near(3, 0, nil, load, revokeAll).split() },
	},
	{"local: an unknown clock is no watermark", func(s *scope) {
		s.revokedAt = func(now Bound) Watermark {
			if !now.Known {
				return Watermark{}
			}
			return RevokedAt(now)
		}
	}, func() *scope { return near(3, 1, process, load, revokeAll) }},
	{"local: the watermark has no allowance", func(s *scope) {
		s.revokedAt = func(now Bound) Watermark {
			w := RevokedAt(now)
			if !w.unknown {
				w.at = w.at.Add(-Allowance)
			}
			return w
		}
	}, readAfterANap},
	{
		"local: the watermark is not looked at", func(s *scope) {
			s.cacheAnswered = func(l *Load, a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
				l.Watermark = Watermark{}
				return l.CacheAnswered(a, e, now)
			}
		}, nearEnds,
	},
	{
		"local: no freshness check", func(s *scope) {
			judged(func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
				now.Time = e.ValidatedAt
				return l, e, now
			})(s)
		}, nearEnds,
	},
	{
		"local: no cookie after a save", func(s *scope) {
			s.askFor = func(Policy) time.Duration { return 0 }
		}, nearWrites,
	},
	{"local: the cookie ends before the freshness", func(s *scope) {
		s.askFor = func(p Policy) time.Duration { return p.Freshness / 3 }
	}, nearWrites},
	{
		"local: the cookie is not looked at", judged(
			func(l Load, e Entry, now Bound) (Load, Entry, Bound) {
				l.MinVersion = 0
				return l, e, now
			}), nearWrites,
	},
	{"local: the cookie has no allowance", func(s *scope) {
		s.askFor = func(p Policy) time.Duration { return p.Freshness }
	}, func() *scope { return napping(3, load, save) }},
	{"the bound of the clock grows slack with its age", func(s *scope) {
		s.now = func(c *Clock, at Instant) Bound {
			if slack := (at.Mono - c.sent.Mono) / 1000; (at.Wall - at.Mono - c.sent.Wall +
				c.sent.Mono).Abs() <= maxGap+slack {
				at.Wall = at.Mono - c.sent.Mono + c.sent.Wall
			}
			return c.Now(at)
		}
	}, nil},
}

// refusedByTombstone returns a scope in which a load has found nothing in the
// cache and has not asked Postgres yet. A revoke whose request was lost has
// left a tombstone on a live session.
func refusedByTombstone() *scope {
	s := small(4, 1, network, load, save).split()
	s.lifetime = 8 * tick
	s.prefix = []action{
		{kind: begins, a: uint8(revoke)},
		{kind: begins, a: uint8(load), b: 1},
		{kind: steps, a: 1},
		{kind: steps, a: 1},
		{kind: steps},
		{kind: misses},
		{kind: delivers},
	}
	return s
}

// readAfterANap returns a scope in which an instance has slept unnoticed, and
// has then read the session. The reply, by which it would notice, is under way.
func readAfterANap() *scope {
	s := napping(3, load, revokeAll)
	s.prefix = []action{
		{kind: naps},
		{kind: begins, a: uint8(load)},
		{kind: steps},
		{kind: steps},
		{kind: steps},
		{kind: steps},
	}
	return s
}

// elsewhere are the mutants of the list that concern no decision of this
// package.
var elsewhere = []string{
	"emergency without a journal, served before the replay, and others: TestEmergencyMutants",
	"associated data without version or without id, a decrypt error that falls back: not here, " +
		"package cache seals",
	"a revoke of all that misses a session which gets a new id meanwhile: integration/owner, " +
		"there is no epoch in this release",
}

// TestSlowMutants plants each mutant, and fails if neither the search nor the
// simulation breaks an invariant.
//
// Slow: a search for each of the mutants.
func TestSlowMutants(t *testing.T) {
	if raceEnabled {
		t.Skip("run without the race detector: nothing here is concurrent, and it would take " +
			"minutes")
	}
	caught := 0
	for _, m := range mutants {
		how := m.hunt()
		if how == "" {
			t.Errorf("NOT CAUGHT  %s", m.name)
			continue
		}
		caught++
		t.Logf("caught      %s: %s", m.name, how)
	}
	for _, e := range elsewhere {
		t.Logf("elsewhere   %s", e)
	}
	t.Logf("%d of %d caught", caught, len(mutants))
}

const (
	huntStates = 400_000
	huntSeeds  = 2000
)

func (m *mutant) hunt() string {
	if m.by != nil {
		s := m.by()
		s.trusting = true
		m.mutate(s)
		if f := search(s, huntStates); f.err != nil {
			return fmt.Sprintf("by the search after %d states, %d actions: %v", f.states,
				len(f.trace), f.err)
		}
	}
	for seed := uint64(1); seed <= huntSeeds; seed++ {
		f := newFleet(seed, production(), conduct{lost: OutcomeUnknown})
		m.mutate(f.scope)
		if steps, err := f.run(stepsPerSeed); err != nil {
			return fmt.Sprintf("by the simulation with seed %d, %d steps: %v", seed, steps, err)
		}
	}
	return ""
}
