package coherence

import (
	"fmt"
	"time"
)

const (
	// tick is a step of time of the search.
	tick moment = 10_000
	// inFlight is how many operations, and how many messages to Redis, one session may have under way.
	inFlight = 4
	// aSession has at most two ids: the one it was made with and the one that a rotation gives it.
	ids = 2
)

// moment is a time on Postgres's clock in milliseconds; a world begins at one tick.
type moment int32

func (m moment) time() Time { return Time(m) * 1000 }

func (m moment) after(d time.Duration) moment { return m + moment(d.Milliseconds()) }

// scope is what stays the same throughout a run.
type scope struct {
	decisions
	conduct
	policy     Policy
	lifetime   moment // of a session, from its creation or last touch
	instances  int
	operations int32 // how many a session may see; 0 is without end
	faults     int32 // how many there may be
	horizon    moment
	kinds      []operationKind
	writers    int          // how many of the instances do anything but load
	allowed    []actionKind // the faults there are
	fused      bool         // steps that gain nothing by waiting are taken at once; see stage.urgent
	prefix     []action     // what has happened when the search begins
	prompt     bool         // a load's snapshot follows its now() within margin, which read-your-writes needs and the bound of a revoke does not
	paused     bool         // a machine that sleeps has no clock that goes on
	naive      bool         // the promises are held to be without exception
	clockError time.Duration
	trusting   bool // the bound of the clock is not checked by itself, only by what comes of it
}

// entry is an Entry in less space.
type entry struct {
	version            int16
	validated, expires moment
}

func (e entry) full() Entry {
	return Entry{Version: int64(e.version), ValidatedAt: e.validated.time(), ExpiresAt: e.expires.time()}
}

func compact(e Entry) entry {
	return entry{version: int16(e.Version), validated: moment(e.ValidatedAt / 1000), expires: moment(e.ExpiresAt / 1000)}
}

// row is a row in Postgres.
type row struct {
	exists, gone bool // gone: it was there once
	version      int16
	expires      moment
}

// cached is a key in Redis.
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
	row, before row // before is what a standby still has
	slot        cached
	copies      [2]entry // what an attacker or a backup of Redis has

	// What the client was told, and so may rely on.
	minVersion int16  // in its cookie
	sees       int16  // the version it wrote when the cache was not told
	seesIf     int16  // the version it wrote when the cache was: as long as Redis keeps it
	dead       moment // no load from then on may find it alive; 0 is no promise
	deadIf     bool   // none at all may, as long as Redis keeps its word
	unaware    bool   // the reply to its creation was lost
}

// instance is a process of the application.
type instance struct {
	mono, wall  time.Duration
	clock       Clock
	sampled     bool        // it has had a reply of Postgres
	disturbance disturbance // how its clocks were disturbed
	ppm         int32       // how much faster than Postgres's its clock runs
}

// upset is why the two clocks of an instance have come apart. An instance sees one kind: a machine that slept and had its wall clock set back by just that can't be told
// from one that did neither.
type disturbance uint8

const (
	undisturbed disturbance = iota
	slept
	stepped
)

func (i *instance) instant() Instant { return Instant{Mono: i.mono, Wall: i.wall} }

// message is one to Redis under way.
type message struct {
	kind  messageKind
	id    uint8
	op    int8 // the operation that waits for its answer, or -1
	entry entry
	ttl   moment
}

type messageKind uint8

const (
	noMessage messageKind = iota
	fillMessage
	tombstoneMessage
)

// session is everything about one session; it is comparable.
type session struct {
	ids        [ids]identity
	ops        [inFlight]operation
	messages   [inFlight]message
	operations int32
	faults     int32
}

// stage is one session in its surroundings, where an action takes place.
type stage struct {
	*scope
	at        moment
	instances []instance
	session   *session
}

// violation is an invariant that does not hold.
type violation struct{ what string }

func (v *violation) Error() string { return v.what }

func violated(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// now is the bound of Postgres's clock at an instance.
func (s *stage) now(i uint8) (Bound, error) {
	in := &s.instances[i]
	b := s.decisions.now(&in.clock, in.instant())
	if b.Known && !s.trusting && b.Time < s.at.time().Add(-s.clockError) {
		return b, violated("the bound of instance %d is %v behind Postgres's clock", i, b.Time.Until(s.at.time()))
	}
	return b, nil
}

// advance lets time pass. The machine of the instance suspended, if any, sleeps.
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

// crash ends a process: what it was doing is gone, what it sent is not. Another starts in its place.
func (s *stage) crash(i uint8) {
	for n := range s.session.ops {
		if s.session.ops[n].kind != idle && s.session.ops[n].instance == i {
			s.drop(n)
		}
	}
}

// restart gives the process that starts after a crash its clocks.
func (i *instance) restart() {
	i.mono, i.clock, i.sampled = 0, Clock{}, false
}

// redisLied takes back what holds only while Redis keeps what it acknowledged.
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
