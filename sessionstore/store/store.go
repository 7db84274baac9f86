// Package store is the contract between package sessionstore and what keeps its
// sessions: the Store interface, the values that pass through it, its errors,
// and the Tracer that measures its calls. Of this module it imports only
// internal/coherence, for the age of a login.
//
// An application imports package sessionstore. This package is for those who
// implement a Store or a Tracer. The suite in
// [github.com/reporadar/pgsession/sessionstore/storetest] checks a Store.
package store

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"time"
)

// Store keeps sessions. The stores of this module honour this contract, and the
// suite in [github.com/reporadar/pgsession/sessionstore/storetest] checks it,
// case by case.
//
// A session is alive while its record is there and its deadline has not passed
// by the store's own clock. Every method looks at both itself; nothing depends
// on a prune having run.
//
// Only Create makes a session exist. Save, Rotate and Touch change a session
// that is alive and never bring one back, so a request that was slow to finish
// can't undo a logout.
//
// Concurrent Saves of one session merge key by key: each writes the keys it
// changed and leaves the others.
//
// Deadlines come from the store's clock and from the [Expiry] it was made with.
// A use never moves them backwards, and never moves the absolute one. That
// moves in a Rotate that logs a user in, which starts a new session in all but
// data, and in a change with a Lifetime, which may also shorten it.
//
// A session that is not alive is [ErrNotFound]. A store that can't answer is
// [ErrUnavailable]. A change that was sent and not answered is
// [ErrOutcomeUnknown] too: it is made or not, and the same call may be made
// again. Errors hold no ids and no data.
//
// A login is a Create with a user, or a Save or Rotate that sets one. It writes
// its session first and then looks for the marks of revokes. If one is later
// than the login began, the session ends, and the error is [ErrRevoked]. If the
// store can't look, the error is [ErrUnavailable]: the session may be there,
// and its token must not be given out. A Save of it with the same Began looks
// again.
//
// A login replaces the session's LoginID, Methods and Tags, and ends a pending
// login. Any other change keeps them: a rotation copies them. A pending login
// is looked at by marks as a login is. Its session has no user yet. It stands
// in the lists of its pending user, and a revoke of that user ends it, but no
// limit counts it.
//
// All methods may be called by many goroutines at once. They give up when their
// context ends. They keep none of the slices and maps they are given, and what
// they return belongs to the caller, except that Record.Data must not be
// written to.
type Store interface {
	// Create makes a new session. An id that is taken, alive or not, is
	// ErrExists and nothing changes.
	Create(ctx context.Context, d Draft) (Record, error)

	// Load returns the session, at minVersion or a later version. It never
	// extends it. One that has expired and is still there, since nothing has
	// pruned it, is ErrExpired. One that a Delete or a Revoke with a Handle has
	// ended is ErrEnded, and one that a Revoke with Keep has ended is
	// ErrReplaced, as long as the store has the reason. A minimum version that
	// the session has not reached changes nothing: what counts is what the
	// store knows now, and a cache asks it when it is behind.
	Load(ctx context.Context, id ID, minVersion int64) (Record, error)

	// Save applies a change, raises the version by one, extends a sliding
	// session, and returns the merged result. With Change.UserID set, data that
	// belonged to another user is dropped.
	Save(ctx context.Context, id ID, c Change) (Record, error)

	// Rotate moves the session to a new id, with a change applied, in one step:
	// no moment has both ids or neither. With Change.UserID set it is a login:
	// both deadlines start afresh, and data that belonged to another user is
	// dropped. With Change.StepUp, PendingUserID or Completes the session must
	// be as these fields say, or nothing changes.
	Rotate(ctx context.Context, old, id ID, c Change) (Record, error)

	// Touch notes that sessions were used just now and extends the sliding
	// ones. Those that are not alive are passed over. It leaves version and
	// data. A touch may be forgotten by a crash.
	Touch(ctx context.Context, t []Touch) error

	// Delete ends a session. Ending one that is not there is no error. The
	// Revocation counts also when there is one.
	Delete(ctx context.Context, id ID) (Revocation, error)

	// List returns live sessions of a user, the newest first, from where the
	// page before ended. Their Data is nil: a list shows where sessions are
	// used, and not what they hold.
	//
	// Of the pending logins between two sessions of a page it may have the
	// newest only: see [Page.PendingLimit].
	//
	// With Page.Tag they are the sessions with this tag, and with Page.All
	// those of all users and visitors; userID is empty then.
	List(ctx context.Context, userID string, p Page) ([]Record, error)

	// Revoke ends the sessions of a selection, all that there were when it was
	// called, and returns their ids; not with Selection.All, which may end
	// millions. None is no error. A revoke of a user, of a tag or of all users
	// leaves a mark first.
	Revoke(ctx context.Context, s Selection) ([]ID, Revocation, error)

	// Alive says which sessions are alive, by the truth and not by a cache, and
	// which are not; it extends none. With an error, those that it could not
	// find out about are in neither list.
	Alive(ctx context.Context, ids []ID) (alive, ended []ID, err error)

	// Prune deletes at most max expired sessions, and reasons for ErrEnded that
	// are too old, and returns how many. ok is
	// false when another caller, here or on another instance, is pruning;
	// nothing was deleted then. max is between 1 and 100,000.
	Prune(ctx context.Context, max int) (n int, ok bool, err error)

	// Stats counts the sessions. With exact it reads them all; without, it may
	// estimate and costs little on any size.
	Stats(ctx context.Context, exact bool) (Stats, error)

	// Name is what logs and health call the store: "postgres", "redis,
	// postgres", "memory".
	Name() string
}

// Expiry is when sessions end. All durations are positive.
type Expiry struct {
	// Idle ends a session this long after its last use.
	Idle time.Duration
	// Absolute ends it this long after its creation or login, used or not. At
	// least Idle. A session may have a shorter lifetime of its own.
	Absolute time.Duration
	// Fixed turns sliding off: a session ends Idle after creation or login,
	// however much it is used.
	Fixed bool
}

// Lifetime returns for how long after its creation a session may live that is
// given a lifetime of its own: at most Absolute, which is also that of 0.
func (e Expiry) Lifetime(own time.Duration) time.Duration {
	if own <= 0 || own > e.Absolute {
		return e.Absolute
	}
	return own
}

// TouchInterval is the least time between two touches of one session: a minute,
// or a tenth of a shorter idle timeout.
func (e Expiry) TouchInterval() time.Duration { return min(time.Minute, e.Idle/10) }

// Resolution is the step in which deadlines move. They are rounded up to it, so
// most touches leave the indexed deadline as it was and cost Postgres a
// heap-only update. A session never ends before its idle timeout has passed
// since the last use that was noted (one within a touch interval of another is
// not), and at most one resolution after it.
func (e Expiry) Resolution() time.Duration {
	return max(min(e.Idle/128, time.Hour), e.TouchInterval(), time.Microsecond)
}

// Record is a session as its store has it.
type Record struct {
	ID ID
	// UserID is who is logged in; empty before login.
	UserID string
	// Data is one JSON object, a member for each key. It may be shared: it is
	// not to be written to.
	Data json.RawMessage
	// Version starts at 1 and rises with every Save and Rotate.
	Version int64

	CreatedAt time.Time
	// AuthenticatedAt is when the user logged in; zero before login.
	AuthenticatedAt   time.Time
	LastSeenAt        time.Time
	ExpiresAt         time.Time
	AbsoluteExpiresAt time.Time
	// ValidatedAt is Postgres's clock when this record was read or written
	// there.
	ValidatedAt time.Time
	// AnsweredAt is that clock when the store answered: later than ValidatedAt
	// where a cache did. Zero is ValidatedAt.
	AnsweredAt time.Time
	// MinVersion is the version that the client must ask for next, since a
	// cache may hold an older one. Mostly 0.
	MinVersion int64
	// Emergency reports that the session is in the memory of one process, until
	// Postgres is available again.
	Emergency bool

	// LoginID names the login; zero before login.
	LoginID LoginID
	// Methods are how the user logged in, with what a step-up has added. Of a
	// pending login they are those that were accepted so far.
	Methods Methods
	// PendingUserID is whose login is pending; empty without one, and then
	// PendingSince is zero. UserID is empty as long as it is pending, also
	// after [PendingTimeout].
	PendingUserID string
	// PendingSince is when the pending login began.
	PendingSince time.Time

	// Began is when the login of a session in memory began. Postgres keeps
	// AuthenticatedAt alone.
	Began Began
	// Tags are those of a session in memory. A load from Postgres leaves them
	// out. They are not to be written to.
	Tags []Tag

	Client
}

// Client is where a session was last used from. Zero fields are unknown.
type Client struct {
	IP        netip.Addr
	UserAgent string
}

// Page is a part of the sessions of a user, of those with a tag, or of all. The
// zero Page is a user's first one.
type Page struct {
	// Tag lists the sessions with this tag, of all users. The zero Tag lists
	// those of a user.
	Tag Tag
	// All lists the sessions of all users and visitors. Tag is zero then.
	All bool

	// Before and After are the creation and the id of the last session that was
	// seen.
	Before time.Time
	After  ID
	// Max is how many sessions the page has at most: 100 when it is 0, and
	// never more than 1000.
	Max int
}

// Limit is how many sessions the page has at most.
func (p Page) Limit() int {
	const usual, most = 100, 1000
	if p.Max <= 0 {
		return usual
	}
	return min(p.Max, most)
}

// PendingLimit is how many pending logins a page of a user has at most: a tenth
// of it, and at least one. An attacker with the password begins any number of
// them, which would hide the user's sessions.
func (p Page) PendingLimit() int { return max(1, p.Limit()/10) }

// Selection names sessions to be ended: those of a user, those with a tag, or
// all.
type Selection struct {
	// UserID is whose sessions, pending logins included. Without it, Tag and
	// All, the selection is empty.
	UserID string
	// Handle picks one session of the user.
	Handle Handle
	// Except spares one session.
	Except ID
	// Keep spares those with the latest logins, so many; 0 spares none. It does
	// not count or end pending logins.
	Keep int
	// All is every session of all users.
	All bool
	// Before, with All, ends only the sessions that were created before this
	// time, by the store's clock, or whose login is older: a login creates one,
	// but for that of another library. The mark is that of
	// all users, at the time of the revoke. Zero is for all sessions.
	Before time.Time
	// Tag selects the sessions with this tag, of all users. It is used with
	// Except only. The zero Tag selects none.
	Tag Tag
	// Mark is the id of the mark that the revoke leaves, where it leaves one:
	// all of a user's sessions, of a tag's or of all users, but for Except.
	// The zero MarkID has the store draw one.
	Mark MarkID
	// Progress is called while a long Revoke goes on, with how many sessions it
	// has ended so far. Nil is for no calls.
	Progress func(ended int)
}

// Draft is a session to be created.
type Draft struct {
	ID     ID
	UserID string
	// MaxSessions is how many sessions the user may have, this one included;
	// more is ErrTooManySessions and nothing changes. 0 is no limit.
	MaxSessions int
	// Data is one JSON object; nil is an empty one.
	Data json.RawMessage
	// Age is how long the session has existed elsewhere. Its creation, its
	// login and its absolute timeout are so much earlier, and so is its idle
	// timeout when that does not slide. Zero for a new one.
	Age time.Duration
	// LoginAge is how long ago the user of a session of another library logged
	// in, which is not when the session began here: AuthenticatedAt is so much
	// earlier. It counts with UserID only. Zero is Age.
	LoginAge time.Duration
	// Idle is how long the session may be idle before its first use; zero is
	// the Idle of the store's Expiry. The absolute timeout bounds it.
	Idle time.Duration
	// Lifetime ends the session this long after its creation, at most Absolute
	// of the store's Expiry, which is also that of 0. Age counts towards it.
	Lifetime time.Duration
	// Began is when the login began. It counts with UserID or PendingUserID
	// only.
	Began Began
	// LoginID names the login. It counts with UserID only.
	LoginID LoginID
	// Methods and Tags are those of the login. They count with UserID or
	// PendingUserID only.
	Methods []Method
	Tags    []Tag
	// PendingUserID, when not empty, begins a login of this user that has yet
	// to be completed. UserID is empty then.
	PendingUserID string
	// PendingSince is when the pending login began, by the caller's clock; zero
	// is now. Only a restore sets it.
	PendingSince time.Time
	Client
}

// SinceLogin returns how long ago the user has logged in.
func (d *Draft) SinceLogin() time.Duration { return cmp.Or(d.LoginAge, d.Age) }

// IdleIn returns for how long from now on a new session may be idle, under an
// Expiry. It is negative if the timeout does not slide and the session was
// older than it.
func (d *Draft) IdleIn(e Expiry) time.Duration {
	idle := cmp.Or(d.Idle, e.Idle)
	if e.Fixed {
		idle -= d.Age
	}
	return idle
}

// Change is what a request did to a session.
type Change struct {
	// Set holds the new values, each one JSON value.
	Set map[string]json.RawMessage
	// Removed names the values that are gone. A name that is also in Set is
	// set.
	Removed []string
	// DropData removes all values but those in Set.
	DropData bool
	// UserID, when not empty, logs this user in: AuthenticatedAt becomes now.
	// Data of another user, or of another user's pending login, is dropped.
	UserID string
	// MaxSessions is as in a Draft. It counts with UserID only.
	MaxSessions int
	// Lifetime ends the session this long after now, sooner or later than
	// before, but no later than Absolute of the store's Expiry after its
	// creation. A Rotate with UserID is a creation. The change is a use, also
	// with timeouts that don't slide. 0 leaves the deadline as it is, and after
	// a creation it is Absolute.
	//
	// A cache may serve the session with a later deadline for its freshness and
	// grace, as it may serve an older version.
	Lifetime time.Duration
	// Began is when the login began. With UserID or with a Began that is not
	// zero, the session's user must not have been revoked since.
	Began Began
	// LoginID names the login that begins, with UserID. With StepUp it is that
	// of the login which the session must have.
	LoginID LoginID
	// Methods are those of the login, or those that StepUp adds. They count
	// with UserID, PendingUserID or StepUp only.
	Methods []Method
	// Tags are those of the login. They count with UserID or PendingUserID
	// only.
	Tags []Tag
	// PendingUserID, when not empty, begins a login of this user that has yet
	// to be completed: PendingSince becomes now. Only a Rotate without UserID
	// has it. A session with a user is [ErrNotFound]. Data of another user's
	// pending login is dropped.
	PendingUserID string
	// Completes completes the pending login of UserID, in a Rotate. It is a
	// login that began when the pending one did, and keeps its methods and
	// tags. Without a pending login of this user, or after [PendingTimeout], it
	// is [ErrNoPendingLogin].
	Completes bool
	// StepUp adds Methods to the login that LoginID names, in a Rotate without
	// UserID; one of the same name is replaced. If the session has another
	// login, or no user, it is [ErrNotFound].
	StepUp bool
	// Client overwrites those of its fields that are known.
	Client
}

// Touch is one use of a session.
type Touch struct {
	ID ID
	// Client overwrites those of its fields that are known.
	Client
}

// Revocation is what may be promised about sessions that were ended.
type Revocation struct {
	// Count is how many sessions were ended. A Delete does not count.
	Count int
	// Committed: Postgres has ended them, durably. Without it, in an emergency
	// or after an error, nothing is promised to other instances yet.
	Committed bool
	// Missed: a Delete found no session. It may have ended before, or another
	// request has rotated it. A store that can't say so leaves it false.
	Missed bool
	// Repeated: the Delete was sent again since its reply was lost. If it
	// Missed, the session may have ended by the first one.
	Repeated bool
	// CacheAcked: the cache knows, or there is none. With a local cache it is
	// that of this process.
	CacheAcked bool
	// MaxExposure is for how long after the commit other instances may still
	// serve what they find in the cache. It is 0 without a cache. With one it
	// is 0 for a Delete or a revoke by handle that ended one session and is
	// CacheAcked: for that token. A token that the session had before counts
	// from the change. All other revokes promise the freshness, the grace of an
	// emergency and 250 ms, since one call does not see all that the cache may
	// hold of a user. With a local cache each revoke promises that.
	MaxExposure time.Duration
}

// Merge is a client with what is known of a newer sight of it.
func (c Client) Merge(newer Client) Client {
	if newer.IP.IsValid() {
		c.IP = newer.IP
	}
	if newer.UserAgent != "" {
		c.UserAgent = newer.UserAgent
	}
	return c
}
