package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// confirmation is the page that asks for the password or a code again, before a
// change that a stolen session must not make.
type confirmation struct {
	frame
	Next    string // the page to go on with
	Code    bool   // the user has a second factor
	Problem string
}

// withProof asks users for a code, or for the password, unless they gave it in
// the last minutes. here is the page to go on with.
func (a *app) withProof(here string, next handlerFunc) http.HandlerFunc {
	return a.withUser(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		level, err := a.levelOf(r, s)
		if err != nil {
			serveError(w, r, err)
			return
		}
		with := func(f handlerFunc) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, s) })
		}
		ask := func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			status := http.StatusOK
			if r.Method != http.MethodGet {
				status = http.StatusForbidden // the form has no effect
			}
			render(w, "confirm.html", status, a.confirmationOf(s, here, level))
		}
		sessionstore.RequireAuth(level, freshFor, with(ask))(with(next)).ServeHTTP(w, r)
	})
}

// levelOf returns the highest level that the user can prove.
func (a *app) levelOf(r *http.Request, s *sessionstore.Session) (int, error) {
	if a.users == nil {
		return 0, nil
	}
	has, err := a.users.hasFactor(r.Context(), s.UserID())
	if err != nil || !has {
		return passwordLevel, err
	}
	return codeLevel, nil
}

func (a *app) confirmationOf(s *sessionstore.Session, next string, level int) confirmation {
	return confirmation{
		frame: a.frameOf("Is it you?", next, s), Next: next, Code: level == codeLevel,
	}
}

// confirm checks the password or the code. Either is a step-up: the session
// gets a new token and keeps its values, tags and deadlines. The tries of codes
// are bounded, those of passwords are not: see users.
func (a *app) confirm(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	next := "/password"
	if r.FormValue("next") == "/devices" {
		next = "/devices"
	}
	if a.users == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	level, err := a.levelOf(r, s)
	if err != nil {
		serveError(w, r, err)
		return
	}
	p, method := a.confirmationOf(s, next, level), "password"
	if p.Code {
		var result codeResult
		result, err = a.users.checkCode(r.Context(), s.UserID(), r.FormValue("code"))
		p.Problem, method = result.problem(), "totp"
	} else {
		var ok bool
		if ok, err = a.users.check(r.Context(), s.UserID(), r.FormValue("password")); !ok {
			p.Problem = "That is not the password of " + s.UserID() + "."
		}
	}
	switch {
	case err != nil:
		serveError(w, r, err)
	case p.Problem != "":
		render(w, "confirm.html", http.StatusUnprocessableEntity, p)
	default:
		if err := s.StepUp(r.Context(), level, method); err != nil {
			serveError(w, r, err)
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}
