package main

import (
	"io"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// The interface for programs takes parameters from the query or a form in the
// body, and answers in plain text.

// apiKey returns the key under which a value of a program is kept. It is none
// of the demo's own: what those hold was checked, and may be secret.
func apiKey(k string) string {
	if k == "" {
		return "" // Set says what is wrong with it
	}
	return "api." + k
}

// apiLogin logs the user in who is named by user. It asks for no password.
func apiLogin(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := s.Login(r.Context(), r.FormValue("user")); err != nil {
		serveError(w, r, err)
	}
}

// apiLogout ends the session, if there is one.
func apiLogout(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := s.Logout(r.Context()); err != nil {
		serveError(w, r, err)
	}
}

// apiMe returns the user. Load generators call it, so it does nothing else.
func apiMe(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	user := s.UserID()
	if user == "" {
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	plain(w, user)
}

// apiSet stores v under the key k, also for a visitor.
func apiSet(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.Set(apiKey(r.Form.Get("k")), r.Form.Get("v")); err != nil {
		serveError(w, r, err)
	}
}

// apiGet returns the value of the key k.
func apiGet(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	var v string
	ok, err := s.Get(apiKey(r.FormValue("k")), &v)
	switch {
	case err != nil:
		serveError(w, r, err)
	case !ok:
		http.Error(w, "no such value", http.StatusNotFound)
	default:
		plain(w, v)
	}
}

// plain writes a text of a user so that browsers show it as text only.
func plain(w http.ResponseWriter, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}
