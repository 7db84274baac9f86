package sessionstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Save keeps what was changed so far. An ordinary response needs no call: it is
// saved just before its first byte, and what comes later when the handler
// returns. Save is for responses that go on for long, and for code that wants
// to see the error.
//
// [ErrNotFound] says that the session was ended meanwhile, by a logout elsewhere or by its timeout: the changes
// are lost, and the session is empty now. [ErrUnavailable] says that nothing is known to be saved; the changes
// are still pending.
func (s *Session) Save(ctx context.Context) error {
	if err := s.save(withoutSession(ctx)); err != nil {
		return fmt.Errorf("sessionstore: save: %w", err)
	}
	return nil
}

// plan is what one save does: a snapshot of the session's pending changes.
type plan struct {
	deletes []pendingDelete
	stored  bool
	id      store.ID
	renew   bool
	drop    bool
	persist bool
	change  store.Change
	round   int
	life    int
}

func (p *plan) empty() bool {
	return !p.renew && p.change.UserID == "" && len(p.change.Set) == 0 && len(p.change.Removed) == 0
}

// headersGo makes what needs a cookie too late, and says whether a save has anything to do, or to wait for.
func (s *Session) headersGo() (pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headersSent = true
	return len(s.deletes) > 0 || s.unsaved()
}

// unsaved reports whether values, a login or a new token are pending. The
// caller holds s.mu.
func (s *Session) unsaved() bool {
	return len(s.edits) > 0 && !s.ephemeral() || s.userID != "" || s.renew
}

// rotating reports whether a change of token was sent and not answered.
func (s *Session) rotating() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil
}

// save carries out what is pending. It leaves the cookie to the response.
func (s *Session) save(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()

	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return ErrRequestEnded
	}
	p := s.plan()
	s.mu.Unlock()
	return s.perform(ctx, p)
}

// finish ends the session with its request and carries out what is pending. A
// change by a goroutine is in the plan or gets ErrRequestEnded.
func (s *Session) finish(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()

	s.mu.Lock()
	p := s.plan()
	s.ended = true
	s.mu.Unlock()
	return s.perform(ctx, p)
}

// perform carries out a plan. The caller holds s.saving.
func (s *Session) perform(ctx context.Context, p plan) error {
	for _, d := range p.deletes {
		revoked, err := s.core.end(ctx, &d)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.deletes = s.deletes[1:]
		s.mu.Unlock()
		s.core.watches.wake(func(rec *store.Record) bool { return rec.ID == d.ID || rec.ID == d.next })
		s.core.observe(ctx, Event{
			Kind: EventLogout, Handle: d.ID.Handle(), UserID: d.UserID, Reason: ReasonLogout, Actor: d.by.name, Detail: d.by.note, Revocation: revoked,
		})
	}
	if p.empty() {
		s.mu.Lock()
		s.dropSavedEdits(&p)
		s.mu.Unlock()
		return nil
	}

	rec, tok, err := s.write(ctx, &p)
	if errors.Is(err, ErrRevoked) {
		s.core.observe(ctx, Event{Kind: EventLoginRefused, UserID: p.change.UserID, Err: err})
	}
	if err == nil && p.change.UserID != "" {
		s.core.limit(ctx, p.change.UserID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotFound):
		if s.life == p.life {
			s.forget()
		}
		return err
	case err != nil:
		return err
	case s.life != p.life:
		s.deleteSaved(&p, rec)
		return nil
	}
	s.commit(&p, rec, tok)
	return nil
}

// end deletes a session that was logged out, under its id and under the one of
// an unanswered change of token. After the first Delete, that change has no row
// to start from.
func (c *core) end(ctx context.Context, d *pendingDelete) (Revocation, error) {
	if d.unrestored {
		if done, err := c.bar(ctx, d.ID); done || err != nil {
			return Revocation{}, err
		}
	}
	r, err := c.store.Delete(ctx, d.ID)
	if err != nil || d.next == (store.ID{}) {
		return r, err
	}
	moved, err := c.store.Delete(ctx, d.next)
	return Revocation{
		Committed: r.Committed && moved.Committed, CacheAcked: r.CacheAcked && moved.CacheAcked, MaxExposure: max(r.MaxExposure, moved.MaxExposure),
	}, err
}

// deleteSaved adds a pending delete of a session that was logged out during its
// save. Logout added one under the old id, if there was one.
func (s *Session) deleteSaved(p *plan, rec store.Record) {
	for i := range s.deletes {
		if d := &s.deletes[i]; p.stored && d.ID == p.id {
			d.Record, d.next = rec, store.ID{}
			return
		}
	}
	s.deletes = append(s.deletes, pendingDelete{Record: rec, by: actor{name: rec.UserID}})
}

// plan takes the pending changes. What is changed from now on belongs to the next save.
func (s *Session) plan() plan {
	p := plan{
		deletes: slices.Clone(s.deletes),
		stored:  s.identity == stored,
		id:      s.rec.ID,
		renew:   s.renew,
		drop:    s.drop,
		persist: s.persist,
		round:   s.round,
		life:    s.life,
		change:  store.Change{UserID: s.userID, DropData: s.fresh, Client: s.client},
	}
	if s.userID != "" {
		p.change.Began = store.BeganHere(s.started, s.own.all()...)
	}
	if s.core.cfg.Limits.DenyAtMaxSessions {
		p.change.MaxSessions = s.core.cfg.Limits.MaxSessionsPerUser
	}
	if s.ephemeral() {
		p.round = -1 // values stay for the request and are not saved
		return p
	}
	s.round++
	for k, e := range s.edits {
		if e.value == nil {
			p.change.Removed = append(p.change.Removed, k)
			continue
		}
		if p.change.Set == nil {
			p.change.Set = make(map[string]json.RawMessage, len(s.edits))
		}
		p.change.Set[k] = e.value
	}
	if s.identity != stored && len(p.change.Set) == 0 {
		p.change.Removed = nil // nothing to remove from
	}
	return p
}

// write does the one statement that a plan comes to, and returns the session's token when it is a new one.
func (s *Session) write(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	kind := EventRotated
	if p.change.UserID != "" {
		kind = EventLogin
	}
	if p.stored {
		rec, tok, err := s.rewrite(ctx, p)
		if err == nil && (p.renew || p.change.UserID != "") {
			s.core.observe(ctx, Event{Kind: kind, Handle: rec.ID.Handle(), UserID: rec.UserID})
		}
		// The anonymous session that a user logs in from may end while they type their password. Who they are
		// does not hang on it: they get a fresh session, with nothing of the dead one but this request's changes.
		if !errors.Is(err, ErrNotFound) || p.change.UserID == "" {
			return rec, tok, err
		}
	}
	tok := s.core.newToken()
	rec, err := s.core.store.Create(ctx, store.Draft{
		ID: tok.ID(), UserID: p.change.UserID, Data: object.Encode(p.change.Set), Client: p.change.Client,
		MaxSessions: p.change.MaxSessions, Began: p.change.Began,
	})
	if errors.Is(err, ErrOutcomeUnknown) {
		rec, err = s.confirm(ctx, tok, store.Change{Began: p.change.Began}, err)
	}
	if err == nil {
		if p.change.UserID == "" {
			kind = EventCreated
		}
		s.core.observe(ctx, Event{Kind: kind, Handle: rec.ID.Handle(), UserID: rec.UserID})
	}
	return rec, &tok, err
}

// rewrite changes the session that is in the store, under a new token if it is to get one.
func (s *Session) rewrite(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	if p.renew {
		return s.rotate(ctx, p)
	}
	rec, err := s.core.store.Save(ctx, p.id, p.change)
	return rec, nil, err
}

// apply makes the session what the store now has, and keeps what was changed meanwhile.
func (s *Session) commit(p *plan, rec store.Record, tok *cookie.Token) {
	s.identity, s.rec, s.kept = stored, rec, p.persist
	if tok != nil {
		s.token, s.minVersion, s.hidden, s.pending, s.left = *tok, 0, nil, nil, false
	}
	if rec.MinVersion > s.minVersion {
		s.minVersion = rec.MinVersion
	}
	if s.userID == p.change.UserID {
		s.userID, s.drop, s.fresh, s.renew = "", false, false, s.renew && !p.renew
	}
	s.dropSavedEdits(p)
}

// dropSavedEdits takes the edits of a plan that is carried out off the list.
func (s *Session) dropSavedEdits(p *plan) {
	for k, e := range s.edits {
		if e.round <= p.round {
			delete(s.edits, k)
		}
	}
}

// rotate gives the stored session a new token, together with the plan's
// changes. If Postgres does not answer and can't be asked again, the session
// keeps the new token as pending: the next save of the same request repeats the
// change with it. A pending token was in no cookie, so a login may use it.
func (s *Session) rotate(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	tok, rest := s.core.newToken(), store.Change{Began: p.change.Began}
	if pending != nil {
		// If the earlier attempt was committed, it lacks what was changed
		// since.
		tok, rest = *pending, p.change
	}
	rec, err := s.core.store.Rotate(ctx, p.id, tok.ID(), p.change)
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
	rec, saveErr := s.core.store.Save(ctx, tok.ID(), rest)
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
	for i := range s.deletes {
		if d := &s.deletes[i]; d.ID == p.id {
			d.next = tok.ID()
		}
	}
}

// bar keeps another instance from restoring a session: it creates an empty row
// under the session's id, and restoring does not replace a row. bar is false if
// the session has been restored. The row stays as long as the session could
// live in the memory of the other instance, where it may be in use.
func (c *core) bar(ctx context.Context, id store.ID) (bool, error) {
	draft := store.Draft{ID: id, Data: object.Encode(nil), Idle: c.expiry.Absolute}
	_, err := c.store.Create(ctx, draft)
	if !errors.Is(err, ErrExists) {
		return err == nil, err
	}
	rec, err := c.store.Load(ctx, id, 0)
	return err == nil && bars(&rec), nil
}
