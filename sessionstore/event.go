package sessionstore

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// EventKind is the kind of an [Event].
type EventKind int

// The kinds of events, in the order of a session's life.
const (
	// EventCreated: a visitor without a session got one.
	EventCreated EventKind = iota
	// EventLogin: a user logged in. Level and Methods say how.
	EventLogin
	// EventLoginBegan: a user has given the first of two factors: see
	// [Session.BeginLogin]. UserID is the user of the pending login. Level and
	// Methods are those of that factor.
	EventLoginBegan
	// EventSteppedUp: a logged-in user proved once more who they are: see
	// [Session.StepUp].
	EventSteppedUp
	// EventRotated: a session got a new token.
	EventRotated
	// EventLogout: a request ended its own session, or a login of another user
	// ended the user's login. A logout of a session that had ended already is
	// no event.
	EventLogout
	// EventRevoked: sessions ended for another reason than a logout. Reason,
	// Actor and Count describe it.
	EventRevoked
	// EventForeignHandle: a user asked to end a session that has ended, or that
	// is not theirs. UserID is the user who asked.
	EventForeignHandle
	// EventExpired: a request came with the cookie of an expired session. Each
	// further request with it is another event until the row is pruned, and an
	// EventSessionNotFound afterwards.
	EventExpired
	// EventSessionNotFound: a request came with a cookie that we signed, and no
	// session has its token. The session was revoked, got another token, or
	// expired and was pruned.
	EventSessionNotFound
	// EventForged: a request came with a cookie of our name and without our
	// signature, or with one of another library without theirs: see
	// [LegacyConfig]. It costs no query.
	EventForged
	// EventForeignCookie: a request came with a cookie of our name that another
	// library has written. The response may replace it, and that library then
	// finds no session: see [CookieConfig.Format].
	EventForeignCookie
	// EventAdopted: a session of another library was taken over: see
	// [LegacyConfig].
	EventAdopted
	// EventAdoptFailed: a session of another library could not be taken over,
	// for the reason in Err. If it can't be read, its user is a visitor. For
	// another reason FromContext returns an error, and a later request tries
	// again.
	EventAdoptFailed
	// EventCookieConflict: a request came with two cookies of our name that we
	// signed, or with more than eight of any kind. None is trusted. The same
	// holds for cookies of another library.
	EventCookieConflict
	// EventLoadFailed: the store could not load a session.
	EventLoadFailed
	// EventSuspicious: a session is used from another network or program than
	// before. Detail says which and what was done, Suspicion has both clients,
	// Err is set if the session could not be ended. It comes once for each
	// place of a session and each action, in each process; the action is taken
	// at each request.
	EventSuspicious
	// EventChangeLost: a session ended elsewhere while a request was changing
	// it. The changes are void.
	EventChangeLost
	// EventChangeLate: a change is lost because its response had begun. Err
	// says why it could not be saved when the handler returned. Without Err it
	// needed a cookie, and the response bypassed our writer, which is a fault
	// of the program.
	EventChangeLate
	// EventDiscarded: the handler answered with a status of 500 or more.
	// Values, a login and a new token that no Save had kept are void.
	EventDiscarded
	// EventSaveFailed: the session could not be saved, and the client got an
	// error instead of the response.
	EventSaveFailed
	// EventLoginRefused: the store refused a login, for the reason in Err. It
	// comes without an EventSaveFailed. The user's sessions were revoked while
	// the login was under way, or before a session of an emergency was
	// restored, or before one of another library was taken over. Or the user's
	// session that it would go on from was ended meanwhile. Or a pending
	// login was not there any more when it was to be completed. Or the user has
	// as many sessions as [LimitConfig.DenyAtMaxSessions] allows. UserID is the
	// user's.
	EventLoginRefused
	// EventLimitFailed: a user's oldest sessions could not be ended after a
	// login. The next login tries again.
	EventLimitFailed
	// EventTouchFailed: uses of sessions could not be written. The next use of
	// each is.
	EventTouchFailed
	// EventWatchFailed: the store could not say which sessions of open
	// connections are alive. [Session.Watch] says how long they are kept. It
	// comes once for each outage.
	EventWatchFailed
	// EventUncached: a handler allowed shared caches to keep a response that
	// sets the session cookie. That was overridden.
	EventUncached
	// EventPruned: expired sessions, and old reasons for [Session.Ended], were
	// deleted; Count says how many.
	EventPruned
	// EventPruneFailed: expired sessions could not be deleted. They stay
	// expired.
	EventPruneFailed
	// EventEmergencyBegan: Postgres is unavailable, for the reason in Err. New
	// sessions live in the memory of this process.
	EventEmergencyBegan
	// EventRestoreFailed: Postgres answers, but the emergency can't end, for
	// the reason in Err. It comes once for each reason.
	EventRestoreFailed
	// EventRestoreLost: a session of the emergency is lost, since Postgres
	// refuses its values, for the reason in Err. It comes once for each such
	// session. The emergency ends without it.
	EventRestoreLost
	// EventEmergencyEnded: Postgres is available and has all revokes of the
	// emergency; Count is how many sessions were restored.
	EventEmergencyEnded
	// EventDropped: events were dropped since thousands waited for a slow
	// Observer; Count says how many. It comes in their place.
	EventDropped

	eventKinds int = iota
)

// eventTraits says how a kind of event is treated.
type eventTraits uint8

const (
	// everyLine: every event has a log line, since the library causes it, and
	// not a request.
	everyLine eventTraits = 1 << iota
	// audited: every event that names a user has a log line. A stranger needs
	// a password or a session to cause it, and an audit needs them all.
	audited
	// kept: a flood of other events does not displace it. Logins, revokes and
	// emergencies are kept. EventSuspicious is not: a client with one session
	// can cause it with each request.
	kept
)

// eventFacts has the name of each kind, which is its message in the log, its
// level there and its traits.
var eventFacts = [eventKinds]struct {
	name   string
	level  slog.Level
	traits eventTraits
}{
	EventCreated:         {"session created", slog.LevelDebug, 0},
	EventLogin:           {"session login", slog.LevelInfo, audited | kept},
	EventLoginBegan:      {"session login began", slog.LevelInfo, audited | kept},
	EventSteppedUp:       {"session stepped up", slog.LevelInfo, audited | kept},
	EventRotated:         {"session rotated", slog.LevelDebug, 0},
	EventLogout:          {"session logout", slog.LevelInfo, audited | kept},
	EventRevoked:         {"sessions revoked", slog.LevelInfo, audited | kept},
	EventForeignHandle:   {"session handle foreign", slog.LevelWarn, 0},
	EventExpired:         {"session expired", slog.LevelDebug, 0},
	EventSessionNotFound: {"session not found", slog.LevelDebug, 0},
	EventForged:          {"session cookie forged", slog.LevelInfo, 0},
	EventForeignCookie:   {"session cookie foreign", slog.LevelWarn, 0},
	EventAdopted:         {"session adopted", slog.LevelInfo, audited | kept},
	EventAdoptFailed:     {"session adoption failed", slog.LevelWarn, 0},
	EventCookieConflict:  {"session cookie conflict", slog.LevelWarn, 0},
	EventLoadFailed:      {"session load failed", slog.LevelWarn, 0},
	EventSuspicious:      {"session suspicious", slog.LevelWarn, 0},
	EventChangeLost:      {"session change lost", slog.LevelInfo, 0},
	EventChangeLate:      {"session change late", slog.LevelError, 0},
	EventDiscarded:       {"session changes discarded", slog.LevelInfo, 0},
	EventSaveFailed:      {"session save failed", slog.LevelError, 0},
	EventLoginRefused:    {"session login refused", slog.LevelWarn, kept},
	EventLimitFailed:     {"session limit failed", slog.LevelWarn, 0},
	EventTouchFailed:     {"session touch failed", slog.LevelWarn, everyLine},
	EventWatchFailed:     {"session watch failed", slog.LevelWarn, everyLine},
	EventUncached:        {"session response uncached", slog.LevelWarn, 0},
	EventPruned:          {"sessions pruned", slog.LevelDebug, everyLine},
	EventPruneFailed:     {"session prune failed", slog.LevelWarn, everyLine},
	EventEmergencyBegan:  {"session emergency began", slog.LevelError, everyLine | kept},
	EventRestoreFailed:   {"session restore failed", slog.LevelError, everyLine | kept},
	EventRestoreLost:     {"session restore lost", slog.LevelError, audited | kept},
	EventEmergencyEnded:  {"session emergency ended", slog.LevelWarn, everyLine | kept},
	EventDropped:         {"session events dropped", slog.LevelWarn, everyLine},
}

func (k EventKind) has(t eventTraits) bool { return eventFacts[k].traits&t != 0 }

// String returns the name of the kind, as in the log.
func (k EventKind) String() string {
	if k < 0 || int(k) >= eventKinds {
		return "unknown event"
	}
	return eventFacts[k].name
}

// Event reports what happened to a session. It has no token, no session id and
// no data of a session.
type Event struct {
	Kind EventKind
	// At is when it happened, by this process's clock. It may be delivered
	// later.
	At time.Time
	// Handle names the session; empty for none.
	Handle Handle
	// UserID is the session's user; empty without a login.
	UserID string
	// LoginID names the user's login, in all events of one session until the
	// next login. It is no credential. It is empty without a user, and in
	// events that name no session or know only its handle.
	LoginID string
	// Level and Methods are those of the login, for EventLogin, EventSteppedUp
	// and EventLoginBegan.
	Level   int
	Methods []Method
	// IP and UserAgent are where the request came from, as the session has
	// them, for EventLogin, EventLoginBegan, EventSteppedUp, EventAdopted,
	// EventLogout, EventLoginRefused, and an EventRevoked that a session of the
	// user asked for. They are zero if unknown, and with
	// [PrivacyConfig.DisableMetadata].
	IP        netip.Addr
	UserAgent string
	// Reason is why sessions ended, for EventLogout and EventRevoked.
	Reason Reason
	// Actor ended sessions, or tried to: the user of the request's session, or
	// the name given to [WithActor]. Empty if unknown.
	Actor string
	// Detail adds a few words.
	Detail string
	// Count is how many sessions the event concerns; 0 for one or none.
	Count int
	// Revocation reports what the end of the sessions guarantees, for
	// EventLogout, EventRevoked and EventSuspicious.
	Revocation Revocation
	// Suspicion is what changed, for EventSuspicious. It holds IP addresses and
	// user agents, which the default log leaves out of this event.
	Suspicion *Suspicion
	// Err is the cause of a failure; nil for none.
	Err error
}

// eventOf returns an event of a session.
func eventOf(rec *store.Record) Event {
	return Event{Handle: rec.ID.Handle(), UserID: rec.UserID, LoginID: rec.LoginID.String()}
}

// from returns the event with where its request came from.
func (e Event) from(c Client) Event {
	e.IP, e.UserAgent = c.IP, c.UserAgent
	return e
}

// Observer receives each event once, in order, in a goroutine of its own. A
// slow Observer delays no request. ctx has the values of the request's context,
// for a tracer or a log handler, but neither its session nor its deadline.
//
// If an Observer is slow, 4,096 events wait. Further ones are dropped, and an
// [EventDropped] says how many. Another 100,000 logins, logouts, revokes and
// emergencies wait beside them, so that others can't displace them.
// [Manager.Flush] waits until the events are delivered, and
// [Manager.Close] does too, for at most [Config.StoreTimeout]. Events that wait
// are lost if the process dies. Counts ([Manager.Count]) include events that
// wait.
//
// The default Observer is [LogEvents] of [Config.Logger]. Another one takes its
// place, and can call it.
//
// If an Observer panics, the panic and its stack are logged, the event counts
// as delivered, and the next one follows. net/http does the same for a handler.
type Observer func(ctx context.Context, e Event)
