package sessionstore

import (
	"context"
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
	// EventRotated: a session got a new token.
	EventRotated
	// EventLogout: a session was ended by its request.
	EventLogout
	// EventRevoked: sessions of a user were ended by somebody else than their own requests; Reason says why, Actor by whom, Count how
	// many.
	EventRevoked
	// EventForeignHandle: a user asked for the end of a session that is not theirs, or has ended. UserID is who asked.
	EventForeignHandle
	// EventExpired: the session of a cookie has expired. An anonymous request, and each further one with the cookie is another event,
	// until the row is pruned: then it is an EventSessionNotFound.
	EventExpired
	// EventSessionNotFound: a cookie that we signed names no session: it was revoked, has got another token, or has expired and was pruned. An
	// anonymous request.
	EventSessionNotFound
	// EventForged: a cookie of our name that we did not sign. An anonymous request, answered without a query.
	EventForged
	// EventCookieConflict: two cookies of our name, both signed by us, or more than eight of any kind. None is trusted.
	EventCookieConflict
	// EventLoadFailed: the store could not say what a session holds.
	EventLoadFailed
	// EventSuspicious: the session is used from another network or program than
	// before. Detail says which and what was done about it, Suspicion has both
	// clients, Err says that the session could not be ended. It comes once for
	// each place of a session and each action, in each process; the action is
	// taken with each request.
	EventSuspicious
	// EventChangeLost: a session was ended elsewhere while a request was changing it; the changes are void.
	EventChangeLost
	// EventChangeLate: a change was lost since its response had begun. Err says
	// why it could not be saved when the handler returned; without Err it
	// needed a cookie, and the response bypassed our writer: a fault of the
	// program.
	EventChangeLate
	// EventDiscarded: the handler answered with a status of 500 or more.
	// Values, a login and a new token that no Save had kept are void.
	EventDiscarded
	// EventSaveFailed: the session could not be saved and the client got an error instead of the response.
	EventSaveFailed
	// EventLoginRefused: the sessions of the user were revoked while a login
	// was under way, or before a session of an emergency reached Postgres.
	// UserID is the user's.
	EventLoginRefused
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
	// EventEmergencyBegan: Postgres is away. Sessions that begin now live in this process's memory; Err says why.
	EventEmergencyBegan
	// EventRestoreFailed: Postgres answers, and the emergency can't be ended all the same; Err says why. Told once for each reason.
	EventRestoreFailed
	// EventEmergencyEnded: Postgres is back and knows what happened meanwhile; Count is how many sessions moved there.
	EventEmergencyEnded
	// EventDropped: events were not delivered, since thousands waited for an Observer that is too slow; Count says how many. It stands where
	// they would have stood.
	EventDropped

	eventKinds int = iota
)

var eventNames = [eventKinds]string{
	"session created", "session login", "session rotated", "session logout", "sessions revoked", "session handle foreign", "session expired", "session not found",
	"session cookie forged", "session cookie conflict", "session load failed", "session suspicious",
	"session change lost", "session change late", "session changes discarded", "session save failed", "session login refused", "session limit failed", "session touch failed",
	"session watch failed",
	"session response uncached", "sessions pruned", "session prune failed",
	"session emergency began", "session restore failed", "session emergency ended",
	"session events dropped",
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
	// At is when it happened, by this process's clock. It may be told of later.
	At time.Time
	// Handle names the session, where there is one.
	Handle Handle
	// UserID is whose session it is, where somebody is logged in.
	UserID string
	// Reason is why sessions were ended: of EventLogout and EventRevoked.
	Reason Reason
	// Actor is who did it, of events that end sessions and of EventForeignHandle: the user of the session whose request it was, or whom
	// [WithActor] names. Empty where nobody is known, as for a suspicion.
	Actor string
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

// Observer is told what happens: each event once, one after the other, in their order, by a goroutine of its own, so that one that
// takes its time or hangs delays no request. ctx has the values of the request's context, for a tracer or a log handler, but not
// its session, nor its deadline: the request may be over.
//
// Events wait for an Observer that is slow, 4,096 of them at most. What comes beyond that is dropped, and an [EventDropped] says how
// many. Logins, logouts, revocations, suspicions and emergencies are not dropped for others: 100,000 of them wait beside those.
// [Manager.FlushEvents] waits for those that wait, [Manager.Close] does so for [Config.StoreTimeout] at most. They are in this process's memory
// till then, and lost if it dies. Counts ([Manager.Count]) don't wait.
//
// The default Observer writes a line for each event to [Config.Logger]. Events
// that a stranger can cause, such as EventForged, have one line a second for
// each kind, after ten at once; "omitted" is how many had none since the line
// before. All events of users who log in or out, of revokes and of emergencies
// have their line.
//
// An Observer that panics is treated as net/http treats a handler: the panic goes to the log ([Config.Logger]) with its stack, the
// event counts as delivered, and the next one comes.
type Observer func(ctx context.Context, e Event)

// eventCounts counts events by kind.
type eventCounts [eventKinds]atomic.Int64
