package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// home is the first page: who you are, what is kept for you, and what is known of your session.
type home struct {
	frame
	Form     loginForm
	Counter  int
	Cart     []cartLine
	CartSize int
	Session  *sessionFacts // nil: there is none yet
}

// loginForm is what was typed into the form when it is shown again.
type loginForm struct {
	Name     string
	Remember bool
	Problem  string
	// Wrong is the field that the problem is with: "name" or "password".
	Wrong string
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

// home shows everything. Only a flash message changes the session: a visitor who just looks gets no cookie.
func (a *app) home(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	p := a.homeOf(s)
	p.popFlash(s)
	render(w, "home.html", http.StatusOK, p)
}

// homeOf is the page of a session, without its message. A value of another type than expected, such as a program can
// leave behind with /api/set, counts as none.
func (a *app) homeOf(s *sessionstore.Session) home {
	p := home{frame: a.frameOf("pgsession demo", "/", s), Session: factsOf(s)}
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
