package main

import (
	"errors"
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/sessionstore"
)

// flash is a message that the next page shows, once.
var flash = sessionstore.NewKey[string]("flash")

// login takes a name for a proof of identity. A real application checks a password first; what follows is the same.
func (a *app) login(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	name, remember := strings.TrimSpace(r.FormValue("name")), r.FormValue("remember") != ""
	if err := s.Login(r.Context(), name); err != nil {
		a.loginRefused(w, r, s, err)
		return
	}
	if err := s.RememberMe(remember); err != nil {
		serveError(w, r, err)
		return
	}
	message := "Welcome, " + name + ". You stay logged in until you close the browser."
	if remember {
		message = "Welcome, " + name + ". This browser will remember you."
	}
	_ = flash.Set(s, message) // a session that is full may still log in
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// loginRefused shows the form again, with what was typed and what is wrong with it.
func (a *app) loginRefused(w http.ResponseWriter, r *http.Request, s *sessionstore.Session, err error) {
	var value *sessionstore.ValueError
	if !errors.As(err, &value) {
		serveError(w, r, err)
		return
	}
	p := a.pageOf(s)
	p.Form = loginForm{
		Name:     r.FormValue("name"),
		Remember: r.FormValue("remember") != "",
		Problem:  "The name " + value.Problem + ".",
	}
	render(w, "page.html", http.StatusUnprocessableEntity, p)
}

// logout ends the session. The message starts a new one, which holds nothing else.
func (a *app) logout(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if err := s.Logout(r.Context()); err != nil {
		serveError(w, r, err)
		return
	}
	_ = flash.Set(s, "You are logged out. That session is over, and what was in it is gone.")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
