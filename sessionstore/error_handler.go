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
