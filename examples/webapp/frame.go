package main

import (
	"github.com/reporadar/pgsession/sessionstore"
)

// frame is what every page shows around its own content.
type frame struct {
	Title string
	Here  string // the path of the page, for the navigation
	User  string
	Flash string

	Store     string
	Env       string
	Persists  bool // a database is configured
	Passwords bool // logging in takes one
}

// frameOf is the frame of a page for this session; nil for a page that asks for none.
func (a *app) frameOf(title, here string, s *sessionstore.Session) frame {
	f := frame{
		Title: title, Here: here,
		Store: a.sessions.StoreName(), Env: a.cfg.Env.String(), Persists: a.cfg.DatabaseURL != "", Passwords: a.users != nil,
	}
	if s != nil {
		f.User = s.UserID()
	}
	return f
}

// popFlash takes the message for the next page. A page that shows it changes the session; one that just looks does not.
func (f *frame) popFlash(s *sessionstore.Session) { f.Flash, _, _ = flash.Pop(s) }

// Memory says that sessions begin and end with this process, because nobody named a database.
func (f frame) Memory() bool { return !f.Persists }

// Emergency says that there is a database and it can't be reached.
func (f frame) Emergency() bool { return f.Persists && f.Store == "memory" }

// Development says that the cookie may travel over plain http.
func (f frame) Development() bool { return f.Env == sessionstore.Development.String() }
