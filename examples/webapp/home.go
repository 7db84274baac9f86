package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// home is the first page: the user, the values and the facts of the session.
type home struct {
	frame
	Ended    string // why the browser's last session is over
	Form     loginForm
	Counter  int
	Cart     []cartLine
	CartSize int
	Session  *sessionFacts // nil before the first value
}

// reasons are the words for why a session is over.
var reasons = map[sessionstore.Ending]string{
	sessionstore.EndingExpired: "Your session has expired.",
	sessionstore.EndingLogout:  "You were logged out.",
	sessionstore.EndingTooMany: "Your session has ended. Another login took its place.",
}

// loginForm is the content of a form that is shown again.
type loginForm struct {
	Name     string
	Remember bool
	Problem  string
	// Wrong is the field with the problem: "name" or "password".
	Wrong string
}

// sessionFacts are the facts of a session beside its values.
type sessionFacts struct {
	Handle sessionstore.Handle
	Began  moment
	// Ends is the idle deadline. Latest is the absolute deadline, if it is
	// later.
	Ends   moment
	Latest *moment
}

// home shows the page. Only a flash message changes the session, so a visitor
// gets no cookie.
func (a *app) home(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	p := a.homeOf(s)
	p.popFlash(s)
	render(w, "home.html", http.StatusOK, p)
}

// homeOf returns the page of a session without its message. A value of an
// unexpected type, as another version of the demo may have left, counts as
// absent.
func (a *app) homeOf(s *sessionstore.Session) home {
	p := home{
		frame: a.frameOf("pgsession demo", "/", s), Ended: reasons[s.Ended()], Session: factsOf(s),
	}
	p.Counter, _ = counter.Get(s)
	p.Cart, p.CartSize = cartOf(s)
	return p
}

func factsOf(s *sessionstore.Session) *sessionFacts {
	info, ok := s.Info()
	if !ok {
		return nil
	}
	facts := &sessionFacts{
		Handle: info.Handle,
		Began:  moment{info.CreatedAt, info.ReadAt},
		Ends:   moment{info.ExpiresAt, info.ReadAt},
	}
	if info.AbsoluteExpiresAt.After(info.ExpiresAt) {
		facts.Latest = &moment{info.AbsoluteExpiresAt, info.ReadAt}
	}
	return facts
}
