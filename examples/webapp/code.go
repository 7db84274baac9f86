package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// codePage asks for the second factor of a login.
type codePage struct {
	frame
	Name    string // the user of the pending login
	Problem string
}

// code shows the page while a login is pending.
func (a *app) code(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	name := s.PendingUserID()
	if name == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	render(w, "code.html", http.StatusOK, codePage{
		frame: a.frameOf("One more step", "/code", s), Name: name,
	})
}

// completeLogin checks the code and logs the user in.
func (a *app) completeLogin(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	name := s.PendingUserID()
	if name == "" || a.users == nil {
		_ = flash.Set(s, "That login took too long. Log in again.")
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	result, err := a.users.checkCode(r.Context(), name, r.FormValue("code"))
	switch {
	case err != nil:
		serveError(w, r, err)
	case result == codeOfNone:
		_ = flash.Set(s, result.problem()+" Log in again.")
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case result != codeRight:
		render(w, "code.html", http.StatusUnprocessableEntity, codePage{
			frame: a.frameOf("One more step", "/code", s), Name: name, Problem: result.problem(),
		})
	default:
		remember, _, err := remembered.Pop(s)
		if err == nil {
			err = s.CompleteLogin(r.Context(),
				sessionstore.AuthenticatedBy(codeLevel, "totp"), lifetimeOf(remember))
		}
		if err != nil {
			serveError(w, r, err)
			return
		}
		_ = flash.Set(s, "Welcome, "+name+".")
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}
