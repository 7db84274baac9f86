package gorillastore

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// request has the sessions that one HTTP request has loaded, by their names. It
// is in the context of the request, as the registry of gorilla/sessions is.
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
	object map[string]json.RawMessage
	// ends is when the session ends, by the clock of this process.
	ends time.Time
}

func loadedOf(rec *store.Record) *loaded {
	l := &loaded{id: rec.ID, userID: rec.UserID}
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
