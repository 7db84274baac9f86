package sessionstore

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// HandlerFunc is an [http.Handler] that gets its session, and may return an
// error in place of answering it. It goes inside [Manager.Handler]:
//
//	mux.Handle("POST /cart", sessionstore.HandlerFunc(addToCart))
//
// If [FromContext] or the handler fails, [Config.ErrorHandler] answers, by
// default [ServeError]. What was changed in the request is discarded, in the
// sessions of all Managers around it and by middlewares too, but for a
// [Session.Logout] and for what a [Session.Save] has saved. To keep changes
// with an answer of your own, such as a 404, write the answer and return nil.
// An error of the handler that ServeError answers with 500 is logged.
//
// Once the response has begun, no other can take its place, and what was
// changed before is saved. Then the error is logged, what was written is sent,
// and the connection is aborted as by [http.ErrAbortHandler], so that the
// client does not take the part for the whole. A test without a server, as with
// [net/http/httptest.NewRecorder], can't see that. An error of a client that
// left is not logged.
type HandlerFunc func(w http.ResponseWriter, r *http.Request, s *Session) error

// ServeHTTP calls f with the session of the request, and answers its error.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, err := FromContext(r.Context())
	if err != nil {
		serveError(w, r, err)
		return
	}
	if err := f(w, r, s); err != nil {
		s.core.serveFailure(w, r, err)
	}
}

// serveError answers an error of FromContext as the Manager is configured to.
func serveError(w http.ResponseWriter, r *http.Request, err error) {
	x, ok := stateOf(r)
	switch {
	case !ok:
		ServeError(w, r, err)
	case x.begun() || headerSent(w):
		abort(w, r)
	default:
		x.answer(w, r, err)
	}
}

// answer lets the ErrorHandler answer an error in place of a handler.
func (x *requestState) answer(w http.ResponseWriter, r *http.Request, err error) {
	x.initial.restore(w.Header())
	forbidCaching(w.Header())
	answer := &errorAnswer{} // a framework's writer may keep a status for later
	answering := wrap(w, r, answer)
	x.core.cfg.ErrorHandler(answering, r, err)
	if !answer.sent { // must not look like success
		answering.WriteHeader(http.StatusInternalServerError)
	}
}

// abort ends a response that has begun. What was written goes out before: its
// header may have a new token, and the old one has ended.
func abort(w http.ResponseWriter, r *http.Request) {
	if r.Context().Value(http.ServerContextKey) == nil {
		return // a test without a server
	}
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// serveFailure answers the error of a handler, or aborts its response.
func (c *core) serveFailure(w http.ResponseWriter, r *http.Request, err error) {
	x, ok := stateOf(r)
	if !ok {
		return // the handler has ended the request itself
	}
	discardAll(r)
	switch {
	case x.refused() != nil: // the client has that of an ErrorHandler
	case x.begun() || headerSent(w):
		if omitted, ok := c.failureLine(r); ok {
			c.cfg.Logger.ErrorContext(withoutSession(r.Context()),
				"handler failed after the response began", "error", err, "omitted", omitted)
		}
		abort(w, r)
	default:
		if status, _ := answerOf(r, err); status == http.StatusInternalServerError {
			if omitted, ok := c.failureLine(r); ok {
				c.cfg.Logger.ErrorContext(withoutSession(r.Context()), "handler failed",
					"error", err, "omitted", omitted)
			}
		}
		x.answer(w, r, err)
	}
}

// discardAll discards what a handler has changed in the sessions of its
// request.
func discardAll(r *http.Request) {
	ref, _ := r.Context().Value(contextKey{}).(*requestRef)
	for ; ref != nil; ref = ref.outer {
		if x := ref.state.Load(); x != nil {
			x.session.Discard()
		}
	}
}

// failureLine reports whether the error of a handler gets a line, and how many
// had none before it. The error of a client that left gets none.
func (c *core) failureLine(r *http.Request) (omitted int, ok bool) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return 0, false
	}
	return c.warned.failures.take(time.Now(), lineBurst, nil)
}
