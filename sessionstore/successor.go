package sessionstore

import (
	"context"
	"errors"
)

// A change of token that nobody answered, and of which nobody could be asked afterwards: the session has the new token or
// the old one. The browser keeps its cookie, and gets a second one beside it that says what the new token would be: when the
// old one turns out to be of no session, the new one is tried. So an outage logs nobody out, whichever of the two it is. The new
// token is masked with the old one and bound to it, so that the second cookie is worth nothing without the first, nor beside another.
//
// Who planted the old token before a login learns nothing: the login is under the new token or did not happen. Who planted both
// cookies, got by a login of theirs that nobody answered, knows both tokens. So what is changed with a token, such as who is logged
// in, gets one that was never in a cookie: see rotate.

// successorSuffix makes the name of the second cookie from that of the first.
const successorSuffix = "-next"

// errForgotten says that there is nothing to save any more: the session was logged out, and nothing was sent yet.
var errForgotten = errors.New("logged out meanwhile")

// readSuccessor finds out from the request which token its session was to get, and whether its cookie outlives the browser; nil for none.
func (x *exchange) readSuccessor(of token) (*next, bool) {
	if !x.m.nextCookie.named(x.request) {
		return nil, false
	}
	t, outcome := x.m.nextCookie.read(x.request)
	if outcome != presentedTicket {
		return nil, false
	}
	tok := of.successor(t.token)
	if t.floor != of.bond(tok) {
		return nil, false // it was beside another cookie
	}
	return &next{of: of, token: tok, told: true}, t.persistent
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

// writeSuccessor tells the browser which token its session was to get. When that is known, it clears the second cookie: the first is
// written or cleared then. The caller holds s.mu.
func (x *exchange) writeSuccessor(secure bool) {
	m, s := x.m, &x.session
	switch {
	case s.next != nil && s.next.of == s.token:
		t := ticket{token: s.token.successor(s.next.token), floor: s.token.bond(s.next.token), persistent: s.persist}
		m.nextCookie.write(x.header, t, s.rec.AbsoluteExpiresAt.Sub(s.rec.now()), secure)
	case m.nextCookie.named(x.request):
		m.nextCookie.clear(x.header, secure)
	}
}

// next is the token that a session gets, or has got: nobody answered.
type next struct {
	of, token token
	told      bool // the browser has it
}

// rotate gives the session a new token. It may be called again when nobody answered: the session gets the token that it was to
// get before, with nothing else changed, so that it is known which it has, and then one that nobody has seen.
func (s *Session) rotate(ctx context.Context, p *plan) (Record, *token, error) {
	if s.moving() {
		tok := s.next.token
		rec, err := s.move(ctx, p.id, tok)
		if err != nil || !s.arrive(p, rec, tok) {
			return rec, &tok, err
		}
	}
	tok := s.m.newToken()
	if err := s.depart(p, tok); err != nil {
		return Record{}, nil, err
	}
	rec, err := s.m.store.Rotate(ctx, p.id, tok.id(), p.change)
	rec, err = s.settled(ctx, tok, rec, err)
	if err != nil && !errors.Is(err, ErrUncertain) {
		s.known() // otherwise apply says so, together with the token: what asks between them must hear of both
	}
	return rec, &tok, err
}

// depart notes which token the session is to get, so that a logout from now on ends it under either, and a response from now on tells
// the browser. It fails for a session that was logged out before, and when the response has told the browser of no other token.
func (s *Session) depart(p *plan, tok token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.life != p.life:
		return errForgotten
	case s.answered:
		return ErrHeadersSent
	}
	s.next = &next{of: s.token, token: tok}
	return nil
}

// move gives the session the token that it was to get, or finds that it has it.
func (s *Session) move(ctx context.Context, id ID, tok token) (Record, error) {
	rec, err := s.m.store.Rotate(ctx, id, tok.id(), Change{})
	if errors.Is(err, ErrNotFound) {
		rec, err = s.m.store.Save(ctx, tok.id(), Change{})
	}
	rec, err = s.settled(ctx, tok, rec, err)
	if errors.Is(err, ErrNotFound) {
		s.known()
	}
	return rec, err
}

// arrive takes notice that the session has the token that it was to get. It is false for one that was logged out meanwhile.
func (s *Session) arrive(p *plan, rec Record, tok token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != p.life {
		return false
	}
	s.rec, s.token, s.floor, s.next, s.recook = rec, tok, rec.Floor, nil, true
	p.id = rec.ID
	return true
}

// find makes sure that it is known which token the session has, for what must spare it.
func (s *Session) find(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	if !s.moving() {
		return nil
	}
	s.mu.Lock()
	p, tok, ended := plan{id: s.rec.ID, life: s.life}, s.next.token, s.ended
	s.mu.Unlock()
	if ended {
		return ErrEnded
	}
	rec, err := s.move(withoutSession(ctx), p.id, tok)
	switch {
	case errors.Is(err, ErrNotFound): // it has ended
		return nil
	case err != nil:
		return err
	}
	s.arrive(&p, rec, tok)
	return nil
}

// known: what became of the token that the session was to get.
func (s *Session) known() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = nil
}

// moving says that the session was to get a new token, and nobody answered.
func (s *Session) moving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next != nil && s.next.of == s.token
}
