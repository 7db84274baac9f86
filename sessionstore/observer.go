package sessionstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// EventKind is what happened.
type EventKind int

// The kinds of events, in the order of a session's life.
const (
	// EventCreated: a visitor without a session got one.
	EventCreated EventKind = iota
	// EventLogin: a user logged in.
	EventLogin
	// EventRenewed: a session got a new token.
	EventRenewed
	// EventLogout: a session was ended by its request.
	EventLogout
	// EventRevoked: sessions of a user were ended by somebody else than their own requests; Detail says which, Count how
	// many.
	EventRevoked
	// EventForeignHandle: a user asked for the end of a session that is not theirs, or has ended. UserID is who asked.
	EventForeignHandle
	// EventUnknown: a cookie that we signed names no live session: it expired or was revoked. An anonymous request.
	EventUnknown
	// EventForged: a cookie of our name that we did not sign. An anonymous request, answered without a query.
	EventForged
	// EventAmbiguous: two cookies of our name, both signed by us, or more than eight of any kind. None is trusted.
	EventAmbiguous
	// EventLoadFailed: the store could not say what a session holds. The default log has one line a second at most.
	EventLoadFailed
	// EventSuspicious: the session is used from another network or program than before; Detail says which and what was done
	// about it, Suspicion has both clients. It comes with each such request; Err says that the session could not be ended.
	EventSuspicious
	// EventChangeLost: a session was ended elsewhere while a request was changing it; the changes are void.
	EventChangeLost
	// EventChangeLate: a handler changed the session after its response had begun and did not call Save. The
	// change is not kept: a fault of the program.
	EventChangeLate
	// EventSaveFailed: the session could not be saved and the client got an error instead of the response.
	EventSaveFailed
	// EventLimitFailed: a user's oldest sessions could not be ended after a login; the next one makes up for it.
	EventLimitFailed
	// EventTouchFailed: uses of sessions could not be noted; they will be at their next use.
	EventTouchFailed
	// EventWatchFailed: the store could not say which sessions of open connections live; see [Session.Watch] for how long
	// they are kept. Told once for each outage.
	EventWatchFailed
	// EventUncached: a handler allowed shared caches to keep a response that sets the session cookie; it was overridden.
	EventUncached
	// EventPruned: expired sessions were deleted; Count says how many.
	EventPruned
	// EventPruneFailed: expired sessions could not be deleted. They are dead all the same.
	EventPruneFailed
	// EventEmergency: Postgres is away. Sessions that begin now live in this process's memory; Err says why.
	EventEmergency
	// EventRecoveryFailed: Postgres answers, and the emergency can't be ended all the same; Err says why. Told once for each reason.
	EventRecoveryFailed
	// EventRecovered: Postgres is back and knows what happened meanwhile; Count is how many sessions moved there.
	EventRecovered

	eventKinds int = iota
)

var eventNames = [eventKinds]string{
	"session created", "session login", "session renewed", "session logout", "sessions revoked", "session handle foreign", "session unknown",
	"session cookie forged", "session cookie ambiguous", "session not loaded", "session suspicious",
	"session change lost", "session changed too late", "session not saved", "session limit not kept", "session touch failed",
	"session watch failed",
	"session response uncached", "sessions pruned", "session prune failed",
	"session emergency begins", "session emergency not ended", "session emergency ended",
}

var eventLevels = [eventKinds]slog.Level{
	EventCreated: slog.LevelDebug, EventLogin: slog.LevelInfo, EventRenewed: slog.LevelDebug, EventLogout: slog.LevelInfo,
	EventRevoked: slog.LevelInfo, EventForeignHandle: slog.LevelWarn, EventLimitFailed: slog.LevelWarn,
	EventUnknown: slog.LevelDebug, EventForged: slog.LevelInfo, EventAmbiguous: slog.LevelWarn,
	EventLoadFailed: slog.LevelWarn, EventSuspicious: slog.LevelWarn, EventChangeLost: slog.LevelInfo, EventChangeLate: slog.LevelError,
	EventSaveFailed: slog.LevelError, EventTouchFailed: slog.LevelWarn, EventUncached: slog.LevelWarn,
	EventWatchFailed: slog.LevelWarn,
	EventPruned:      slog.LevelDebug, EventPruneFailed: slog.LevelWarn,
	EventEmergency: slog.LevelError, EventRecoveryFailed: slog.LevelError, EventRecovered: slog.LevelWarn,
}

// String is the name of the kind, as the log has it.
func (k EventKind) String() string {
	if k < 0 || int(k) >= eventKinds {
		return "unknown event"
	}
	return eventNames[k]
}

// Event is something that happened to a session. It never holds a token, an id or a session's data.
type Event struct {
	Kind EventKind
	// Handle names the session, where there is one.
	Handle Handle
	// UserID is whose session it is, where somebody is logged in.
	UserID string
	// Detail says more in a few words.
	Detail string
	// Count is how many sessions the event is about, where that is not one.
	Count int
	// Revocation is what may be promised about sessions that were ended: of EventLogout, EventRevoked and EventSuspicious.
	Revocation Revocation
	// Suspicion is what changed, of EventSuspicious. It holds IP addresses and user agents, which the default log leaves out.
	Suspicion *Suspicion
	// Err is what went wrong.
	Err error
}

// Observer is told what happens. It is called by the goroutine that serves the request and must return at once.
// It must be safe for concurrent use.
type Observer func(ctx context.Context, e Event)

// logObserver is the default Observer: a line for each event, at the level its kind deserves.
func logObserver(log *slog.Logger) Observer {
	var loadFailed atomic.Int64 // when the last line about it was, in Unix seconds
	return func(ctx context.Context, e Event) {
		level := eventLevels[e.Kind]
		if !log.Enabled(ctx, level) {
			return
		}
		// An outage is one fact, however many requests it meets.
		if now := time.Now().Unix(); e.Kind == EventLoadFailed && loadFailed.Swap(now) == now {
			return
		}
		attrs := make([]slog.Attr, 0, 5)
		if e.Handle != "" {
			attrs = append(attrs, slog.String("session", string(e.Handle)))
		}
		if e.UserID != "" {
			attrs = append(attrs, slog.String("user_id", e.UserID))
		}
		if e.Detail != "" {
			attrs = append(attrs, slog.String("detail", e.Detail))
		}
		if e.Count != 0 {
			attrs = append(attrs, slog.Int("count", e.Count))
		}
		if e.Revocation.MaxExposure > 0 {
			attrs = append(attrs, slog.Duration("max_exposure", e.Revocation.MaxExposure))
		}
		if e.Err != nil {
			attrs = append(attrs, slog.Any("error", e.Err))
		}
		log.LogAttrs(ctx, level, e.Kind.String(), attrs...)
	}
}

// eventCounts counts events by kind.
type eventCounts [eventKinds]atomic.Int64

func (m *Manager) observe(ctx context.Context, e Event) {
	m.counts[e.Kind].Add(int64(max(e.Count, 1)))
	m.observer(ctx, e)
}

// Count is how many events of a kind there were in this process. For EventPruned it counts the sessions.
func (m *Manager) Count(k EventKind) int64 {
	if k < 0 || int(k) >= eventKinds {
		return 0
	}
	return m.counts[k].Load()
}
