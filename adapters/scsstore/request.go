package scsstore

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// request has what one HTTP request did through a store. A session that it has
// loaded may only be changed; any other one is new.
type request struct {
	began  time.Time
	client store.Client

	mu     sync.Mutex
	loaded map[store.ID]*session
	// missed: a session of a user had ended before the request deleted it.
	missed bool
	// own are the marks of the revokes of this request.
	own []store.MarkID
}

// session is a session as the request has loaded or saved it.
type session struct {
	userID string
	// revoked: the request has ended it itself.
	revoked bool
	data    json.RawMessage
	// ends is when the row ends, by the clock of this process.
	ends time.Time
}

// Wrap returns the middleware of a SessionManager, its LoadAndSave, for use in
// its place. It notes which sessions a request has loaded. Without it a store
// can't see that a session has ended during the request, and a slow request
// creates it anew, as with other stores of scs.
func (s *Store) Wrap(
	loadAndSave func(http.Handler) http.Handler,
) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		next = loadAndSave(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req := &request{began: time.Now(), loaded: map[store.ID]*session{}}
			if s.options.Client != nil {
				req.client = s.options.Client(r)
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{s}, req)))
		})
	}
}

// requestKey is the key of a request in its context. An application may have a
// store for each of two SessionManagers.
type requestKey struct{ of *Store }

// requestOf returns the request of a context; nil without [Store.Wrap].
func (s *Store) requestOf(ctx context.Context) *request {
	req, _ := ctx.Value(requestKey{s}).(*request)
	return req
}

// note remembers a session, and nil that it is gone.
func (r *request) note(id store.ID, loaded *session) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded[id] = loaded
}

func (r *request) session(id store.ID) *session {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded[id]
}

// deleted notes that the request has deleted a session, or has missed it: it
// had ended before.
func (r *request) deleted(id store.ID, missed bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.loaded[id]
	r.missed = r.missed || missed && was != nil && was.userID != "" && !was.revoked
	r.loaded[id] = nil
}

// revoked notes sessions that a revoke of the request has ended.
func (r *request) revoked(ids []store.ID) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if was := r.loaded[id]; was != nil {
			was.revoked = true
		}
	}
}

// late reports whether a session of a user has ended during the request, and
// not by it. A new session would bring it back, for the same user or for
// another one that the request names without a password.
func (r *request) late() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed
}

// login returns when a login in this request began, and where from.
func (r *request) login() (store.Began, store.Client) {
	if r == nil {
		return store.BeganHere(time.Now()), store.Client{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return store.BeganHere(r.began, r.own...), r.client
}

// mark notes a mark of the request's own.
func (r *request) mark(id store.MarkID) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own = append(r.own, id)
}
