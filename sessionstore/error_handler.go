package sessionstore

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// ErrorHandler answers a request whose session could not be saved, in place of
// the response of its handler, and the error that a [HandlerFunc] returned.
// Nothing has been sent yet, and nothing that the handler writes is sent. If
// the ErrorHandler sends nothing either, the client gets 500.
//
// The headers Vary, of CORS and of security are as the handler left them. All
// others are as they were when [Manager.Handler] began, so that the error has
// no redirect and no cookie of the handler. An ErrorHandler must not set the
// session cookie. [FromContext] returns the session as it was before the
// changes that could not be saved; after a [Session.Logout] it is empty.
type ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

// statusClientClosed is nginx's status for a client that left before the
// response. Only access logs show it.
const statusClientClosed = 499

// loginText is for a user who has to log in once more.
const loginText = "Please log in again to do this."

// sessionless bounds the lines about requests that no Manager handled.
var sessionless lineRate

// ServeError answers a request with the status of an error. It is the default
// [ErrorHandler], and answers errors of [FromContext] too:
//   - [ErrUnavailable]: 503, with Retry-After
//   - [ErrRevoked], [ErrTooManySessions], [ErrNoPendingLogin]: 403
//   - [ErrNotLoggedIn]: 401
//   - [ErrNotFound], as of a [Session.Save] or a [Manager.Revoke]: 404
//   - a cancelled context, of a client that left: 499
//   - any other: 500
//
// No cache keeps the answer. The text is English and does not contain the
// error. ServeError logs
// [ErrNoMiddleware] with [slog.Default], since there is no Manager to log it.
func ServeError(w http.ResponseWriter, r *http.Request, err error) {
	status, text := answerOf(r, err)
	forbidCaching(w.Header())
	switch {
	case status == statusClientClosed:
		w.WriteHeader(status)
		return
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case errors.Is(err, ErrNoMiddleware):
		if omitted, ok := sessionless.take(time.Now(), lineBurst, nil); ok {
			slog.ErrorContext(r.Context(), "request without a session",
				"error", err, "omitted", omitted)
		}
	}
	http.Error(w, text, status)
}

// answerOf returns the status of an error, and a text for its user.
func answerOf(r *http.Request, err error) (status int, text string) {
	unavailable := errors.Is(err, ErrUnavailable)
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return statusClientClosed, ""
	case unavailable:
		return http.StatusServiceUnavailable,
			"The session store is unavailable. Please try again."
	case errors.Is(err, ErrRevoked):
		return http.StatusForbidden,
			"Your sessions were ended while you logged in. Please log in again."
	case errors.Is(err, ErrNoPendingLogin):
		return http.StatusForbidden, "This login can't be completed. Please log in again."
	case errors.Is(err, ErrNotLoggedIn):
		return http.StatusUnauthorized, loginText
	case errors.Is(err, ErrTooManySessions):
		return http.StatusForbidden,
			"You are logged in too often. Please log out elsewhere first."
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound, "This session has ended."
	}
	return http.StatusInternalServerError, "Something went wrong. Please try again."
}
