package sessionstore

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// LogEvents returns the default [Observer], which logs a line for each event.
// Call it within an Observer of your own to keep these lines: alerts and the
// pages about troubleshooting refer to them. A nil log is [slog.Default].
//
// Events that a client without a session can cause, such as [EventForged], have
// at most one line a second for each kind, after ten at once. The attribute
// "omitted" counts those without a line. Logins and logouts of users, revokes
// and emergencies have a line each.
//
// Each call of LogEvents begins with rates of its own: call it once for a
// Manager.
func LogEvents(log *slog.Logger) Observer {
	if log == nil {
		log = slog.Default()
	}
	rates := new([eventKinds]lineRate)
	return func(ctx context.Context, e Event) {
		level := eventFacts[e.Kind].level
		// other instances may serve it meanwhile
		if r := e.Revocation; !r.CacheAcked && r.MaxExposure > 0 {
			level = max(level, slog.LevelWarn)
		}
		if !log.Enabled(ctx, level) {
			return
		}
		omitted := 0
		if limited(&e) {
			burst := lineBurst
			if e.Kind == EventLoadFailed {
				// an outage is one fact, however many requests it meets
				burst = 1
			}
			var ok bool
			if omitted, ok = rates[e.Kind].take(e.At, burst, logOmitted(log, e.Kind)); !ok {
				return
			}
		}
		line := slog.NewRecord(e.At, level, e.Kind.String(), 0)
		text := func(key, value string) {
			if value != "" {
				line.AddAttrs(slog.String(key, value))
			}
		}
		text("session", string(e.Handle))
		text("user_id", e.UserID)
		text("login_id", e.LoginID)
		text("methods", methodNames(e.Methods))
		if e.Level != 0 {
			line.AddAttrs(slog.Int("login_level", e.Level))
		}
		if e.IP.IsValid() {
			line.AddAttrs(slog.String("ip", e.IP.String()))
		}
		text("user_agent", e.UserAgent)
		text("reason", string(e.Reason))
		text("actor", e.Actor)
		text("detail", e.Detail)
		if e.Count != 0 {
			line.AddAttrs(slog.Int("count", e.Count))
		}
		if e.Revocation.MaxExposure > 0 {
			line.AddAttrs(slog.Duration("max_exposure", e.Revocation.MaxExposure))
		}
		if e.Err != nil {
			line.AddAttrs(slog.Any("error", e.Err))
		}
		if omitted > 0 {
			line.AddAttrs(slog.Int("omitted", omitted))
		}
		_ = log.Handler().Handle(ctx, line)
	}
}

// methodNames returns the names with commas between.
func methodNames(methods []Method) string {
	names := make([]string, len(methods))
	for i := range methods {
		names[i] = methods[i].Name
	}
	return strings.Join(names, ",")
}

const (
	// This many lines of a kind may come at once, and then one a second.
	lineBurst = 10
	lineEvery = time.Second
	// If no line of the kind follows, the omitted ones are logged this long
	// after.
	omittedAfter = 10 * time.Second
)

// lineRate limits lines of a log and counts the omitted ones. The zero value is
// ready.
type lineRate struct {
	mu sync.Mutex
	// when all lines that were logged are paid for, one a second
	free    time.Time
	omitted int
	pending bool // a timer logs what was left out
}

// take reports whether a line may be logged, and how many were omitted before
// it. If not, it counts the line, and calls log later with the count, unless
// log is nil.
func (r *lineRate) take(at time.Time, burst int, log func(omitted int)) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// or the clock was set
	if r.free.Before(at) || r.free.Sub(at) > time.Duration(burst)*lineEvery {
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

// limited reports whether a stranger can cause the event at will.
func limited(e *Event) bool {
	return !e.Kind.has(everyLine) && !(e.Kind.has(audited) && (e.UserID != "" || e.Actor != ""))
}

// logOmitted logs how many events of a kind had no line.
func logOmitted(log *slog.Logger, k EventKind) func(omitted int) {
	return func(omitted int) {
		log.Log(context.Background(), eventFacts[k].level, k.String(), "omitted", omitted)
	}
}

// seldom lets a line into the log once a minute. The zero value lets the first.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	minute := now.Unix()/60 + 1
	last := s.last.Load()
	return last != minute && s.last.CompareAndSwap(last, minute)
}
