package sessionstore

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// rotate gives the stored session a new token, together with the plan's
// changes. If Postgres does not answer and can't be asked again, the session
// keeps the new token as pending: the next save of the same request repeats the
// change with it. A pending token was in no cookie, so a login may use it.
func (s *Session) rotate(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	tok, rest := s.m.newToken(), store.Change{Began: p.change.Began}
	if pending != nil {
		// If the earlier attempt was committed, it lacks what was changed
		// since.
		tok, rest = *pending, p.change
	}
	rec, err := s.m.store.Rotate(ctx, p.id, tok.ID(), p.change)
	if errors.Is(err, ErrOutcomeUnknown) || pending != nil && errors.Is(err, ErrNotFound) {
		rec, err = s.confirm(ctx, tok, rest, err)
	}
	if errors.Is(err, ErrOutcomeUnknown) {
		s.unresolved(p, tok)
	}
	return rec, &tok, err
}

// confirm finds out whether a change under a new id was committed whose reply
// was lost, or which an earlier attempt may have made. Only this request knows
// the id, so if the row exists the change succeeded. It sends a Save, not a
// Load, because a Save waits for the synchronous standby. rest is what that
// change may lack. With the Began of a login, the Save looks for revokes again.
func (s *Session) confirm(ctx context.Context, tok cookie.Token, rest store.Change, err error) (store.Record, error) {
	rec, saveErr := s.m.store.Save(ctx, tok.ID(), rest)
	if saveErr == nil || errors.Is(err, ErrNotFound) || errors.Is(saveErr, ErrRevoked) {
		return rec, saveErr
	}
	return store.Record{}, err
}

// unresolved records a token that the session may have, for the repetition. If
// the request has logged out meanwhile, the logout ends the session under it.
func (s *Session) unresolved(p *plan, tok cookie.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == p.life {
		s.pending = &tok
		return
	}
	for i := range s.doomed {
		if d := &s.doomed[i]; d.ID == p.id {
			d.next = tok.ID()
		}
	}
}
