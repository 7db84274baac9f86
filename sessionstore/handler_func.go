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
// default [ServeError]. What the handler changed is discarded, in the sessions
// of all Managers around it, but for a [Session.Logout] and for what a
// [Session.Save] has saved. To keep changes
// with an answer of your own, such as a 404, write the answer and return nil.
// An error of the handler that ServeError answers with 500 is logged.
//
// Once the response has begun, no other can take its place. Then the error is
// logged, and the connection is aborted as by [http.ErrAbortHandler], so that
// the client does not take the part for the whole. An error of a client that
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
	if x, ok := stateOf(r); ok {
		x.core.cfg.ErrorHandler(w, r, err)
		return
	}
	ServeError(w, r, err)
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
		if r.Context().Value(http.ServerContextKey) != nil { // not in a test without a server
			panic(http.ErrAbortHandler)
		}
	default:
		if status, _ := answerOf(r, err); status == http.StatusInternalServerError {
			if omitted, ok := c.failureLine(r); ok {
				c.cfg.Logger.ErrorContext(withoutSession(r.Context()), "handler failed",
					"error", err, "omitted", omitted)
			}
		}
		x.initial.restore(w.Header())
		forbidCaching(w.Header())
		answer := &errorAnswer{} // a framework's writer may keep a status for later
		answering := wrap(w, r, answer)
		c.cfg.ErrorHandler(answering, r, err)
		if !answer.sent { // must not look like success
			answering.WriteHeader(http.StatusInternalServerError)
		}
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
