package sessionstore

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Handler gives every request to next a session, to be had with [FromContext].
// The session is loaded when it is first asked for and saved just before the
// first byte of the response; a request that does not use it costs no query,
// and one that stores nothing gets no cookie. When the session can't be saved,
// the client gets 503 and keeps its cookie, or gets the one with the new token
// when the handler's own [Session.Save] had changed that before.
//
// A response with a status of 500 or more saves nothing: values, a login and a
// new token that no Save had kept are void. A [Session.Logout] is carried out.
//
// What a handler that panics has changed and not saved is void, after the first
// byte too. If its own Save had changed the token before, the header map has
// the new cookie, for whoever recovers and answers.
//
// Put http.TimeoutHandler inside. Outside, its 503 replaces the response of a
// handler that goes on: a login that comes later is saved, and the browser does
// not get its cookie.
//
// Wrap the whole router. A response that is sent by another writer than the one
// that next gets, as in a gin middleware that calls c.Next, has no cookie: the
// log says so at ERROR, once a minute.
//
// Bodies are not buffered. The ResponseWriter that next gets has the optional
// interfaces of the server's (http.Flusher, http.Hijacker, http.Pusher,
// io.ReaderFrom and the others), and works with [http.ResponseController].
//
// A response that sets the cookie carries Cache-Control: no-store, and nothing
// that a CDN would obey before it. One whose handler asked for the session
// carries Vary: Cookie, and Cache-Control: private if the handler set none.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &requestState{core: &m.core, writer: w, header: w.Header(), started: time.Now()}
		if len(x.header) > 0 {
			x.before = x.header.Clone()
		}
		ref := &requestRef{}
		ref.state.Store(x)
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, ref))
		x.request = r
		returned := false
		defer func() {
			if !returned {
				x.abandon()
			}
			x.end()
			ref.state.Store(nil)
		}()

		next.ServeHTTP(wrap(w, r, x), r)
		returned = true

		if !x.begun() && headerSent(w) {
			x.bypassed()
			return
		}
		_ = x.commitOnce(http.StatusOK)
	})
}

// FromContext returns the session of a request that came through [Manager.Handler]. The first call loads it, and is
// the only one that may have to wait: ctx bounds it. A visitor whose cookie names no live session, or who has none,
// gets an empty session and no error.
//
// The errors are [ErrUnavailable], to be answered with 503, [ErrNoMiddleware] and [ErrRequestEnded], or that of ctx. Any other says what
// is wrong with the database's schema or the role's rights. [ServeError] answers each of them.
func FromContext(ctx context.Context) (*Session, error) {
	ref, ok := ctx.Value(contextKey{}).(*requestRef)
	if !ok {
		return nil, fmt.Errorf("sessionstore: %w", ErrNoMiddleware)
	}
	x := ref.state.Load()
	if x == nil {
		return nil, fmt.Errorf("sessionstore: load: %w", ErrRequestEnded)
	}
	if err := x.loadOnce(ctx); err != nil {
		return nil, fmt.Errorf("sessionstore: load: %w", err)
	}
	return &x.session, nil
}
