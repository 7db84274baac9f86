package sessionstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Session is the session of one request: its values as they were loaded, and
// what the request changed. The changes are saved with the response, just
// before its first byte, or by [Session.Save].
//
// A Session comes from [FromContext]. A visitor without a session gets an empty
// one, which costs nothing unless something is set in it. A request that
// another site caused may come without the session's cookie: see
// [Session.Withheld].
//
// Many goroutines may use a Session at once while the request lasts. After the
// request its methods return [ErrRequestEnded]. A Session prints as its handle,
// never as its contents.
type Session struct {
	core    *core
	client  Client    // of this request; zero if clients are not tracked
	started time.Time // of the request, before its handler: a login began no earlier
	own     *ownMarks // of the request's revokes

	// mu guards all that follows. It is never held over I/O.
	mu    sync.Mutex
	phase phase

	identity   identity
	vacant     identity       // without a session: none or withheld
	remembered bool           // the cookie outlives the browser, as loaded or saved
	loggedOut  bool           // and no other session was saved since
	logouts    int            // that were carried out
	saves      bool           // a save of this request has changed rec under its token
	expiry     bool           // so has one that moved the deadline of rec
	continued  bool           // ServeWithheld has answered
	saving     bool           // a save is under way: it has taken next
	sparing    bool           // a revoke of the user's other sessions is under way
	barred     bool           // its user's session was ended by another: see Session.write
	rec        store.Record   // as last loaded or saved; zero without a session
	readAt     time.Time      // by this process, when it read or wrote rec
	token      cookie.Token   // of rec
	minVersion int64          // minimum version that the browser's cookie demands
	hidden     *hiddenSession // until the login that brings it back is saved; nil for none
	ended      Ending         // of the session that the cookie names

	next    pending       // what the next save does
	sending edits         // of the save under way: it is not known to have them
	saved   chan struct{} // closed when it or a revoke ends; nil if nothing waits

	// presented are sessions that the request has cookies of and can't use. A
	// Logout ends them.
	presented []pendingDelete
	// unread is the request if it has too many cookies to look at. A Logout
	// looks at them all. Nil for none.
	unread *http.Request
	// legacy is the request while sessions of another library are taken over. A
	// Logout ends those of its cookies. Nil otherwise.
	legacy *http.Request
}

// phase is how far a request has come.
type phase uint8

const (
	phaseOpen       phase = iota // nothing is sent, everything may change
	phaseCommitting              // the session is being saved for the response
	phaseSent                    // the response has begun, no cookie can be set
	phaseRefused                 // an error is sent in its place, nothing is saved
	phaseClosed                  // the request is over
)

// identity is which session a request has.
type identity uint8

const (
	none     identity = iota // none: the first value that is set begins one
	stored                   // rec, which is in the store
	hidden                   // none, since a suspicion hides it: see ActionRequireLogin
	withheld                 // unknown: only a login begins one
)

// pending is what the next save does. The zero value is nothing.
type pending struct {
	deletes  []pendingDelete
	edits    edits
	auth     authentication
	drop     drop
	remember remember
	lifetime time.Duration // from the save on; 0 for none of its own
	rotate   bool          // to a new token
	// rotated is the new token of a Rotate whose outcome is unknown, for its
	// repetition; nil for none. tried: that Rotate had auth as it is now.
	rotated *cookie.Token
	tried   bool
}

// pendingDelete is a session that was logged out, and who did it.
type pendingDelete struct {
	store.Record
	next store.ID // of a Rotate whose outcome is unknown; zero for none
	by   actor
	// sid is that of the other library's session, which ends first; "" for
	// none.
	sid string
	// unrestored: another instance has it in memory, in an emergency.
	unrestored bool
	// unseen: whether it is alive was not looked at.
	unseen bool
	// unsure: an earlier Delete may have ended it.
	unsure bool
	// missed: the Delete found no session.
	missed bool
}

// edits are changed values by their key; nil for a removed one.
type edits map[string]json.RawMessage

// drop is what a pending login drops of the session's values.
type drop uint8

const (
	dropNothing drop = iota
	dropLoaded       // they belong to another user
	dropAll          // and those that other requests store meanwhile: DropValues
)

// remember is what the request decided about a cookie that outlives the
// browser.
type remember uint8

const (
	rememberAsBefore remember = iota
	rememberOn
	rememberOff
)

// hiddenSession is a session that was loaded and is hidden from its request.
type hiddenSession struct {
	rec        store.Record
	token      cookie.Token
	minVersion int64
	remembered bool
}

// owner returns the user, or that of the pending login.
func (h *hiddenSession) owner() string { return cmp.Or(h.rec.UserID, h.rec.PendingUserID) }

// UserID returns the user, or "" if none is logged in. A pending
// [Session.Login] or [Session.Logout] counts. The user of a login that has yet
// to be completed is [Session.PendingUserID] and not here.
func (s *Session) UserID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user()
}

// Handle returns the session's public name, or "" if it is not in the store.
func (s *Session) Handle() Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handle()
}

// Format writes the session's handle, whatever the verb: fmt never shows its
// contents.
func (s *Session) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "session "+string(s.Handle()))
}

// LogValue returns the session's handle.
func (s *Session) LogValue() slog.Value { return slog.StringValue(string(s.Handle())) }

// MarshalText returns the session's handle.
func (s *Session) MarshalText() ([]byte, error) { return []byte(s.Handle()), nil }

// current returns the session as it was last loaded or saved; false if it is
// not in the store.
func (s *Session) current() (rec store.Record, isStored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec, s.identity == stored
}

// The caller of each method below holds s.mu.

// user returns the user, with a pending change.
func (s *Session) user() string {
	if userID := s.next.auth.logsIn(); userID != "" {
		return userID
	}
	return s.rec.UserID
}

func (s *Session) handle() Handle {
	if s.identity != stored {
		return ""
	}
	return s.rec.ID.Handle()
}

// event returns an event of the session.
func (s *Session) event(kind EventKind) Event {
	return Event{
		Kind: kind, Handle: s.handle(), UserID: s.rec.UserID, LoginID: s.rec.LoginID.String(),
	}
}

// persistent reports whether the cookie outlives the browser.
func (s *Session) persistent() bool {
	if !s.core.cfg.Profile.remembers() || s.core.cfg.Bearer {
		return false
	}
	switch s.next.remember {
	case rememberOn:
		return true
	case rememberOff:
		return false
	}
	return s.remembered || s.identity != stored && s.core.cfg.Cookie.Format != nil &&
		s.core.cfg.Cookie.Persistent
}

// ephemeral reports whether values live for the request only.
func (s *Session) ephemeral() bool {
	return s.identity != stored && s.vacant == withheld && s.next.auth.step == noStep
}

// edited reports whether values were changed, and are not known to be saved.
func (s *Session) edited() bool { return len(s.next.edits)+len(s.sending) > 0 }

// unsaved reports whether values, a login, a new token or a deadline are not
// known to be saved.
func (s *Session) unsaved() bool {
	return s.edited() && !s.ephemeral() || s.next.auth.step != noStep || s.next.rotate ||
		s.expires()
}

// discard takes back what is pending, but for a logout.
func (s *Session) discard() {
	s.next, s.sending = pending{deletes: s.next.deletes}, nil
	if s.hidden != nil && s.identity == stored {
		s.hide() // the login that brought it back is void
	}
}

// forget makes the session an empty one that is not in the store.
func (s *Session) forget() {
	s.next, s.sending = pending{deletes: s.next.deletes}, nil
	s.identity, s.rec, s.token, s.minVersion = s.vacant, store.Record{}, cookie.Token{}, 0
	s.remembered, s.hidden = false, nil
}

// hide hides the session from its request.
func (s *Session) hide() {
	s.hidden = &hiddenSession{s.rec, s.token, s.minVersion, s.remembered}
	s.identity, s.rec, s.token, s.minVersion = hidden, store.Record{}, cookie.Token{}, 0
	s.remembered = false // another session begins without it
}

// unhide brings a hidden session back to its user, who has just proved who they
// are. It gets a new token, since an attacker may have the old one.
func (s *Session) unhide(userID string) {
	h := s.hidden
	if s.identity != hidden || h.rec.UserID != userID {
		return
	}
	s.identity, s.rec, s.token, s.minVersion = stored, h.rec, h.token, h.minVersion
	s.remembered, s.next.rotate = h.remembered, true
}

// awaitSave returns when no save is under way. It unlocks s.mu while it waits.
// The error is that of ctx, and an ErrUnavailable.
func (s *Session) awaitSave(ctx context.Context) error {
	return s.await(ctx, func() bool { return !s.saving })
}

// awaitTurn is awaitSave for what changes the session in the store, or depends
// on its id: it also waits for a revoke that spares this session.
func (s *Session) awaitTurn(ctx context.Context) error {
	return s.await(ctx, func() bool { return !s.saving && !s.sparing })
}

func (s *Session) await(ctx context.Context, free func() bool) error {
	for !free() {
		if s.saved == nil {
			s.saved = make(chan struct{})
		}
		saved := s.saved
		s.mu.Unlock()
		select {
		case <-saved:
			s.mu.Lock()
		case <-ctx.Done():
			s.mu.Lock()
			return fmt.Errorf("waiting for another save: %w: %w", ErrUnavailable, ctx.Err())
		}
	}
	return nil
}

// freed wakes what waits for the end of a save or a revoke.
func (s *Session) freed() {
	if s.saved != nil {
		close(s.saved)
		s.saved = nil
	}
}

// clock returns the store's clock now: a request can last for hours. The caller
// holds s.mu.
func (s *Session) clock() time.Time { return storeNow(&s.rec).Add(time.Since(s.readAt)) }

// storeNow returns the store's clock when it replied.
func storeNow(r *store.Record) time.Time {
	if r.AnsweredAt.IsZero() {
		return r.ValidatedAt
	}
	return r.AnsweredAt
}
