package main

import (
	"github.com/reporadar/pgsession/sessionstore"
)

// frame is the part that all pages share.
type frame struct {
	Title string
	Here  string // path of the page, for the navigation
	User  string
	Flash string

	Store     string
	Env       string
	Persists  bool // a database is configured
	Passwords bool // a login needs one
}

// frameOf returns the frame of a page. s is nil for a page without a session.
func (a *app) frameOf(title, here string, s *sessionstore.Session) frame {
	f := frame{
		Title: title, Here: here,
		Store: a.sessions.Store().Name(), Env: a.cfg.Env.String(),
		Persists: a.cfg.DatabaseURL != "", Passwords: a.users != nil,
	}
	if s != nil {
		f.User = s.UserID()
	}
	return f
}

// popFlash removes the message from the session and shows it. Without a message
// the session stays unchanged.
func (f *frame) popFlash(s *sessionstore.Session) { f.Flash, _, _ = flash.Pop(s) }

// Memory reports whether sessions end with this process, because no database is
// configured.
func (f frame) Memory() bool { return !f.Persists }

// Emergency reports whether the configured database is unavailable.
func (f frame) Emergency() bool { return f.Persists && f.Store == "memory" }

// Development reports whether the cookie may be sent over plain http.
func (f frame) Development() bool { return f.Env == sessionstore.Development.String() }
