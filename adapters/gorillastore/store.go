package gorillastore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store implements [sessions.Store]. Set its fields before its first use. It is
// safe for concurrent use.
type Store struct {
	// Codecs sign the cookie, and encrypt it if the keys say so.
	Codecs []securecookie.Codec
	// Options are those of new sessions.
	Options *sessions.Options
	// UserKey is the key of the value with the id of the session's user: a
	// string, an integer or a [fmt.Stringer]. Nil: no session has a user.
	UserKey any
	// Client returns where a request came from, for lists of sessions. Nil
	// notes nothing.
	Client func(*http.Request) store.Client

	sessions store.Store
	origins  origins
}

// month is the MaxAge that the stores of gorilla/sessions begin with.
const month = 30 * 24 * 60 * 60

// New makes a store over the store of a Manager. The keys are as in
// [sessions.NewCookieStore]. Its cookies are HttpOnly, with SameSite=Lax; set
// Options.Secure where all requests use https.
func New(s store.Store, keyPairs ...[]byte) *Store {
	made := &Store{
		Codecs: securecookie.CodecsFromPairs(keyPairs...),
		Options: &sessions.Options{
			Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		},
		sessions: s,
	}
	made.MaxAge(month)
	return made
}

// MaxAge sets the maximum age of cookies and sessions, in seconds. Call it
// before the first use.
func (s *Store) MaxAge(age int) {
	s.Options.MaxAge = age
	for _, codec := range s.Codecs {
		if sc, ok := codec.(*securecookie.SecureCookie); ok {
			sc.MaxAge(age)
		}
	}
}

// Get returns the session of a request, the same each time.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New loads the session of a request's cookie, or the one that the request has
// saved before. Without a cookie, or a session
// that is alive, it returns a new one. With an error, too: Postgres did not
// answer, or a value can't be decoded.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := *s.Options
	session.Options, session.IsNew = &options, true
	req := s.begin(r)
	s.origins.add(session, req)
	if saved := req.session(name); saved != nil && saved.token != "" {
		return session, saved.restore(session)
	}
	c, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	var token string
	if securecookie.DecodeMulti(name, c.Value, &token, s.Codecs...) != nil || token == "" {
		return session, nil
	}
	rec, err := s.sessions.Load(r.Context(), idOf(token), 0)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return session, nil
	case err != nil:
		return session, fmt.Errorf("gorillastore: load: %w", err)
	}
	values, err := decode(rec.Data)
	if err != nil {
		return session, fmt.Errorf("gorillastore: load: %w", err)
	}
	session.ID, session.Values, session.IsNew = token, values, false
	req.note(name, loadedOf(&rec))
	s.touch(r.Context(), &rec)
	return session, nil
}

// touch extends a session in use that the library's idle timeout would else
// end. It makes at most one touch in a touch interval. If a touch fails, the
// next one makes up for it.
func (s *Store) touch(ctx context.Context, rec *store.Record) {
	idle := rec.ExpiresAt.Sub(rec.LastSeenAt)
	interval := store.Expiry{Idle: idle}.TouchInterval()
	if rec.ExpiresAt.Before(rec.AbsoluteExpiresAt) && now(rec).Sub(rec.LastSeenAt) >= interval {
		_ = s.sessions.Touch(ctx, []store.Touch{{ID: rec.ID}})
	}
}

// now returns the time of the store when it answered.
func now(rec *store.Record) time.Time {
	if rec.AnsweredAt.IsZero() {
		return rec.ValidatedAt
	}
	return rec.AnsweredAt
}

// Save saves what changed and sets the cookie. It ends the session if
// Options.MaxAge is negative. If the session has ended since it was loaded, it
// drops the changes, without an error and without a cookie. The login of a
// visitor makes a new session then. Errors:
//   - [store.ErrNotFound]: a login, in a session of a user that has ended since
//     it was loaded.
//   - [store.ErrRevoked]: the user was revoked while the login was under way.
//   - [store.ErrUnavailable]: Postgres did not answer.
func (s *Store) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	value := ""
	if session.Options.MaxAge < 0 {
		if err := s.end(r, session); err != nil {
			return fmt.Errorf("gorillastore: delete: %w", err)
		}
	} else {
		err := s.save(r, session)
		if errors.Is(err, errDropped) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("gorillastore: save: %w", err)
		}
		value, err = securecookie.EncodeMulti(session.Name(), session.ID, s.Codecs...)
		if err != nil {
			return fmt.Errorf("gorillastore: cookie: %w", err)
		}
	}
	http.SetCookie(w, sessions.NewCookie(session.Name(), value, session.Options))
	return nil
}

// end deletes a session. If it was one of a user that had ended before, the
// request remembers it: no login of this request makes another one.
func (s *Store) end(r *http.Request, session *sessions.Session) error {
	was := s.requestOf(r, session).session(session.Name())
	var id store.ID
	switch {
	case session.ID != "":
		id = idOf(session.ID)
	case was != nil:
		id = was.id
	default:
		return nil
	}
	deleted, err := s.sessions.Delete(r.Context(), id)
	if err != nil {
		return err
	}
	session.ID = ""
	if was == nil || !was.owned || !deleted.Missed {
		s.note(r, session, nil)
		return nil
	}
	gone := *was
	gone.token = ""
	s.note(r, session, &gone)
	return nil
}

var (
	// errDropped: the session has ended, and its changes are dropped.
	errDropped = errors.New("the session has ended")

	errLogin = fmt.Errorf("login refused: the session that it began in has ended: "+
		"log in again: %w", store.ErrNotFound)
)

// save creates, rotates or saves a session. The caller sets session.ID to ""
// for a new token. Only a visitor's session that has ended may be followed by a
// new one: whoever ended a user's session decides.
func (s *Store) save(r *http.Request, session *sessions.Session) error {
	object, err := encode(session.Values)
	if err != nil {
		return err
	}
	user, err := s.userOf(session.Values)
	if err != nil {
		return err
	}
	req := s.requestOf(r, session)
	was := req.session(session.Name())
	if was == nil && (session.IsNew || session.ID == "") {
		err := s.create(r, session, object, user)
		if session.ID == "" || !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	var c store.Change
	switch {
	case was == nil: // another request's copy: what it had is unknown
		c.Set, c.DropData = object, true
	case user != "" && was.userID != "" && user != was.userID: // the store drops another user's
		c.Set, c.DropData = object, true
	default:
		c.Set, c.Removed = patch(was.object, object)
	}
	if user != "" && (was == nil || user != was.userID) {
		c.UserID, c.Began, c.LoginID = user, store.BeganHere(req.began), store.NewLoginID()
	}
	lifetime := time.Duration(session.Options.MaxAge) * time.Second
	if lifetime > 0 && (was == nil || time.Until(was.ends) < lifetime-lifetime/10) {
		c.Lifetime = lifetime
	}
	c.Client = s.clientOf(r)
	err = s.change(r, session, was, object, c)
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case c.UserID == "":
		return errDropped
	case was == nil || was.owned:
		return errLogin
	}
	// Of two logins at once the other one has the visitor's session.
	session.ID = ""
	return s.create(r, session, object, user)
}

// change rotates or saves a session.
func (s *Store) change(
	r *http.Request, session *sessions.Session, was *loaded,
	object map[string]json.RawMessage, c store.Change,
) (err error) {
	var rec store.Record
	switch {
	case session.ID == "":
		token := newToken()
		if rec, err = s.sessions.Rotate(r.Context(), was.id, idOf(token), c); err == nil {
			session.ID = token
		}
	case was != nil && c.Lifetime == 0 && c.UserID == "" && len(c.Set)+len(c.Removed) == 0:
		return nil
	default:
		rec, err = s.sessions.Save(r.Context(), idOf(session.ID), c)
	}
	if err != nil {
		return err
	}
	saved := loadedOf(&rec)
	saved.token, saved.object = session.ID, object
	s.note(r, session, saved)
	return nil
}

func (s *Store) create(
	r *http.Request, session *sessions.Session, object map[string]json.RawMessage, user string,
) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	token := cmp.Or(session.ID, newToken())
	d := store.Draft{
		ID: idOf(token), UserID: user, Data: data, Client: s.clientOf(r),
		Lifetime: time.Duration(session.Options.MaxAge) * time.Second,
	}
	if user != "" {
		d.Began, d.LoginID = store.BeganHere(s.requestOf(r, session).began), store.NewLoginID()
	}
	rec, err := s.sessions.Create(r.Context(), d)
	if err != nil {
		return err
	}
	session.ID = token
	made := loadedOf(&rec)
	made.token, made.object = token, object
	s.note(r, session, made)
	return nil
}

func (s *Store) clientOf(r *http.Request) store.Client {
	if s.Client == nil {
		return store.Client{}
	}
	return s.Client(r)
}
