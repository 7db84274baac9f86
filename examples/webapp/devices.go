package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/sessionstore"
)

// devices is the page with the sessions of a user.
type devices struct {
	frame
	This   *device
	Others []device
}

// device is one session in the list.
type device struct {
	Handle     sessionstore.Handle
	Name, Kind string
	Address    string // empty if addresses are not tracked
	Pending    bool   // the code is owed
	How        string // the user logged in; empty for a login without a proof
	Level      int
	LoggedIn   moment
	Seen       moment
}

// devices shows the newest hundred sessions.
func (a *app) devices(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	infos, err := a.sessions.List(r.Context(), s.UserID(), sessionstore.Page{})
	if err != nil {
		serveError(w, r, err)
		return
	}
	p := devices{frame: a.frameOf("Your devices", "/devices", s)}
	for _, info := range infos {
		what := info.Device()
		d := device{
			Handle: info.Handle, Name: what.String(), Kind: deviceKind(what),
			LoggedIn: moment{info.AuthenticatedAt, info.ReadAt},
			Seen:     moment{info.LastSeenAt, info.ReadAt},
			Pending:  info.Pending, How: howWords(info.Methods), Level: info.Level,
		}
		if info.Pending && len(info.Methods) > 0 {
			d.LoggedIn.at = info.Methods[0].At
		}
		if info.IP.IsValid() {
			d.Address = info.IP.String()
		}
		if info.Handle == s.Handle() {
			p.This = &d
		} else {
			p.Others = append(p.Others, d)
		}
	}
	p.popFlash(s)
	render(w, "devices.html", http.StatusOK, p)
}

// methodWords are the words for the methods of the demo.
var methodWords = map[string]string{"password": "a password", "totp": "a code"}

// howWords says how a user logged in, such as "with a password and a code".
func howWords(methods []sessionstore.Method) string {
	var parts []string
	for _, m := range methods {
		parts = append(parts, cmp.Or(methodWords[m.Name], m.Name))
	}
	if len(parts) == 0 {
		return ""
	}
	return "with " + strings.Join(parts, " and ")
}

// endDevice ends one session. For a handle that does not exist or belongs to
// another user, Revoke returns ErrNotFound.
func (a *app) endDevice(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	handle := sessionstore.Handle(r.FormValue("handle"))
	if handle == s.Handle() {
		a.logout(w, r, s)
		return
	}
	ended, err := a.sessions.Revoke(r.Context(), s.UserID(), handle)
	switch {
	case errors.Is(err, sessionstore.ErrNotFound):
		_ = flash.Set(s, "That session had ended already.")
	case err != nil:
		serveError(w, r, err)
		return
	default:
		_ = flash.Set(s, endedWords(ended))
	}
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

func (a *app) endOtherDevices(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	ended, err := s.RevokeOthers(r.Context())
	if err != nil {
		serveError(w, r, err)
		return
	}
	_ = flash.Set(s, endedWords(ended))
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

// endedWords says how many sessions ended, and how long that may take.
func endedWords(r sessionstore.Revocation) string {
	text := "No other device was logged in."
	switch {
	case r.Count == 1:
		text = "One device is logged out."
	case r.Count > 1:
		text = fmt.Sprintf("%d devices are logged out.", r.Count)
	}
	if r.Count > 0 && r.MaxExposure > 0 {
		text += fmt.Sprintf(" It can take up to %d seconds everywhere.",
			int(r.MaxExposure.Seconds()))
	}
	return text
}
