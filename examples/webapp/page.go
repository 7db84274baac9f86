package main

import (
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// page is what the one page of the demo shows.
type page struct {
	User     string
	Flash    string
	Form     loginForm
	Counter  int
	Cart     []cartLine
	CartSize int

	Session *sessionFacts // nil: there is none yet
	Store   string
	Env     string
}

// Memory says that sessions end with this process.
func (p page) Memory() bool { return p.Store == "memory" }

// Development says that the cookie may travel over plain http.
func (p page) Development() bool { return p.Env == sessionstore.Development.String() }

// loginForm is what was typed into the form when it is shown again.
type loginForm struct {
	Name     string
	Remember bool
	Problem  string
}

// sessionFacts are what is known of a session beside its values.
type sessionFacts struct {
	Handle  sessionstore.Handle
	Version int64
	Began   moment
	// Ends is when the session ends if nobody uses it; Latest when it ends in any case, where that is later.
	Ends   moment
	Latest *moment
}

// page shows everything. Only a flash message changes the session: a visitor who just looks gets no cookie.
func (a *app) page(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	p := a.pageOf(s)
	p.Flash, _, _ = flash.Pop(s)
	render(w, "page.html", http.StatusOK, p)
}

// pageOf is the page of a session, without its message. A value of another type than expected, such as a program can
// leave behind with /api/set, counts as none.
func (a *app) pageOf(s *sessionstore.Session) page {
	p := page{User: s.UserID(), Session: factsOf(s), Store: a.sessions.StoreName(), Env: a.cfg.Env.String()}
	p.Counter, _ = counter.Get(s)
	p.Cart, p.CartSize = cartOf(s)
	return p
}

func factsOf(s *sessionstore.Session) *sessionFacts {
	rec, ok := s.Record()
	if !ok {
		return nil
	}
	now := rec.ValidatedAt // the clock that decides
	facts := &sessionFacts{
		Handle:  s.Handle(),
		Version: rec.Version,
		Began:   moment{rec.CreatedAt, now},
		Ends:    moment{rec.ExpiresAt, now},
	}
	if rec.AbsoluteExpiresAt.After(rec.ExpiresAt) {
		facts.Latest = &moment{rec.AbsoluteExpiresAt, now}
	}
	return facts
}

// moment is a time as somebody sees it now.
type moment struct{ at, now time.Time }

// Machine is the time as <time datetime> wants it.
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

// Clock is the time in full. The server doesn't know the reader's time zone.
func (m moment) Clock() string { return m.at.UTC().Format("2 January 2006, 15:04 UTC") }

// Distance is how far away the time is, in words.
func (m moment) Distance() string {
	switch d := m.at.Sub(m.now); {
	case d > 0:
		return "in " + words(d)
	case d > -time.Minute:
		return "just now"
	default:
		return words(-d) + " ago"
	}
}
