package outage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Detector decides from the results of Postgres's calls when an emergency
// begins. It is made first and handed to both sides: to the guard in front of
// Postgres, which reports to it, and to the Store, which recovers. All methods
// may be called by many goroutines at once.
type Detector struct {
	events Events
	start  time.Time

	mode    atomic.Int32 // outage.Mode, to be read without mu
	failing atomic.Bool  // a call has failed since the last reply

	mu      sync.Mutex
	outage  coherence.Outage
	since   time.Time // when the emergency began; zero without one
	recover func()    // starts the recovery; nil without a Store
	closed  bool      // no emergency begins any more
}

// NewDetector makes a Detector for an available Postgres. events may be nil.
func NewDetector(events Events) *Detector {
	if events == nil {
		events = noEvents{}
	}
	return &Detector{events: events, start: time.Now()}
}

// Unavailable reports whether calls of Postgres are refused: from the beginning
// of an emergency until all journalled revokes have been replayed.
func (d *Detector) Unavailable() bool {
	o := coherence.Outage{Mode: d.current()}
	return o.Refuses()
}

// Since returns when the emergency began, zero without one.
func (d *Detector) Since() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since
}

// Begin begins an emergency because of err, such as that of the first contact
// with Postgres. It announces nothing in an emergency.
func (d *Detector) Begin(err error) {
	d.update(err, func() bool { d.outage.Begin(); return true })
}

// observe feeds the result of a Postgres call to the detector. It ignores
// errors of the caller: cancellation, full queue.
func (d *Detector) observe(err error) {
	failed := errors.Is(err, store.ErrOutage)
	if !failed && (!d.failing.Load() || !replied(err)) {
		return
	}
	d.update(err, func() (begins bool) {
		d.failing.Store(failed)
		if failed {
			return d.outage.Failed(time.Since(d.start))
		}
		d.outage.Succeeded()
		return false
	})
}

// replied reports whether Postgres has replied to a call, be it with an error.
func replied(err error) bool {
	var failed interface {
		error
		Answered() bool
	}
	if errors.As(err, &failed) {
		return failed.Answered()
	}
	return !errors.Is(err, store.ErrUnavailable) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// update calls change with d.mu, and begins an emergency because of err if that
// returns true. An emergency that the recovery was about to end goes on. The
// recovery and the event are called without d.mu.
func (d *Detector) update(err error, change func() (begins bool)) {
	d.mu.Lock()
	if d.closed || !change() {
		d.mu.Unlock()
		return
	}
	d.mode.Store(int32(d.outage.Mode))
	announce, start := d.since.IsZero(), d.recover
	if announce {
		d.since = time.Now()
	}
	d.mu.Unlock()
	if !announce {
		return
	}
	if start != nil {
		start()
	}
	d.events.EmergencyBegan(err)
}

// subscribe sets what starts the recovery of an emergency, and calls it if one
// has begun. One Store may subscribe.
func (d *Detector) subscribe(start func()) {
	d.mu.Lock()
	d.recover = start
	began := !d.since.IsZero()
	d.mu.Unlock()
	if began {
		start()
	}
}

func (d *Detector) current() coherence.Mode { return coherence.Mode(d.mode.Load()) }

// step takes a step of the recovery.
func (d *Detector) step(to func(*coherence.Outage)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	to(&d.outage)
	d.mode.Store(int32(d.outage.Mode))
}

// finish ends the emergency if the recovery has taken its last step, and
// reports whether it has. forget is called before a new emergency can begin.
func (d *Detector) finish(forget func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outage.Mode != coherence.Normal {
		return false
	}
	forget()
	d.since = time.Time{}
	return true
}

// close keeps emergencies from beginning. After Close no recovery would end
// one, so a session that a late request begins must fail, not be lost in
// memory.
func (d *Detector) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}
