package sessionstore

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// ErrorHandler answers a request whose session could not be saved, in place of
// the response of its handler. Nothing has been sent yet, and nothing that the
// handler writes is sent. If the ErrorHandler sends nothing either, the client
// gets 500.
//
// Vary, CORS and security headers are as the handler left them; every other
// header is as it was when [Manager.Handler] began, so that no redirect and no
// cookie of the handler goes out with the error. An ErrorHandler must not set
// the session cookie. The session that it gets with [FromContext] is as it was
// before what could not be saved; after a [Session.Logout] it is empty.
type ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

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
		x := &requestState{m: m, header: w.Header(), started: time.Now()}
		if len(x.header) > 0 {
			x.before = x.header.Clone()
		}
		v := &requestRef{}
		v.state.Store(x)
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, v))
		x.request = r
		rw := &response{ResponseWriter: w, request: r, commit: func(status int) error { return x.begin(w, status) }}
		returned := false
		defer func() {
			if !returned {
				x.abandon()
			}
			x.end()
			v.state.Store(nil)
		}()

		next.ServeHTTP(rw.wrap(), r)
		returned = true

		if !rw.begun && headerSent(w) {
			x.bypassed()
			return
		}
		_ = rw.commitOnce(http.StatusOK)
	})
}

// statusClientClosed is what nginx logs for a client that left before the
// answer. The client does not see it; access logs do.
const statusClientClosed = 499

// sessionless bounds the lines about requests that no Manager handled.
var sessionless lineRate

// ServeError is the default [ErrorHandler], and good for an error of
// [FromContext] too. It answers 503 with Retry-After if the store is
// unavailable, 403 for a user with too many sessions, 499 for a client that
// left (a canceled context), else 500. The text does not show the reason. It
// logs [ErrNoMiddleware] with [slog.Default], since there is no Manager to log
// it.
func ServeError(w http.ResponseWriter, r *http.Request, err error) {
	unavailable := errors.Is(err, ErrUnavailable)
	if errors.Is(err, context.Canceled) && (!unavailable || r.Context().Err() != nil) {
		w.WriteHeader(statusClientClosed)
		return
	}
	if unavailable {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The session store is unavailable. Please try again.", http.StatusServiceUnavailable)
		return
	}
	if errors.Is(err, ErrRevoked) {
		http.Error(w, "Your sessions were ended while you logged in. Please log in again.", http.StatusForbidden)
		return
	}
	if errors.Is(err, ErrTooManySessions) {
		http.Error(w, "You are logged in too often. Please log out elsewhere first.", http.StatusForbidden)
		return
	}
	if errors.Is(err, ErrNoMiddleware) {
		if omitted, ok := sessionless.take(time.Now(), lineBurst, nil); ok {
			slog.ErrorContext(r.Context(), "a request has no session", "error", err, "omitted", omitted)
		}
	}
	http.Error(w, "Something went wrong with the session.", http.StatusInternalServerError)
}
