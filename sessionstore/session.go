package sessionstore

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Session is the session of one request: the values as they were loaded, and what the request changed. Changes
// are kept here until they are saved together with the response, just before its first byte, or by [Session.Save].
//
// A request that another site caused may come without the session's cookie: see
// [Session.Withheld].
//
// A Session comes from [FromContext]. A visitor without a session gets an empty one, which costs nothing unless
// something is set in it. Its methods may be called by many goroutines at once, as long as the request lasts;
// afterwards they return [ErrRequestEnded]. It prints as its handle, never as its contents.
type Session struct {
	core   *core
	client Client // of this request; zero when it isn't tracked

	started time.Time // when the request began
	own     *ownMarks // of the request's revokes

	// saving is held over a whole save, so that two saves of one request don't race. mu never is held over I/O.
	saving sync.Mutex

	mu         sync.Mutex
	identity   identity
	vacant     identity     // without a session: none or withheld
	rec        store.Record // as last loaded or saved
	token      cookie.Token // rec's
	minVersion int64        // the version of it that the browser has seen, where a cache may not have
	edits      map[string]edit
	hidden     *hiddenSession // loaded, and hidden: see ActionRequireLogin

	// What the next save is to do beside the edits.
	userID  string          // to be logged in
	renew   bool            // to get a new token
	drop    bool            // rec.Data belongs to another user, or the login drops it
	fresh   bool            // the login drops what the session holds, whatever that is by then
	deletes []pendingDelete // logged out, to be deleted
	round   int             // raised when a save takes the edits, so that later ones are told apart
	// pending is the new token of a change that was not answered, for its
	// repetition; nil for none.
	pending *cookie.Token
	life    int // raised when the session is forgotten, so that a save under way doesn't bring it back

	// presented are sessions that the request has cookies of and can't use. A
	// Logout ends them.
	presented []pendingDelete

	// What the response is to do about the cookie.
	persist bool // it outlives the browser
	kept    bool // persist, as it was loaded or saved
	chosen  bool // persist, by this request
	left    bool // logged out: it must be cleared

	// goesOn: ServeWithheld has answered.
	goesOn      bool
	headersSent bool
	ended       bool
}

// pendingDelete is a session that was logged out, and who did it.
type pendingDelete struct {
	store.Record
	next store.ID // of an unanswered change of token; zero for none
	by   actor
	// unrestored: another instance has it in memory, in an emergency.
	unrestored bool
}

// edit is one changed value; a nil value means removed.
type edit struct {
	value json.RawMessage
	round int
}

// UserID is who is logged in, a pending [Session.Login] or [Session.Logout] included; empty for nobody.
func (s *Session) UserID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.userID != "" {
		return s.userID
	}
	return s.rec.UserID
}

// AuthenticatedAt is when the user last logged in, by the store's clock; zero when nobody has, or when the login
// is part of this request and not saved yet.
func (s *Session) AuthenticatedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.userID != "" {
		return time.Time{}
	}
	return s.rec.AuthenticatedAt
}

// Record is the session as it was last loaded or saved, changes not included; false when it is not in the store.
func (s *Session) Record() (store.Record, bool) { return s.current() }

// current returns the session as it was last loaded or saved; false if it is
// not in the store.
func (s *Session) current() (store.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec, s.identity == stored
}

// Handle is the session's public name; empty when it is not in the store.
func (s *Session) Handle() Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handle()
}

// Format writes the session's handle, whatever the verb: contents never get into a log by way of fmt.
func (s *Session) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "session "+string(s.Handle()))
}

// LogValue is the session's handle.
func (s *Session) LogValue() slog.Value { return slog.StringValue(string(s.Handle())) }

// MarshalText is the session's handle.
func (s *Session) MarshalText() ([]byte, error) { return []byte(s.Handle()), nil }

func (s *Session) handle() Handle {
	if s.identity != stored {
		return ""
	}
	return s.rec.ID.Handle()
}

// storeNow is the store's clock when it answered.
func storeNow(r *store.Record) time.Time {
	if r.AnsweredAt.IsZero() {
		return r.ValidatedAt
	}
	return r.AnsweredAt
}

// identity says which session a request has. Its zero value is none.
type identity int

const (
	none     identity = iota // no session; the first value that is set begins one
	stored                   // rec is in the store
	hidden                   // loaded, and hidden for suspicion: see ActionRequireLogin
	withheld                 // the browser may have one that did not come: none begins but by a login
)

// hiddenSession is a session that was loaded and is hidden from its request.
type hiddenSession struct {
	rec        store.Record
	token      cookie.Token
	minVersion int64
	persist    bool
}

// hide hides the session from its request.
func (s *Session) hide() {
	s.hidden = &hiddenSession{rec: s.rec, token: s.token, minVersion: s.minVersion, persist: s.persist}
	s.identity, s.rec, s.token, s.minVersion, s.drop, s.renew = hidden, store.Record{}, cookie.Token{}, 0, false, false
	s.persist, s.kept = false, false // another session begins without it
}

// unhide brings a hidden session back to its user, who has just proved who they
// are. Its token may be in other hands.
func (s *Session) unhide(userID string) {
	if s.identity != hidden || s.hidden.rec.UserID != userID {
		return
	}
	s.identity, s.rec, s.token, s.minVersion = stored, s.hidden.rec, s.hidden.token, s.hidden.minVersion
	s.renew, s.kept = true, s.hidden.persist
	if !s.chosen {
		s.persist = s.kept
	}
}

// forget makes the session an empty one that is not in the store.
func (s *Session) forget() {
	s.identity, s.rec, s.edits = s.vacant, store.Record{}, nil
	s.userID, s.renew, s.drop, s.fresh, s.persist, s.kept, s.chosen = "", false, false, false, false, false, false
	s.token, s.minVersion, s.hidden, s.pending = cookie.Token{}, 0, nil, nil
	s.life++
}

func (s *Session) discard() {
	s.persist, s.chosen = s.kept, false
	s.edits, s.userID, s.renew, s.drop, s.fresh, s.pending = nil, "", false, false, false, nil
	if s.hidden != nil && s.identity == stored {
		s.hide() // the login that brought it back is void
	}
}

// ephemeral reports whether values live for the request only. The caller holds
// s.mu.
func (s *Session) ephemeral() bool {
	return s.identity != stored && s.vacant == withheld && s.userID == ""
}
