package sessionstore

import (
	"context"
	"errors"
)

// A change of token that nobody answered, and of which nobody could be asked afterwards: the session has the new token or
// the old one. The browser keeps its cookie, and gets a second one beside it that says what the new token would be: when the
// old one turns out to be of no session, the new one is tried. So an outage logs nobody out, whichever of the two it is. The new
// token is masked with the old one, so that the second cookie is worth nothing without the first, nor beside another.
//
// Who planted the old token before a login learns nothing: the login is under the new token or did not happen.

// successorSuffix makes the name of the second cookie from that of the first.
const successorSuffix = "-next"

// readSuccessor finds out from the request which token its session was to get, and whether its cookie outlives the browser; nil for none.
func (x *exchange) readSuccessor(of token) (*next, bool) {
	t, outcome := x.m.nextCookie.read(x.request)
	if outcome != presentedTicket {
		return nil, false
	}
	return &next{of: of, token: of.successor(t.token)}, t.persistent
}

// succeed takes the session over under the token that it was to get, if the request says which, and it came to be. False
// without an error says that there is none.
func (x *exchange) succeed(ctx context.Context, old token) (bool, error) {
	m, s := x.m, &x.session
	next, persistent := x.readSuccessor(old)
	if next == nil {
		return false, nil
	}
	rec, err := m.store.Save(ctx, next.token.id(), Change{}) // which says for sure that it is there: see settled
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	s.stored, s.rec, s.token = true, rec, next.token
	s.persist, s.recook, s.floor = persistent, true, rec.Floor
	m.observe(ctx, Event{Kind: EventRenewed, Handle: rec.ID.Handle(), UserID: rec.UserID})
	return true, nil
}

// writeSuccessor tells the browser which token its session was to get.
func (x *exchange) writeSuccessor() {
	m, s := x.m, &x.session
	if !s.moving() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := ticket{token: s.token.successor(s.next.token), persistent: s.persist}
	m.nextCookie.write(x.header, t, s.rec.AbsoluteExpiresAt.Sub(s.rec.now()), x.secure())
}

// forgetSuccessor clears the second cookie when the first is written or cleared: then it is known what became of the token.
func (x *exchange) forgetSuccessor() {
	if len(x.request.CookiesNamed(x.m.nextCookie.cfg.Name)) > 0 {
		x.m.nextCookie.clear(x.header, x.secure())
	}
}

// next is the token that a session gets, or has got: nobody answered.
type next struct {
	of, token token
}

// nextToken is the token for a session that is to get a new one: the one that it may have already.
func (s *Session) nextToken() (tok token, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil || s.next.of != s.token {
		s.next = &next{of: s.token, token: s.m.newToken()}
		return s.next.token, false
	}
	return s.next.token, true
}

// rotate gives the session a new token. It may be called again when nobody answered.
func (s *Session) rotate(ctx context.Context, p *plan) (Record, *token, error) {
	tok, again := s.nextToken()
	rec, err := s.m.store.Rotate(ctx, p.id, tok.id(), p.change)
	if again && errors.Is(err, ErrNotFound) { // it has moved, without what was changed since
		rec, err = s.m.store.Save(ctx, tok.id(), p.change)
	}
	rec, err = s.settled(ctx, tok, rec, err)
	if err == nil || errors.Is(err, ErrNotFound) { // any other error says nothing of the first attempt
		s.mu.Lock()
		s.next = nil
		s.mu.Unlock()
	}
	return rec, &tok, err
}

// moving says that the session was to get a new token, and nobody answered.
func (s *Session) moving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next != nil && s.next.of == s.token
}
