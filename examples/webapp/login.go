package main

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// flash is a message that the next page shows once.
var flash = sessionstore.NewKey[string]("flash")

// remembered is the choice of a login that waits for its second factor.
var remembered = sessionstore.NewKey[bool]("remembered")

// lifetimeOf returns how long a login lasts on the server: thirty days with
// "remember me", and twelve hours without.
func lifetimeOf(remember bool) sessionstore.LoginOption {
	if remember {
		return sessionstore.WithLifetime(30 * 24 * time.Hour)
	}
	return sessionstore.WithLifetime(12 * time.Hour)
}

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
	if needsCode { // the session has no user before the code
		err := errors.Join(
			s.BeginLogin(r.Context(), form.Name, options...),
			remembered.Set(s, form.Remember), s.RememberMe(form.Remember),
		)
		if err != nil {
			serveError(w, r, err)
			return
		}
		http.Redirect(w, r, "/code", http.StatusSeeOther)
		return
	}
	options = append(options, lifetimeOf(form.Remember))
	err := errors.Join(s.Login(r.Context(), form.Name, options...), s.RememberMe(form.Remember))
	if err != nil {
		serveError(w, r, err)
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
	return message + "You stay logged in until you close the browser, for twelve hours at most."
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
