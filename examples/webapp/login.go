package main

import (
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/sessionstore"
)

// flash is a message that the next page shows once.
var flash = sessionstore.NewKey[string]("flash")

// login checks the password, if there is a users table, and logs the user in,
// or asks for the second factor.
func (a *app) login(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	form := loginForm{
		Name: strings.TrimSpace(r.FormValue("name")), Remember: r.FormValue("remember") != "",
	}
	if form.Problem = nameProblem(form.Name); form.Problem != "" {
		a.loginRefused(w, s, form, "name")
		return
	}
	isNew, needsCode := false, false
	options := []sessionstore.LoginOption(nil)
	if a.users != nil {
		password := r.FormValue("password")
		ok, first, err := a.users.admit(r.Context(), form.Name, password)
		if err != nil {
			serveError(w, r, err)
			return
		}
		if !ok {
			form.Problem = "That is not the password of " + form.Name + "."
			if first {
				form.Problem = passwordProblem(password)
			}
			a.loginRefused(w, s, form, "password")
			return
		}
		if needsCode, err = a.users.hasFactor(r.Context(), form.Name); err != nil {
			serveError(w, r, err)
			return
		}
		isNew = first
		options = append(options, sessionstore.AuthenticatedBy(passwordLevel, "password"))
	}
	begin := s.Login
	if needsCode {
		begin = s.BeginLogin // the session has no user before the code
	}
	if err := begin(r.Context(), form.Name, options...); err != nil {
		serveError(w, r, err)
		return
	}
	if err := s.RememberMe(form.Remember); err != nil {
		serveError(w, r, err)
		return
	}
	if needsCode {
		http.Redirect(w, r, "/code", http.StatusSeeOther)
		return
	}
	// a login with a full session succeeds without the message
	_ = flash.Set(s, welcome(form, isNew))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func welcome(form loginForm, isNew bool) string {
	message := "Welcome, " + form.Name + ". "
	if isNew {
		message += "From now on this password is yours. "
	}
	if form.Remember {
		return message + "This browser will remember you."
	}
	return message + "You stay logged in until you close the browser."
}

// loginRefused shows the form again with its content and the problem.
func (a *app) loginRefused(
	w http.ResponseWriter, s *sessionstore.Session, form loginForm, field string,
) {
	p := a.homeOf(s)
	p.Form, p.Form.Wrong = form, field
	render(w, "home.html", http.StatusUnprocessableEntity, p)
}

// logout ends the session. The message begins a new session.
func (a *app) logout(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := s.Logout(r.Context()); err != nil {
		serveError(w, r, err)
		return
	}
	_ = flash.Set(s, "You are logged out. That session is over, and what was in it is gone.")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
