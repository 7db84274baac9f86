package sessionstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Save saves what was changed so far. An ordinary response needs no call: it is
// saved just before its first byte, and what changes later when the handler
// returns. Save is for responses that take long, and for code that needs the
// error. Saves of several goroutines run one after the other. ctx and
// [Config.StoreTimeout] bound a Save, its wait for another one included.
//
// The errors are:
//   - [ErrNotFound] if the session was ended meanwhile, by a logout elsewhere
//     or its timeout; the changes are lost, and the session is empty now
//   - [ErrUnavailable] if nothing is known to be saved; the changes are still
//     pending
//   - [ErrRevoked] or [ErrTooManySessions] if a login was refused, or
//     [ErrNoPendingLogin] if it could not be completed; it and the other
//     changes are taken back
//   - [ErrRequestEnded] after the request
//   - the error of ctx
func (s *Session) Save(ctx context.Context) error {
	if err := within(withoutSession(ctx), s.core.cfg.StoreTimeout, s.save); err != nil {
		return fmt.Errorf("sessionstore: save: %w", err)
	}
	return nil
}

// plan is what one save does: a copy of what is pending.
type plan struct {
	deletes    []pendingDelete
	stored     bool
	owned      bool     // a user's, and not revoked by this request
	id         store.ID // if stored
	rotate     bool
	rotated    *cookie.Token // see pending.rotated
	tried      bool
	remembered bool
	expires    bool // the deadline of a stored session moves
	step       authStep
	change     store.Change
	// replaced is the login of another user that a login ends; nil for none.
	replaced *store.Record
}

// empty reports whether a plan needs no statement, its deletes aside.
func (p *plan) empty() bool {
	return p.step == noStep && !p.rotate && len(p.change.Set) == 0 && len(p.change.Removed) == 0 &&
		!p.expires
}

// logsIn reports whether a user has given a factor: it begins, completes or is
// a login.
func (p *plan) logsIn() bool { return p.change.UserID != "" || p.change.PendingUserID != "" }

// rotates reports whether it does what a Save can't.
func (p *plan) rotates() bool {
	return p.change.PendingUserID != "" || p.change.Completes || p.change.StepUp
}

// event returns the event of a plan that was carried out.
func (p *plan) event(rec *store.Record, created bool) Event {
	e := eventOf(rec)
	switch c := &p.change; {
	case c.UserID != "":
		e.Kind = EventLogin
	case c.PendingUserID != "":
		e.Kind, e.UserID = EventLoginBegan, rec.PendingUserID
	case c.StepUp:
		e.Kind = EventSteppedUp
	case created:
		e.Kind = EventCreated
		return e
	default:
		e.Kind = EventRotated
		return e
	}
	e.Level, e.Methods = rec.Methods.Level(), rec.Methods.All()
	return e.from(p.change.Client)
}

// save carries out what is pending. It leaves the cookie to the response.
func (s *Session) save(ctx context.Context) error {
	p, err := s.beginSave(ctx)
	if err != nil {
		return err
	}
	defer s.endSave()
	return s.perform(ctx, &p)
}

// finish is save at the end of the request, which it closes. A change by
// another goroutine is in this save or gets ErrRequestEnded.
func (s *Session) finish(ctx context.Context) error {
	s.mu.Lock()
	err := s.awaitTurn(ctx)
	var p plan
	if err == nil {
		p = s.plan()
	}
	s.phase = phaseClosed
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer s.endSave()
	return s.perform(ctx, &p)
}

// beginSave waits for a save that is under way, and plans the next one.
func (s *Session) beginSave(ctx context.Context) (plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.awaitTurn(ctx); err != nil {
		return plan{}, err
	}
	if s.phase == phaseClosed {
		return plan{}, ErrRequestEnded
	}
	return s.plan(), nil
}

// plan takes what is pending. Edits from now on belong to the next save. The
// caller holds s.mu.
func (s *Session) plan() plan {
	s.saving = true
	limits := &s.core.cfg.Limits
	p := plan{
		deletes:    s.next.deletes,
		stored:     s.identity == stored,
		owned:      s.rec.UserID != "" && !s.own.has(&s.rec),
		id:         s.rec.ID,
		rotate:     s.next.rotate,
		rotated:    s.next.rotated,
		tried:      s.next.tried,
		remembered: s.persistent(),
		expires:    s.expires(),
		step:       s.next.auth.step,
		change:     s.next.auth.change(),
	}
	if userID := p.change.UserID; p.stored && userID != "" && s.rec.UserID != "" &&
		s.rec.UserID != userID {
		replaced := s.rec
		p.replaced = &replaced
	}
	p.change.DropData, p.change.Client = s.next.drop == dropAll, s.client
	p.change.Lifetime = s.next.lifetime
	switch {
	case p.change.Completes:
		p.change.Began = store.BeganAt(s.rec.PendingSince, s.own.marks()...)
	case p.logsIn():
		began := s.next.auth.began(s.started)
		p.change.Began = store.BeganHere(began, s.own.marks()...)
	}
	if limits.DenyAtMaxSessions {
		p.change.MaxSessions = limits.MaxSessionsPerUser
	}
	if s.ephemeral() {
		return p // values stay for the request and are not saved
	}
	s.sending, s.next.edits = s.next.edits, nil
	for k, v := range s.sending {
		if v == nil {
			p.change.Removed = append(p.change.Removed, k)
			continue
		}
		if p.change.Set == nil {
			p.change.Set = make(map[string]json.RawMessage, len(s.sending))
		}
		p.change.Set[k] = v
	}
	if !p.stored && len(p.change.Set) == 0 {
		p.change.Removed = nil // nothing to remove from
	}
	return p
}

// endSave ends a save, whatever became of it. Edits that it did not save are
// pending again, but for those that were edited once more.
func (s *Session) endSave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sending) > 0 {
		maps.Copy(s.sending, s.next.edits)
		s.next.edits = s.sending
	}
	s.saving, s.sending = false, nil
	s.freed()
}

// perform carries out a plan.
func (s *Session) perform(ctx context.Context, p *plan) error {
	unknown := s.lookAtUnseen(ctx, p)
	for i := range p.deletes {
		if err := s.delete(ctx, &p.deletes[i]); err != nil {
			return err
		}
	}
	if unknown != nil {
		return unknown
	}
	if p.empty() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sending = nil
		return nil
	}

	rec, tok, err := s.write(ctx, p)
	s.settle(p, rec, tok, err)
	if errors.Is(err, ErrNotFound) && p.change.Completes {
		err = ErrNoPendingLogin
	}
	switch {
	case refusesLogin(err):
		e := Event{Kind: EventLoginRefused, Err: err}.from(p.change.Client)
		if e.UserID = cmp.Or(p.change.UserID, p.change.PendingUserID); p.stored {
			e.Handle = p.id.Handle()
		}
		s.core.observe(ctx, e)
	case err == nil && p.change.UserID != "":
		s.core.limit(ctx, p.change.UserID)
	}
	return err
}

// refusesLogin reports whether the store refused a login. The store works: that
// is no failure to save.
func refusesLogin(err error) bool {
	return errors.Is(err, ErrRevoked) || errors.Is(err, ErrNoPendingLogin) ||
		errors.Is(err, ErrTooManySessions)
}

// settle makes the session what a plan has made of it. That comes first after
// the store's reply: a panic must not lose a new token.
func (s *Session) settle(p *plan, rec store.Record, tok *cookie.Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.commit(p, rec, tok)
	case errors.Is(err, ErrNotFound):
		s.barred = s.barred || p.owned
		s.forget()
	case refusesLogin(err):
		s.discard() // the user is not logged in, and another try can't succeed
	}
}

// commit makes the session what the store has now. The caller holds s.mu.
func (s *Session) commit(p *plan, rec store.Record, tok *cookie.Token) {
	s.identity, s.rec, s.remembered = stored, rec, p.remembered
	s.readAt = time.Now()
	s.saves = s.saves || tok == nil
	s.expiry = s.expiry || p.expires
	if tok != nil {
		s.token, s.minVersion, s.hidden = *tok, 0, nil
		s.next.rotated, s.loggedOut = nil, false
	}
	s.minVersion = max(s.minVersion, rec.MinVersion)
	s.next.auth, s.next.drop, s.next.rotate = authentication{}, dropNothing, false
	s.next.lifetime = 0
	s.sending = nil
}

// lookAtUnseen leaves out sessions that have ended already, of cookies that
// were too many to look at. One query finds them. Sessions that it does not
// know stay pending, and are an error: in an emergency each would be a revoke
// in the journal, and one request can have thousands of cookies of ended
// sessions.
func (s *Session) lookAtUnseen(ctx context.Context, p *plan) error {
	var ids []store.ID
	for i := range p.deletes {
		if d := &p.deletes[i]; d.unseen && !d.unrestored {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	alive, over, err := s.core.store.Alive(ctx, ids)
	known := make(map[store.ID]bool, len(ids)) // whether it is alive
	for _, id := range over {
		known[id] = false
	}
	for _, id := range alive {
		known[id] = true
	}
	var left, unknown []pendingDelete
	for _, d := range p.deletes {
		lives, isKnown := known[d.ID]
		switch {
		case !d.unseen || d.unrestored || lives:
			left = append(left, d)
		case !isKnown && err != nil:
			unknown = append(unknown, d)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next.deletes, p.deletes = slices.Concat(left, unknown), left
	if len(unknown) == 0 {
		return nil
	}
	return fmt.Errorf("sessionstore: logout: %d sessions of more than %d cookies"+
		" can't be looked at: log out again: %w", len(unknown), cookie.MaxPresented, err)
}

// delete carries out the first pending delete.
func (s *Session) delete(ctx context.Context, d *pendingDelete) error {
	if err := s.core.logOut(ctx, d, s.client); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next.deletes = s.next.deletes[1:]
	s.logouts++
	s.barred = s.barred || d.missed && d.UserID != "" && !s.own.has(&d.Record)
	return nil
}

// write sends the statement of a plan. It returns the session's token if that
// is a new one.
func (s *Session) write(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	c, by := &p.change, actorFrom(ctx)
	note := store.Note{Actor: by.name, Detail: by.note, Client: c.Client}
	if p.stored {
		over, row := p.over(by)
		note.Over = row
		rec, tok, err := s.rewrite(store.WithNote(ctx, note), p)
		if err == nil && over != nil {
			s.core.observe(ctx, *over)
		}
		if err == nil && (p.rotate || c.UserID != "") {
			s.core.observe(ctx, p.event(&rec, false))
		}
		// A visitor's session may end while the user types their password. They
		// get a fresh one, with nothing of the ended one but this request's
		// changes. A pending login and a step-up have nothing to go on from.
		if !errors.Is(err, ErrNotFound) || !p.logsIn() || c.Completes {
			return rec, tok, err
		}
		if p.owned {
			return rec, tok, ErrRevoked
		}
		if c.PendingUserID != "" {
			if err := s.core.logOutOther(ctx, p.id, c.Client); err != nil {
				return store.Record{}, nil, err
			}
		}
		note.Over = store.LoginOver{}
	}
	if c.UserID != "" && s.isBarred() {
		return store.Record{}, nil, ErrRevoked
	}
	ctx = store.WithNote(ctx, note)
	tok := s.core.newToken()
	rec, err := s.core.store.Create(ctx, p.draft(tok.ID()))
	if errors.Is(err, ErrOutcomeUnknown) {
		rec, err = s.confirm(ctx, tok, store.Change{Began: c.Began}, err)
	}
	if err == nil {
		s.core.observe(ctx, p.event(&rec, true))
	}
	return rec, &tok, err
}

// isBarred reports whether this request had a session of a user that another
// one has ended. A Login may be a change of role, for which that session is all
// that its bearer has, so it begins no new one.
func (s *Session) isBarred() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barred
}

// over returns the event of the login of another user that a login ends, and
// what its row says; nil for none.
func (p *plan) over(by actor) (*Event, store.LoginOver) {
	if p.replaced == nil {
		return nil, store.LoginOver{}
	}
	e := eventOf(p.replaced).from(p.change.Client)
	e.Kind, e.Reason, e.Detail = EventLogout, ReasonLogin, by.note
	e.Actor = cmp.Or(by.name, e.UserID)
	return &e, store.LoginOver{
		Handle: e.Handle, UserID: e.UserID, LoginID: p.replaced.LoginID,
		Reason: string(e.Reason), Actor: e.Actor,
	}
}

// draft returns a new session with the change of a plan.
func (p *plan) draft(id store.ID) store.Draft {
	c := &p.change
	return store.Draft{
		ID: id, UserID: c.UserID, Data: object.Encode(c.Set), Client: c.Client,
		MaxSessions: c.MaxSessions, Lifetime: c.Lifetime, Began: c.Began, LoginID: c.LoginID,
		Methods: c.Methods, Tags: c.Tags, PendingUserID: c.PendingUserID,
	}
}

// rewrite changes the stored session, under a new token if it is to get one.
func (s *Session) rewrite(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	if p.rotate {
		return s.rotate(ctx, p)
	}
	rec, err := s.core.store.Save(ctx, p.id, p.change)
	return rec, nil, err
}

// rotate gives the stored session a new token, together with the plan's
// changes. If Postgres does not reply and can't be asked again, the request
// keeps the new token: its next save repeats the Rotate with it. That token was
// in no cookie, so a login may use it.
func (s *Session) rotate(ctx context.Context, p *plan) (store.Record, *cookie.Token, error) {
	tok, rest := s.core.newToken(), store.Change{Began: p.change.Began}
	if p.rotated != nil {
		// If the earlier attempt was committed, it lacks what was changed
		// since.
		tok, rest = *p.rotated, p.savable()
	}
	rec, err := s.core.store.Rotate(ctx, p.id, tok.ID(), p.change)
	if errors.Is(err, ErrOutcomeUnknown) || p.rotated != nil && errors.Is(err, ErrNotFound) {
		rec, err = s.confirm(ctx, tok, rest, err)
		if err == nil && p.rotated != nil && !p.tried && p.rotates() {
			// What was committed may be the earlier attempt, without this.
			again := *p
			again.id, again.rotated = tok.ID(), nil
			return s.rotate(ctx, &again)
		}
	}
	if errors.Is(err, ErrOutcomeUnknown) {
		s.mu.Lock()
		s.next.rotated, s.next.tried = &tok, true
		s.mu.Unlock()
	}
	return rec, &tok, err
}

// savable returns the change without what the earlier attempt has done, and
// without what only a Rotate may do.
func (p *plan) savable() store.Change {
	c := p.change
	if p.tried || p.rotates() {
		c.UserID, c.PendingUserID, c.Completes, c.StepUp = "", "", false, false
		c.LoginID, c.Methods, c.Tags, c.MaxSessions = store.LoginID{}, nil, nil, 0
	}
	return c
}

// confirm finds out whether a change under a new id was committed whose reply
// was lost, or which an earlier attempt may have made. Only this request knows
// the id, so if the row exists the change succeeded. It sends a Save, not a
// Load, because a Save waits for the synchronous standby. rest is what that
// change may lack. With the Began of a login, the Save looks for revokes again.
func (s *Session) confirm(
	ctx context.Context, tok cookie.Token, rest store.Change, err error,
) (store.Record, error) {
	rec, saveErr := s.core.store.Save(ctx, tok.ID(), rest)
	if saveErr == nil || errors.Is(err, ErrNotFound) || errors.Is(saveErr, ErrRevoked) {
		return rec, saveErr
	}
	return store.Record{}, err
}
