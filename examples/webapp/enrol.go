package main

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/pquerna/otp"

	"github.com/reporadar/pgsession/sessionstore"
)

// enrolling is the secret that a user is about to enter into an app, as a link.
// It is the user's only when a code of it has come back.
var enrolling = sessionstore.NewKey[string]("enrolling")

// enrolment is a secret as the page shows it.
type enrolment struct {
	Secret  string       // in groups of four
	Link    template.URL // for an app on this device
	Problem string
}

// enrolmentOf returns the secret of the session; nil without one.
func enrolmentOf(s *sessionstore.Session) (*enrolment, *otp.Key) {
	link, _ := enrolling.Get(s)
	key, err := otp.NewKeyFromURL(link)
	if err != nil || key.Type() != "totp" {
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
			err = enrolling.Set(s, key.URL())
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
// step-up: this session has the level of the second factor from now on.
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
	_ = flash.Set(s, "From now on a login needs a code, too.")
	http.Redirect(w, r, "/password", http.StatusSeeOther)
}
