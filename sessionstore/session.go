package sessionstore

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/object"
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
	m      *Manager
	client Client // of this request; zero when it isn't tracked

	started time.Time // when the request began
	own     *ownMarks // of the request's revokes

	// saving is held over a whole save, so that two saves of one request don't race. mu never is held over I/O.
	saving sync.Mutex

	mu       sync.Mutex
	identity identity
	vacant   identity     // without a session: none or withheld
	rec      store.Record // as last loaded or saved
	token    cookie.Token // rec's
	floor    int64        // the version of it that the browser has seen, where a cache may not have
	edits    map[string]edit
	held     *held // loaded, and hidden: see ActionRequireLogin

	// What the next save is to do beside the edits.
	userID string   // to be logged in
	renew  bool     // to get a new token
	drop   bool     // rec.Data belongs to another user, or the login drops it
	fresh  bool     // the login drops what the session holds, whatever that is by then
	doomed []doomed // logged out, to be deleted
	round  int      // raised when a save takes the edits, so that later ones are told apart
	// pending is the new token of a change that was not answered, for its
	// repetition; nil for none.
	pending *cookie.Token
	life    int // raised when the session is forgotten, so that a save under way doesn't bring it back

	// presented are sessions that the request has cookies of and can't use. A
	// Logout ends them.
	presented []doomed

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

// doomed is a session that was logged out, and who did it.
type doomed struct {
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

// Get decodes the value of a key into dst, which is a pointer as for [json.Unmarshal], and says whether there is
// one. When there is none, dst is left alone. A value that does not decode is a *[ValueError]; the others are not
// affected. [Key] does the same with a type.
func (s *Session) Get(key string, dst any) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false, ErrRequestEnded
	}
	return s.get(key, dst)
}

// Set changes the value of a key to the JSON of v. The error is a *[ValueError] when v can't be represented, or
// when the session would grow past [Config.Limits.MaxDataSize]; the old value stays then.
//
// After the first byte of the response, a change of a stored session is saved
// when the handler returns, or by [Session.Save]; a handler that panics drops
// it. A visitor without a session can't get one any more: the error names the
// key and is an [ErrHeadersSent]. A template that writes straight to the
// ResponseWriter sends that first byte early: render it into a buffer, or set
// and read the values before. [Session.Delete] and [Session.Pop] do the same.
func (s *Session) Set(key string, v any) error {
	raw, err := encodeValue(key, v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return err
	}
	limit, size := s.m.cfg.Limits.MaxDataSize, s.sizeWith(key, raw)
	if size > limit && size > s.sizeWith("", nil) {
		return &ValueError{Key: key, Problem: fmt.Sprintf("the session's data would be larger than %d bytes", limit)}
	}
	s.edit(key, raw)
	return nil
}

// Delete removes a value. Removing one that is not there changes nothing.
func (s *Session) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return err
	}
	if _, ok := s.lookup(key); ok {
		s.edit(key, nil)
	}
	return nil
}

// Pop is [Session.Get] and then [Session.Delete], in one step: it reads a one-time value, such as the message that
// the next page shows. A value that does not decode is removed too.
func (s *Session) Pop(key string, dst any) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return false, err
	}
	ok, err := s.get(key, dst)
	if ok {
		s.edit(key, nil)
	}
	return ok, err
}

// Has says whether a key has a value.
func (s *Session) Has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.lookup(key)
	return ok && !s.ended
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
func (s *Session) Record() (store.Record, bool) {
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

// changeable reports why the value of a key can't be changed any more.
func (s *Session) changeable(key string) error {
	switch {
	case s.ended:
		return ErrRequestEnded
	case s.headersSent && s.identity != stored:
		const problem = "can't be kept: the response began without a session: render into a buffer, or read it before"
		return &ValueError{Key: key, Problem: problem, Err: ErrHeadersSent}
	}
	return nil
}

func (s *Session) get(key string, dst any) (bool, error) {
	raw, ok := s.lookup(key)
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		return true, &ValueError{Key: key, Problem: fmt.Sprintf("does not decode into %T", dst), Err: err}
	}
	return true, nil
}

func (s *Session) lookup(key string) (json.RawMessage, bool) {
	if e, ok := s.edits[key]; ok {
		return e.value, e.value != nil
	}
	return s.loaded().Get(key)
}

func (s *Session) edit(key string, value json.RawMessage) {
	if s.edits == nil {
		s.edits = map[string]edit{}
	}
	s.edits[key] = edit{value: value, round: s.round}
}

// loaded is the data as loaded, unless it belongs to another user.
func (s *Session) loaded() object.Raw {
	if s.drop {
		return nil
	}
	return object.Raw(s.rec.Data)
}

// sizeWith is how large the data would be with one value changed; with an empty key, how large it is.
func (s *Session) sizeWith(key string, value json.RawMessage) int {
	const quotesColonComma = 4
	size := 2
	if key != "" {
		size += len(key) + len(value) + quotesColonComma
	}
	for name, v := range s.loaded().Members() {
		k := object.Unquote(name)
		if _, edited := s.edits[k]; !edited && k != key {
			size += len(k) + len(v) + quotesColonComma
		}
	}
	for k, e := range s.edits {
		if e.value != nil && k != key {
			size += len(k) + len(e.value) + quotesColonComma
		}
	}
	return size
}

// storeNow is the store's clock when it answered.
func storeNow(r *store.Record) time.Time {
	if r.AnsweredAt.IsZero() {
		return r.ValidatedAt
	}
	return r.AnsweredAt
}
