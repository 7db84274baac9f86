package coherence

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// The clock with a machine and a server that do everything allowed: drift, a
// suspended machine, a wall clock that is set, late requests and replies. Only
// sleeping and being set at once is excluded: the two can cancel out.
func TestClockIsNeverEarly(t *testing.T) {
	seeds := 3000
	if raceEnabled {
		seeds = 300
	}
	var known, asked int
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		var (
			c  Clock
			p  = time.Duration(r.Int64N(int64(time.Hour))) // Postgres's clock
			at = Instant{
				Mono: time.Duration(r.Int64N(int64(time.Hour))),
				Wall: time.Duration(r.Int64N(int64(time.Hour))),
			}
			// of this machine's clocks, in parts per million off Postgres's
			rate    = r.Int64N(1999) - 999
			sleeper = r.IntN(2) == 0
			last    Time
		)
		pass := func(d time.Duration) {
			p += d
			own := d + d*time.Duration(rate)/1_000_000
			at.Mono += own
			at.Wall += own
		}
		disturbance := func() {
			switch r.IntN(8) {
			case 0:
				d := time.Duration(r.Int64N(int64(time.Hour)))
				if r.IntN(2) == 0 {
					d = time.Duration(r.Int64N(int64(3 * maxGap)))
				}
				if sleeper {
					p += d
					at.Wall += d
				} else {
					at.Wall += 2*time.Duration(r.IntN(2))*d - d
				}
			case 1:
				pass(time.Duration(r.Int64N(int64(time.Hour)))) // without a request
			}
		}
		travel := func() {
			pass(time.Duration(r.Int64N(int64(time.Millisecond) << r.IntN(14))))
			disturbance()
		}
		for range 60 {
			if r.IntN(3) == 0 {
				sent := at
				travel()
				stamp := Time(p.Microseconds())
				travel()
				c.Observe(stamp, sent, at)
			}
			travel()
			asked++
			b := c.Now(at)
			if !b.Known {
				continue
			}
			known++
			// One sleep shorter than maxGap goes unnoticed, and so may several
			// that are that long together.
			if early := b.Time.Until(Time(p.Microseconds())); early > maxGap {
				t.Fatalf("seed %d: the bound is %v behind Postgres's clock", seed, early)
			} else if early > 0 && !sleeper {
				t.Fatalf("seed %d: the bound is %v behind Postgres's clock, and the machine has "+
					"not slept", seed, early)
			}
			if b.Time < last {
				t.Fatalf("seed %d: the bound went back by %v", seed, b.Time.Until(last))
			}
			last = b.Time
		}
	}
	t.Logf("%d seeds, %d questions, %d answered", seeds, asked, known)
	if known < asked/10 {
		t.Error("the clock hardly ever has a bound: this test shows nothing")
	}
}

func TestClock(t *testing.T) {
	second := func(n float64) Instant {
		return Instant{Mono: time.Duration(n * 1e9), Wall: time.Duration(n * 1e9)}
	}
	stamp := Time(1_000_000_000)
	in := func(d time.Duration) Bound { return Bound{Time: stamp.Add(d), Known: true} }
	tests := map[string]struct {
		do   func(c *Clock)
		at   Instant
		want Bound
	}{
		"no sample": {func(*Clock) {}, second(1), Bound{}},
		"a sample counts from its sending": {func(c *Clock) {
			c.Observe(stamp, second(0), second(3))
		}, second(5), in(5*time.Second + 5*time.Millisecond + time.Microsecond)},
		"a lower one wins": {func(c *Clock) {
			c.Observe(stamp, second(0), second(3))
			c.Observe(stamp.Add(4*time.Second), second(5), second(5.1))
		}, second(6), in(5*time.Second + time.Millisecond + time.Microsecond)},
		"a higher one does not": {func(c *Clock) {
			c.Observe(stamp, second(0), second(0))
			c.Observe(stamp.Add(2*time.Second), second(1), second(3))
		}, second(3), in(3*time.Second + 3*time.Millisecond + time.Microsecond)},
		"one past the bound does: the server's clock was set forward": {func(c *Clock) {
			c.Observe(stamp, second(0), second(0))
			c.Observe(stamp.Add(time.Minute), second(1), second(1))
		}, second(1), in(time.Minute + time.Microsecond)},
		"a server that is behind does not set the bound back": {func(c *Clock) {
			c.Observe(stamp, second(0), second(0))
			c.Now(second(10))
			c.Observe(stamp, second(10), second(10))
		}, second(11), in(10*time.Second + 10*time.Millisecond + time.Microsecond)},
		"slept": {
			func(c *Clock) { c.Observe(stamp, second(0), second(0)) },
			Instant{Mono: time.Second, Wall: 2 * time.Second},
			Bound{},
		},
		"slept, long after": {
			func(c *Clock) { c.Observe(stamp, second(0), second(0)) },
			Instant{Mono: time.Hour, Wall: time.Hour + 2*maxGap},
			Bound{},
		},
		"slept for a blink": {
			func(c *Clock) { c.Observe(stamp, second(0), second(0)) },
			Instant{Mono: time.Second, Wall: time.Second + maxGap},
			in(time.Second + time.Millisecond + time.Microsecond),
		},
		"wall clock set back": {
			func(c *Clock) { c.Observe(stamp, second(0), second(0)) },
			Instant{Mono: time.Second, Wall: -time.Second},
			Bound{},
		},
		"before it was asked": {
			func(c *Clock) { c.Observe(stamp, second(2), second(2)) }, second(1), Bound{},
		},
		"slept, and asked again": {
			func(c *Clock) {
				c.Observe(stamp, second(0), second(0))
				woken := Instant{Mono: second(1).Mono, Wall: second(60).Wall}
				c.Observe(stamp.Add(time.Minute), woken, woken)
			},
			Instant{Mono: second(2).Mono, Wall: second(61).Wall},
			in(61*time.Second + time.Millisecond + time.Microsecond),
		},
		"slept during the journey": {func(c *Clock) {
			c.Observe(stamp, second(0), Instant{Mono: 1, Wall: time.Hour})
		}, Instant{Mono: 2, Wall: time.Hour}, Bound{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c Clock
			test.do(&c)
			if got := c.Now(test.at); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestClockBlindSpot shows what the clock can't detect: a machine that sleeps
// and whose wall clock is set back by as much. A virtual machine that is paused
// with both clocks looks the same. The package doc names this as an assumption;
// if this test fails, remove it there.
func TestClockBlindSpot(t *testing.T) {
	var c Clock
	c.Observe(0, Instant{}, Instant{})
	paused := time.Hour // neither clock moves
	_ = paused
	if b := c.Now(Instant{Mono: time.Second, Wall: time.Second}); !b.Known ||
		b.Time >= Time(paused.Microseconds()) {
		t.Errorf("an hour in which both clocks stood still was noticed: %+v", b)
	}
}

// A time.Time holds both clocks, and Sub prefers the monotonic one. Only the
// runtime creates times on which the two differ, so this test writes into one
// to see that the wall clock is compared.
func TestInstantReadsBothClocks(t *testing.T) {
	start := time.Now()
	now := start
	// The monotonic reading.
	*(*int64)(unsafe.Add(unsafe.Pointer(&now), unsafe.Sizeof(uint64(0)))) += int64(time.Hour)
	if now.Sub(start) != time.Hour || now.Round(0).Sub(start.Round(0)) != 0 {
		t.Skip("package time keeps its readings elsewhere now")
	}
	if at := InstantAt(start, now); at != (Instant{Mono: time.Hour}) {
		t.Errorf("where the clocks differ: %+v", at)
	}
	later := InstantAt(start, start.Add(time.Second))
	if later != (Instant{Mono: time.Second, Wall: time.Second}) {
		t.Errorf("where they don't: %+v", later)
	}
}
