package sessionstore

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// So many lines about a kind of event may come at once, and one a second
	// after.
	lineBurst = 10
	lineEvery = time.Second
	// What was left out is logged this long after, if no line of the kind
	// follows.
	omittedAfter = 10 * time.Second
)

// lineRate bounds the lines of a log, and counts those it leaves out. The zero
// value is ready.
type lineRate struct {
	mu      sync.Mutex
	free    time.Time // when all lines that were logged are paid for, one a second
	omitted int
	pending bool // a timer logs what was left out
}

// take reports whether a line may be logged, and how many were left out before
// it. Otherwise it counts the line, and later has log called with how many
// there are then, unless that is nil.
func (r *lineRate) take(at time.Time, burst int, log func(omitted int)) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free.Before(at) || r.free.Sub(at) > time.Duration(burst)*lineEvery { // or the clock was set
		r.free = at
	}
	if r.free.Sub(at) <= time.Duration(burst-1)*lineEvery {
		omitted, r.omitted = r.omitted, 0
		r.free = r.free.Add(lineEvery)
		return omitted, true
	}
	r.omitted++
	if !r.pending && log != nil {
		r.pending = true
		time.AfterFunc(omittedAfter, func() { r.report(log) })
	}
	return 0, false
}

func (r *lineRate) report(log func(omitted int)) {
	r.mu.Lock()
	omitted := r.omitted
	r.omitted, r.pending = 0, false
	r.mu.Unlock()
	if omitted > 0 {
		log(omitted)
	}
}

// everyLine are the kinds whose every event is logged: they come from the
// library's own work, not from requests.
var everyLine = [eventKinds]bool{
	EventEmergencyBegan: true, EventRestoreFailed: true, EventEmergencyEnded: true,
	EventPruned: true, EventPruneFailed: true, EventTouchFailed: true, EventWatchFailed: true, EventDropped: true,
}

// audited are the kinds that are logged each time if a user is named: they take
// the user's password or session, and an audit needs all of them.
var audited = [eventKinds]bool{EventLogin: true, EventLogout: true, EventRevoked: true}

// limited reports whether a stranger can cause the event as often as they like.
func limited(e *Event) bool {
	return !everyLine[e.Kind] && !(audited[e.Kind] && (e.UserID != "" || e.Actor != ""))
}

// logOmitted logs how many events of a kind had no line.
func logOmitted(log *slog.Logger, k EventKind) func(omitted int) {
	return func(omitted int) {
		log.Log(context.Background(), eventLevels[k], k.String(), "omitted", omitted)
	}
}

// seldom lets a line into the log once a minute. The zero value lets the first.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	minute := now.Unix()/60 + 1
	last := s.last.Load()
	return last != minute && s.last.CompareAndSwap(last, minute)
}
