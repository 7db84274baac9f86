package main

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/pquerna/otp"

	"github.com/reporadar/pgsession/sessionstore"
)

// enrolling is the secret that a user is about to enter into an app. It is the
// user's only when a code of it has come back.
var enrolling = sessionstore.NewKey[begunFactor]("enrolling")

// begunFactor is a secret of one login of one user. A login takes the values of
// the session along. An attacker who planted it must not choose a secret.
type begunFactor struct{ User, LoginID, Secret string }

// enrolment is a secret as the page shows it.
type enrolment struct {
	Secret  string       // in groups of four
	Link    template.URL // for an app on this device
	Problem string
}

// enrolmentOf returns the secret that this login began; nil without one. The
// link is made here, so that its scheme is no value of a session.
func enrolmentOf(s *sessionstore.Session) (*enrolment, *otp.Key) {
	begun, _ := enrolling.Get(s)
	if begun.Secret == "" || begun.User != s.UserID() || begun.LoginID != s.LoginID() {
		return nil, nil
	}
	key, err := factorOf(begun.User, begun.Secret)
	if err != nil {
		return nil, nil
	}
	var groups []string
	for group := range slices.Chunk([]byte(key.Secret()), 4) {
		groups = append(groups, string(group))
	}
	return &enrolment{Secret: strings.Join(groups, " "), Link: template.URL(key.URL())}, key
}

// secondFactor adds or removes the user's second factor.
func (a *app) secondFactor(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if a.users == nil {
		http.Redirect(w, r, "/password", http.StatusSeeOther)
		return
	}
	var err error
	switch r.FormValue("do") {
	case "begin":
		var key *otp.Key
		if key, err = newFactor(s.UserID()); err == nil {
			err = enrolling.Set(s, begunFactor{s.UserID(), s.LoginID(), key.Secret()})
		}
	case "add":
		a.addFactor(w, r, s)
		return
	case "remove":
		if err = a.users.removeFactor(r.Context(), s.UserID()); err == nil {
			_ = flash.Set(s, "A login needs your password alone again.")
		}
	}
	if err != nil {
		serveError(w, r, err)
		return
	}
	http.Redirect(w, r, "/password", http.StatusSeeOther)
}

// addFactor ends the enrolment if the app shows the right code. The code is a
// step-up: this session has the level of the second factor from now on. The
// other sessions stay, and the message says so: the user may have several
// devices, and end-others is one press away.
func (a *app) addFactor(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_, key := enrolmentOf(s)
	if key == nil {
		http.Redirect(w, r, "/password", http.StatusSeeOther)
		return
	}
	ok, err := a.users.addFactor(r.Context(), s.UserID(), key.Secret(), r.FormValue("code"))
	switch {
	case err != nil:
		serveError(w, r, err)
		return
	case !ok:
		p, err := a.accountOf(r, s)
		if err != nil {
			serveError(w, r, err)
			return
		}
		if p.Enrolment != nil {
			p.Enrolment.Problem = codeWrong.problem()
		}
		render(w, "password.html", http.StatusUnprocessableEntity, p)
		return
	}
	_ = enrolling.Delete(s)
	if err := s.StepUp(r.Context(), codeLevel, "totp"); err != nil {
		serveError(w, r, err)
		return
	}
	_ = flash.Set(s, "From now on a login needs a code, too. "+
		"Devices that logged in without one stay logged in: end them if you don’t know them.")
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}
