package main

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/sessionstore"
)

// failure is the text of the error page.
type failure struct {
	Status      int
	Title, Text string
}

var (
	unavailable = failure{
		Title: "Sessions are out of reach",
		Text: "The database did not answer, or refused. You are not logged out, but your last " +
			"change may be lost. Try again in a moment.",
	}
	refused = failure{
		Title: "That can’t be kept",
		Text:  "The session did not take the value. It is as it was before.",
	}
	tooMany = failure{
		Title: "You are logged in on too many devices",
		Text:  "End one of them first, on a device that is still logged in.",
	}
	again = failure{
		Title: "Please log in again",
		Text:  "The login took too long, or your sessions were ended meanwhile.",
	}
	notFound = failure{
		Title: "There is no such page",
		Text:  "The address may be wrong, or the page is gone.",
	}
	broken = failure{
		Title: "Something went wrong",
		Text:  "It is our fault, not yours.",
	}
)

// serveError answers a failed request: with a page for people, with a line for
// programs. It is also the sessionstore.ErrorHandler for sessions that could
// not be saved.
func serveError(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	// The library logs its own failures. A browser that left is none.
	if status >= http.StatusInternalServerError && r.Context().Err() == nil &&
		!errors.Is(err, sessionstore.ErrUnavailable) {
		slog.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		text := http.StatusText(status)
		if status == http.StatusBadRequest {
			text = err.Error() // about the client's value; the others are internal
		}
		http.Error(w, text, status)
		return
	}
	f := broken
	switch status {
	case http.StatusServiceUnavailable:
		f = unavailable
	case http.StatusBadRequest:
		f = refused
	case http.StatusForbidden:
		f = tooMany
		if loginOver(err) {
			f = again
		}
	}
	f.Status = status
	render(w, "failure.html", status, f)
}

// withNotFound answers addresses without a page. It does not load the session,
// so it costs no query. For an address that has a page for another method, the
// mux answers 405.
func withNotFound(mux *http.ServeMux) http.Handler {
	has := func(r *http.Request, method string) bool {
		as := *r
		as.Method = method
		_, pattern := mux.Handler(&as)
		return pattern != ""
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") || has(r, r.Method) ||
			has(r, http.MethodGet) || has(r, http.MethodPost) {
			mux.ServeHTTP(w, r)
			return
		}
		f := notFound
		f.Status = http.StatusNotFound
		render(w, "failure.html", f.Status, f)
	})
}
