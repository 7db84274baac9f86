package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// confirmation is the page that asks for the password again, before a change
// that a stolen session must not make.
type confirmation struct {
	frame
	Problem string
}

// askAgain answers in place of a page that needs a recent login.
func (a *app) askAgain(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	status := http.StatusOK
	if r.Method != http.MethodGet {
		status = http.StatusForbidden // the form has no effect
	}
	render(w, "confirm.html", status, confirmation{frame: a.frameOf("Is it you?", "/password", s)})
}

// confirm checks the password. To the session it is another login: it gets a
// new token and is fresh again.
func (a *app) confirm(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if a.users == nil {
		http.Redirect(w, r, "/password", http.StatusSeeOther)
		return
	}
	ok, err := a.users.check(r.Context(), s.UserID(), r.FormValue("password"))
	switch {
	case err != nil:
		serveError(w, r, err)
	case !ok:
		render(w, "confirm.html", http.StatusUnprocessableEntity, confirmation{
			frame:   a.frameOf("Is it you?", "/password", s),
			Problem: "That is not the password of " + s.UserID() + ".",
		})
	default:
		if err := s.Login(r.Context(), s.UserID()); err != nil {
			serveError(w, r, err)
			return
		}
		http.Redirect(w, r, "/password", http.StatusSeeOther)
	}
}
