package coherence

import (
	"fmt"
	"time"
)

const (
	// tick is a step of time of the search.
	tick moment = 10_000
	// nap is a sleep that goes unnoticed: it is below maxGap.
	nap moment = 150
	// inFlight is the most operations, and the most messages to Redis, of one
	// session at once.
	inFlight = 4
	// A session has at most two ids: its first one, and one after a rotation.
	ids = 2
	// processes is the most instances that have a local cache.
	processes = 3
)

// moment is a time of Postgres's clock in milliseconds. A world begins at one
// tick.
type moment int32

func (m moment) time() Time { return Time(m) * 1000 }

func (m moment) after(d time.Duration) moment { return m + moment(d.Milliseconds()) }

// scope is the constant part of a run.
type scope struct {
	decisions
	conduct
	policy     Policy
	lifetime   moment // of a session, from its creation or last touch
	instances  int
	operations int32 // of a session; 0 for any number
	faults     int32 // most faults
	horizon    moment
	kinds      []operationKind
	writers    int          // instances that do anything but load
	allowed    []actionKind // possible faults
	// steps that gain nothing by waiting are taken at once; see stage.urgent
	fused  bool
	prefix []action // actions before the search begins
	// A load's snapshot follows its now() within margin. Reading your writes
	// needs that, the bound of a revoke does not.
	prompt     bool
	paused     bool // both clocks of a sleeping machine stop
	naive      bool // the promises have no exception
	clockError time.Duration
	// The bound of the clock is not checked by itself, only by its effects.
	trusting bool
}

// entry is an Entry in less space.
type entry struct {
	version            int16
	validated, expires moment
}

func (e entry) full() Entry {
	return Entry{
		Version: int64(e.version), ValidatedAt: e.validated.time(), ExpiresAt: e.expires.time(),
	}
}

func compact(e Entry) entry {
	return entry{
		version: int16(e.Version), validated: moment(e.ValidatedAt / 1000),
		expires: moment(e.ExpiresAt / 1000),
	}
}

// row is a row in Postgres.
type row struct {
	exists, gone bool // gone: it existed before
	version      int16
	expires      moment
}

// cached is a key in Redis, or in a local cache.
type cached struct {
	state SlotState
	entry entry
	until moment
}

func (c *cached) slot(at moment) Slot {
	if c.until <= at {
		return Slot{}
	}
	return Slot{State: c.state, Entry: c.entry.full()}
}

func (c *cached) set(s Slot, until moment) {
	*c = cached{state: s.State, entry: compact(s.Entry), until: until}
	if s.State != Filled {
		c.entry = entry{}
	}
	if s.State == Empty {
		c.until = 0
	}
}

// identity is everything under one id.
type identity struct {
	row, before row // before is the row on a standby
	// slots are those of the local caches, by instance. Redis is the first.
	slots  [processes]cached
	copies [2]entry // of an attacker or a backup of Redis

	// What the client has got, and may rely on.
	minVersion int16  // in its cookie
	sees       int16  // the version it wrote without an acknowledgement of the cache
	seesIf     int16  // the version it wrote with one: valid unless Redis loses it
	dead       moment // no load that starts later may find it alive; 0 for no promise
	deadIf     bool   // no load at all may, unless Redis loses what it acknowledged
	unaware    bool   // the reply to its creation was lost
	asks       moment // until then the client has the cookie "ask Postgres"
	deadHere   uint8  // instances that may not find it alive at all, as bits
}

// instance is a process of the application.
type instance struct {
	mono, wall  time.Duration
	clock       Clock
	sampled     bool        // it has a sample of Postgres's clock
	disturbance disturbance // of its clocks
	ppm         int32       // how much faster than Postgres's its clock runs
}

// disturbance is why the two clocks of an instance differ. An instance has one
// kind: a machine that slept and had its wall clock set back by as much looks
// like one that did neither.
type disturbance uint8

const (
	undisturbed disturbance = iota
	slept
	stepped
)

func (i *instance) instant() Instant { return Instant{Mono: i.mono, Wall: i.wall} }

// message is a message to Redis in flight.
type message struct {
	kind  messageKind
	by    uint8 // the instance
	id    uint8
	op    int8 // operation that waits for its answer, or -1
	entry entry
	ttl   moment
}

type messageKind uint8

const (
	noMessage messageKind = iota
	fillMessage
	tombstoneMessage
)

// session is the state of one session. It is comparable.
type session struct {
	ids        [ids]identity
	ops        [inFlight]operation
	messages   [inFlight]message
	watermarks [processes]Watermark // of the user, in each instance with a local cache
	operations int32
	faults     int32
}

// stage is a session with its surroundings, on which an action is performed.
type stage struct {
	*scope
	at        moment
	instances []instance
	session   *session
}

// violation is an invariant that was violated.
type violation struct{ what string }

func (v *violation) Error() string { return v.what }

func violated(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// now returns an instance's bound of Postgres's clock.
func (s *stage) now(i uint8) (Bound, error) {
	in := &s.instances[i]
	b := s.decisions.now(&in.clock, in.instant())
	if b.Known && !s.trusting && b.Time < s.at.time().Add(-s.clockError) {
		return b, violated("the bound of instance %d is %v behind Postgres's clock", i,
			b.Time.Until(s.at.time()))
	}
	return b, nil
}

// advance lets time pass. The machine of the instance suspended, if any,
// sleeps.
func advance(instances []instance, d moment, suspended int) {
	for i := range instances {
		in := &instances[i]
		own := time.Duration(d) * time.Millisecond
		own += own * time.Duration(in.ppm) / 1_000_000
		in.wall += own
		if i == suspended {
			in.disturbance = slept
		} else {
			in.mono += own
		}
	}
}

// crash ends a process: its operations are gone, its messages stay in flight.
// Another process takes its place.
func (s *stage) crash(i uint8) {
	for n := range s.session.ops {
		if s.session.ops[n].kind != idle && s.session.ops[n].instance == i {
			s.drop(n)
		}
	}
	if !s.policy.Local {
		return
	}
	for n := range s.session.messages {
		if s.session.messages[n].by == i {
			s.session.messages[n] = message{} // a fill that was about to happen
		}
	}
	for id := range s.session.ids {
		s.session.ids[id].slots[i] = cached{}
	}
	s.session.watermarks[i] = Watermark{}
}

// slotOf returns the slot of an id as an instance sees it.
func (s *stage) slotOf(instance, id uint8) *cached {
	if !s.policy.Local {
		instance = 0
	}
	return &s.session.ids[id].slots[instance]
}

// restart resets the clocks of the process that starts after a crash.
func (i *instance) restart() {
	i.mono, i.clock, i.sampled = 0, Clock{}, false
}

// redisLied clears what holds only while Redis keeps what it acknowledged.
func (s *stage) redisLied() {
	if s.naive {
		return
	}
	for n := range s.session.ids {
		s.session.ids[n].seesIf, s.session.ids[n].deadIf = 0, false
	}
	for n := range s.session.ops {
		s.session.ops[n].seesIf, s.session.ops[n].deadIf = 0, false
	}
}
