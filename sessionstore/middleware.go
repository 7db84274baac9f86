package sessionstore

import (
	"context"
	"net/http"
	"time"
)

// Handler returns a handler that gives each request to next a session, which
// [FromContext] returns. Wrap the whole router with it.
//
// A request that does not use its session costs no query, and one that stores
// nothing gets no cookie. The session is loaded by the first FromContext and
// saved just before the first byte of the response. If it can't be saved, the
// [ErrorHandler] answers in place of next, by default with 503. The browser
// then keeps its cookie, or gets that of the new token if a [Session.Save] of
// the handler had rotated the session before.
//
// A response with a status of 500 or more saves nothing: it discards values, a
// login and a new token that no Save has saved. It does carry out a
// [Session.Logout]. The same holds for a handler that panics, which loses
// unsaved changes after the first byte too. If its own Save had changed the
// token, the header map has the new cookie, for a middleware that recovers and
// answers.
//
// Put [http.TimeoutHandler] inside. Outside, its 503 replaces the response of a
// handler that goes on running: a later login is saved, and the browser does
// not get its cookie.
//
// A response that is written to another ResponseWriter than that of next has no
// cookie, as in a gin middleware that calls c.Next. The log reports that at
// ERROR, once a minute.
//
// Bodies are not buffered. The ResponseWriter of next has the optional
// interfaces of the server's (http.Flusher, http.Hijacker, http.Pusher,
// io.ReaderFrom and the others), and works with [http.ResponseController].
//
// A response that sets the cookie carries Cache-Control: no-store, and no
// header that a CDN obeys before it. If the handler used the session, the
// response carries Vary: Cookie, and Cache-Control: private unless the handler
// set one. With [Config.Bearer] the header Session-Token stands for the cookie,
// and Vary names Authorization.
//
// Handlers of several Managers may be nested, each with a Cookie.Name of its
// own. FromContext then returns the session of the innermost one, which
// [HandlerFunc], [RequireLogin], [RequireAuth], [RequireFresh] and
// [ServeWithheld] ask too. [Manager.Session] and [Manager.StatusHandler] ask
// that of their Manager. Handler panics if m is nil.
func (m *Manager) Handler(next http.Handler) http.Handler {
	if m == nil {
		panic("sessionstore: Handler of a nil Manager: make it with Open, New or NewWithStore")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &requestState{core: &m.core, writer: w, header: w.Header()}
		x.session.started = time.Now()
		if len(x.header) > 0 {
			x.initial.lines = x.header.Clone()
		}
		ref := &requestRef{core: &m.core}
		ref.outer, _ = r.Context().Value(contextKey{}).(*requestRef)
		x.outer = ref.outer
		if x.own = ref.outer.ownMarks(); x.own == nil {
			x.own = &x.marks
		}
		ref.checkNested()
		ref.state.Store(x)
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, ref))
		x.request = r
		returned := false
		// each runs, also if the one before it panics
		defer ref.state.Store(nil)
		defer x.end()
		defer func() {
			if !returned {
				x.abandon()
			}
		}()

		next.ServeHTTP(wrap(w, r, x), r)

		if !x.begun() && headerSent(w) {
			x.bypassed()
		} else {
			_ = x.commitOnce(http.StatusOK) // may panic, in a Tracer
		}
		returned = true
	})
}

// FromContext returns the session of a request that came through
// [Manager.Handler], the innermost one. The first call loads it and may wait;
// ctx bounds that. A visitor without a cookie, or whose cookie names no live
// session, gets an empty session.
//
// Make the first call before the response begins. Later, its Vary and
// Cache-Control can't be set any more, and a shared cache may give the response
// to another user. The log reports that once. Errors:
//   - [ErrUnavailable]: Postgres is unavailable. Answer 503.
//   - [ErrNoMiddleware]: the request did not come through Handler.
//   - [ErrRequestEnded]: the request is over.
//   - the error of ctx.
//   - any other: the schema of the database or the rights of the role are
//     wrong.
//
// [ServeError] answers each of them.
func FromContext(ctx context.Context) (*Session, error) {
	ref, _ := ctx.Value(contextKey{}).(*requestRef)
	return ref.load(ctx)
}

// Session returns the session of this Manager where the Handlers of several are
// nested. Else it is [FromContext], and returns the same errors:
// ErrNoMiddleware if the request did not come through the Handler of m, or m is
// nil.
func (m *Manager) Session(ctx context.Context) (*Session, error) {
	return m.refOf(ctx).load(ctx)
}

// refOf returns the request of m that a context belongs to; nil for none.
func (m *Manager) refOf(ctx context.Context) *requestRef {
	ref, _ := ctx.Value(contextKey{}).(*requestRef)
	for ref != nil && (m == nil || ref.core != &m.core) {
		ref = ref.outer
	}
	return ref
}
