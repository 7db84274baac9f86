package coherence

import "time"

const (
	// drift is how much faster than this process's clock Postgres's may run: a part in a thousand. Quartz is ten times better, and clocks that are being slewed stay below it.
	maxDrift = 1000
	// jump is how far the two clocks of this process may come apart before its monotonic one is taken to have stood still, as it does on a suspended machine. It does not
	// grow with the age of the sample: what goes unnoticed is time that the bound lacks, and has to stay below [Allowance]. Two clocks of one machine are slewed together.
	maxGap = 200 * time.Millisecond
)

// Instant is a moment on the two clocks of this process, each counted from a start of its own.
type Instant struct {
	// Mono never jumps, but stands still while the machine is suspended.
	Mono time.Duration
	// Wall goes on while the machine is suspended, but may be set.
	Wall time.Duration
}

// InstantAt is now on the clocks of a process that started at start. Round
// strips the monotonic reading, so that the rest is compared by the wall clock.
func InstantAt(start, now time.Time) Instant {
	return Instant{Mono: now.Sub(start), Wall: now.Round(0).Sub(start.Round(0))}
}

// Bound is an upper bound of Postgres's clock, if one is known.
type Bound struct {
	Time  Time
	Known bool
}

// Clock bounds Postgres's clock from above, from the round trips to it. Postgres stamped a reply after its request was sent, so the stamp plus the time since the
// sending is never too early, by however much the reply was delayed. The zero Clock knows nothing. It is not safe for concurrent use.
type Clock struct {
	known bool
	stamp Time    // what Postgres said
	sent  Instant // just before it was asked
	last  Time    // the highest bound that was given
}

// Observe takes in a reply: Postgres's time in it, and when its request was sent and it came. The sample that gives the lowest bound is kept.
func (c *Clock) Observe(stamp Time, sent, received Instant) {
	now := c.bound(received)
	switch {
	case !now.Known:
	case stamp > now.Time:
		// The clock is past its bound: it was set forward, or this is another server. The old sample is void.
	case bound(stamp, sent, received) >= now.Time:
		return
	}
	c.known, c.stamp, c.sent = true, stamp, sent
}

// Now is the bound at an instant. It never goes backwards, so that a server whose clock is behind, after a failover, extends nothing that is already cached.
func (c *Clock) Now(at Instant) Bound {
	b := c.bound(at)
	if b.Known {
		b.Time = max(b.Time, c.last)
		c.last = b.Time
	}
	return b
}

func (c *Clock) bound(at Instant) Bound {
	mono, wall := at.Mono-c.sent.Mono, at.Wall-c.sent.Wall
	if !c.known || mono < 0 || (wall-mono).Abs() > maxGap {
		return Bound{}
	}
	return Bound{Time: bound(c.stamp, c.sent, at), Known: true}
}

func bound(stamp Time, sent, at Instant) Time {
	mono := at.Mono - sent.Mono
	return stamp.Add(mono + mono/maxDrift + time.Microsecond) // the microsecond makes up for rounding
}
