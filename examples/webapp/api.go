package main

import (
	"io"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// The interface for programs takes its parameters from the query or from a form in the body, and answers in plain text.

// apiLogin makes the session that of the user named by user. Nobody checks who is asking.
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

// apiMe says who is logged in. Load generators call it: it does nothing else.
func apiMe(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	user := s.UserID()
	if user == "" {
		http.Error(w, "nobody is logged in", http.StatusUnauthorized)
		return
	}
	plain(w, user)
}

// apiSet keeps v under the key k, for whoever it is.
func apiSet(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.Set(r.Form.Get("k"), r.Form.Get("v")); err != nil {
		serveError(w, r, err)
	}
}

// apiGet answers with what is kept under the key k.
func apiGet(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	var v string
	ok, err := s.Get(r.FormValue("k"), &v)
	switch {
	case err != nil:
		serveError(w, r, err)
	case !ok:
		http.Error(w, "no such value", http.StatusNotFound)
	default:
		plain(w, v)
	}
}

// plain writes a text that a user made up: nothing may take it for anything but text.
func plain(w http.ResponseWriter, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}
