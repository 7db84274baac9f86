package coherence

import "time"

const (
	// maxDrift limits how much faster Postgres's clock runs than ours: one part
	// in a thousand. Quartz is ten times better, and slewed clocks stay below
	// it.
	maxDrift = 1000
	// maxGap is how far our two clocks may differ before the monotonic one
	// counts as stopped, as on a suspended machine. It does not grow with the
	// age of the sample: the bound lacks as much time as goes unnoticed, which
	// must stay below [Allowance]. Two clocks of one machine are slewed
	// together.
	maxGap = 200 * time.Millisecond
)

// Instant is a moment on the two clocks of this process. Each counts from a
// start of its own.
type Instant struct {
	// Mono never jumps, but stops while the machine is suspended.
	Mono time.Duration
	// Wall continues while the machine is suspended, but can be set.
	Wall time.Duration
}

// InstantAt returns now on the clocks of a process that started at start. Round
// strips the monotonic reading, so the rest is compared by the wall clock.
func InstantAt(start, now time.Time) Instant {
	return Instant{Mono: now.Sub(start), Wall: now.Round(0).Sub(start.Round(0))}
}

// Bound is an upper bound of Postgres's clock, if one is known.
type Bound struct {
	Time  Time
	Known bool
}

// Clock computes an upper bound of Postgres's clock from replies. Postgres
// stamps a reply after the request was sent. So the stamp plus the time since
// then is never too early, however late the reply came. The zero Clock has no
// bound. It is not safe for concurrent use.
type Clock struct {
	known bool
	stamp Time    // Postgres's time in the reply
	sent  Instant // just before the request
	last  Time    // highest bound returned
}

// Observe adds a reply: Postgres's time in it, and when the request was sent
// and the reply received. The sample with the lowest bound is kept.
func (c *Clock) Observe(stamp Time, sent, received Instant) {
	now := c.bound(received)
	switch {
	case !now.Known:
	case stamp > now.Time:
		// The clock has passed its bound: it was set forward, or this is
		// another server. The old sample is invalid.
	case bound(stamp, sent, received) >= now.Time:
		return
	}
	c.known, c.stamp, c.sent = true, stamp, sent
}

// Now returns the bound at an instant. It never decreases: after a failover to
// a server whose clock is behind, nothing cached stays fresh for longer.
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
	return stamp.Add(mono + mono/maxDrift + time.Microsecond) // the microsecond covers rounding
}
