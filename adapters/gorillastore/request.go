package gorillastore

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// request has the sessions that one HTTP request has loaded, by their names. It
// is in the context of the request, as the registry of gorilla/sessions is.
// Each session that [Store.New] returns has it too: an application may load a
// session with one [http.Request] and save it with another.
type request struct {
	began time.Time

	mu       sync.Mutex
	sessions map[string]*loaded
}

// loaded is a session as the request has loaded or saved it.
type loaded struct {
	id store.ID
	// token is empty until the request has saved the session.
	token  string
	userID string
	// owned: it is a session of a user, or has a pending login.
	owned  bool
	object map[string]json.RawMessage
	// ends is when the session ends, by the clock of this process.
	ends time.Time
}

func loadedOf(rec *store.Record) *loaded {
	l := &loaded{id: rec.ID, userID: rec.UserID}
	l.owned = rec.UserID != "" || rec.PendingUserID != ""
	l.ends = time.Now().Add(rec.AbsoluteExpiresAt.Sub(now(rec)))
	_ = json.Unmarshal(rec.Data, &l.object) // decode has read it
	return l
}

// restore fills a session with what the request has saved.
func (l *loaded) restore(session *sessions.Session) error {
	data, err := json.Marshal(l.object)
	if err != nil {
		return err
	}
	values, err := decode(data)
	if err != nil {
		return err
	}
	session.ID, session.Values, session.IsNew = l.token, values, false
	return nil
}

type requestKey struct{ of *Store }

// begin returns the state of a request, and makes it the first time.
func (s *Store) begin(r *http.Request) *request {
	if req, ok := r.Context().Value(requestKey{s}).(*request); ok {
		return req
	}
	req := &request{began: time.Now(), sessions: map[string]*loaded{}}
	*r = *r.WithContext(context.WithValue(r.Context(), requestKey{s}, req))
	return req
}

// origins has the request that each session was made for, as long as the
// session is in use. A field of the session can't have it: Get of a registry
// replaces its store, and an application its values and options.
type origins struct {
	requests sync.Map // weak.Pointer[sessions.Session] to *request
}

func (o *origins) add(session *sessions.Session, req *request) {
	key := weak.Make(session)
	o.requests.Store(key, req)
	runtime.AddCleanup(session, func(key weak.Pointer[sessions.Session]) {
		o.requests.Delete(key)
	}, key)
}

// requestOf returns the request that a session was made for. A session that the
// application has made itself is of the request that saves it.
func (s *Store) requestOf(r *http.Request, session *sessions.Session) *request {
	if req, ok := s.origins.requests.Load(weak.Make(session)); ok {
		return req.(*request)
	}
	return s.begin(r)
}

// note remembers a session as it is now, nil for none: for its own request, and
// for the one that saves it.
func (s *Store) note(r *http.Request, session *sessions.Session, l *loaded) {
	s.requestOf(r, session).note(session.Name(), l)
	s.begin(r).note(session.Name(), l)
}

func (r *request) note(name string, l *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[name] = l
}

func (r *request) session(name string) *loaded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[name]
}
