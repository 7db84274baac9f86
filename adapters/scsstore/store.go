package scsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Options are those of a [Store]. The zero value is ready for use.
type Options struct {
	// UserKey is the key of the value with the id of the session's user: a
	// string, an integer or a [fmt.Stringer]. With it a Manager lists and
	// revokes the sessions of a user. Empty: no session has a user.
	UserKey string
	// Values is the Codec that the SessionManager had, if it was one of the
	// application's own. Nil encodes as [Codec] says.
	Values ValueCodec
	// Client returns where a request came from, for lists of sessions. Nil
	// notes nothing.
	Client func(*http.Request) store.Client
	// Pool is one on the database of the sessions, for [Store.All],
	// [Store.Import] and TakeOver. Nil: they return an error.
	Pool *pgxpool.Pool
	// Schema is that of the library's tables; empty is "pgsession".
	Schema string
	// TakeOver moves sessions from scs's own table when they are first used.
	// Nil moves none.
	TakeOver *TakeOver
}

// Store implements the interfaces CtxStore and IterableCtxStore of scs, and
// those without a context. It is safe for concurrent use.
type Store struct {
	sessions store.Store
	options  Options
	codec    Codec
}

// New makes a store for a SessionManager over the store of a Manager. The
// Manager stays in charge of the timeouts, the prune and the end of the
// program.
func New(sessions store.Store, o Options) *Store {
	return &Store{sessions: sessions, options: o, codec: Codec{o.Values}}
}

// Codec returns the codec for the SessionManager.
func (s *Store) Codec() Codec { return s.codec }

// Find implements Store of scs.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements Store of scs.
func (s *Store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete implements Store of scs.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// FindCtx returns the data of a session. A session that is not there is no
// error.
func (s *Store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	if _, ok := named(token); ok {
		return nil, false, nil
	}
	id := idOf(token)
	rec, err := s.sessions.Load(ctx, id, 0)
	if errors.Is(err, store.ErrNotFound) && !hasEnded(err) && s.takesOver() {
		if err = s.takeOver(ctx, token); err == nil {
			rec, err = s.sessions.Load(ctx, id, 0)
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("scsstore: find: %w", err)
	case !written(rec.Data): // a session of the Manager itself
		return nil, false, nil
	}
	s.requestOf(ctx).note(id, sessionOf(&rec))
	s.touch(ctx, &rec)
	return rec.Data, true, nil
}

// hasEnded reports whether a logout has ended a session, after which nothing
// creates it anew.
func hasEnded(err error) bool {
	return errors.Is(err, store.ErrEnded) || errors.Is(err, store.ErrReplaced)
}

func sessionOf(rec *store.Record) *session {
	left := rec.AbsoluteExpiresAt.Sub(answeredAt(rec))
	return &session{userID: rec.UserID, data: rec.Data, ends: time.Now().Add(left)}
}

// answeredAt returns the time of the store when it answered.
func answeredAt(rec *store.Record) time.Time {
	if rec.AnsweredAt.IsZero() {
		return rec.ValidatedAt
	}
	return rec.AnsweredAt
}

// touch extends a session in use that the library's own idle timeout would
// else end. It makes at most one touch in a touch interval. If a touch fails,
// the next one makes up for it.
func (s *Store) touch(ctx context.Context, rec *store.Record) {
	idle := rec.ExpiresAt.Sub(rec.LastSeenAt)
	interval := store.Expiry{Idle: idle}.TouchInterval()
	if rec.ExpiresAt.Before(rec.AbsoluteExpiresAt) &&
		answeredAt(rec).Sub(rec.LastSeenAt) >= interval {
		_ = s.sessions.Touch(ctx, []store.Touch{{ID: rec.ID}})
	}
}

// CommitCtx saves what changed in a session that the request has loaded, and
// creates any other one. If a loaded session has ended meanwhile, the changes
// are dropped, without an error. Errors:
//   - [store.ErrNotFound]: a login, in a session that has ended meanwhile. The
//     login of a visitor makes a new one after RenewToken. RenewToken of a user
//     counts as a login.
//   - [store.ErrRevoked]: the user was revoked while the login was under way.
//   - [store.ErrUnavailable]: Postgres did not answer.
func (s *Store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	if err := s.commit(ctx, token, data, expiry); err != nil {
		return fmt.Errorf("scsstore: commit: %w", err)
	}
	return nil
}

func (s *Store) commit(ctx context.Context, token string, data []byte, expiry time.Time) error {
	object, err := members(data)
	if err != nil {
		return err
	}
	deadline, err := deadlineOf(object)
	if err != nil {
		return err
	}
	user, err := s.userOf(object)
	if err != nil {
		return err
	}
	now := time.Now()
	next := &session{userID: user, data: data, ends: now.Add(until(now, deadline, expiry))}
	id, isNamed := named(token)
	if !isNamed {
		id = idOf(token)
	}
	req := s.requestOf(ctx)
	was := req.session(id)
	if was == nil && (req == nil || isNamed) {
		var ended bool
		if was, ended, err = s.load(ctx, id); err != nil || ended {
			return err
		}
	}
	switch {
	case was == nil && (isNamed || !now.Before(expiry)):
		return nil
	case was == nil:
		return s.create(ctx, id, next)
	case !now.Before(expiry):
		_, err = s.sessions.Delete(ctx, id)
		return err
	}
	old, err := members(was.data)
	if err != nil {
		return err
	}
	return s.save(ctx, id, was, next, s.change(old, object, was, next, now, expiry))
}

// load loads a session outside of a request; nil if there is none. It reports
// whether a logout has ended it.
func (s *Store) load(ctx context.Context, id store.ID) (_ *session, ended bool, err error) {
	rec, err := s.sessions.Load(ctx, id, 0)
	switch {
	case hasEnded(err):
		return nil, true, nil
	case errors.Is(err, store.ErrExpired): // the row is in the way of a new one
		_, err = s.sessions.Delete(ctx, id)
		return nil, false, err
	case errors.Is(err, store.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return sessionOf(&rec), false, nil
}

var errLogin = fmt.Errorf("login refused: the session that it began in has ended: "+
	"log in again: %w", store.ErrNotFound)

// refuse returns the error of changes whose session has ended: a login is
// refused, and others are dropped.
func refuse(userID string) error {
	if userID == "" {
		return nil
	}
	return errLogin
}

// create creates a session, unless it would bring back one that has ended.
func (s *Store) create(ctx context.Context, id store.ID, next *session) error {
	req := s.requestOf(ctx)
	if req.late() {
		return refuse(next.userID)
	}
	lifetime := time.Until(next.ends)
	if lifetime <= 0 { // it ended while the store was asked
		return nil
	}
	began, client := req.login()
	d := store.Draft{
		ID: id, UserID: next.userID, Data: next.data, Lifetime: lifetime, Client: client,
	}
	if d.UserID != "" {
		d.Began, d.LoginID = began, store.NewLoginID()
	}
	if _, err := s.sessions.Create(ctx, d); err != nil {
		return err
	}
	req.note(id, next)
	return nil
}

// change returns what a commit changes. With an empty one the row is as it
// should be.
func (s *Store) change(
	old, object map[string]json.RawMessage, was, next *session, now, expiry time.Time,
) (c store.Change) {
	c.Set, c.Removed = s.codec.patch(old, object)
	// The deadline of scs moved, or it has an idle timeout and the row ends too
	// early.
	if _, moved := c.Set[deadlineName]; moved || was.ends.Before(expiry) {
		c.Lifetime = next.ends.Sub(now)
	}
	if next.userID == "" || next.userID == was.userID {
		return c
	}
	c.UserID, c.LoginID = next.userID, store.NewLoginID()
	if was.userID != "" { // the store would drop the values that stay
		c.Set, c.Removed, c.DropData = object, nil, true
	}
	return c
}

// save saves a change, unless it is empty.
func (s *Store) save(
	ctx context.Context, id store.ID, was, next *session, c store.Change,
) error {
	if c.Lifetime == 0 && c.UserID == "" && len(c.Set) == 0 && len(c.Removed) == 0 {
		return nil
	}
	if c.Lifetime == 0 {
		next.ends = was.ends
	}
	if next.userID == "" {
		next.userID = was.userID // the row keeps it
	}
	req := s.requestOf(ctx)
	var began store.Began
	if began, c.Client = req.login(); c.UserID != "" {
		c.Began = began
	}
	_, err := s.sessions.Save(ctx, id, c)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(c.UserID)
	case err != nil:
		return err
	}
	req.note(id, next)
	return nil
}

// until returns for how long from now on the row of a session lives: until
// scs's expiry. With an idle timeout each request moves that, so the row lives
// on for a step, and few requests write.
func until(now, deadline, expiry time.Time) time.Duration {
	left := expiry.Sub(now)
	if !expiry.Before(deadline) {
		return left
	}
	step := min(left/10, time.Minute).Truncate(time.Second)
	return min(left+step, deadline.Sub(now))
}

// DeleteCtx ends a session. One that is not there is no error.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	id, isNamed := named(token)
	if !isNamed {
		id = idOf(token)
	}
	if !isNamed && s.takesOver() { // first: it could bring the session back
		if err := s.deleteOld(ctx, token); err != nil {
			return fmt.Errorf("scsstore: delete: %w", err)
		}
	}
	r, err := s.sessions.Delete(ctx, id)
	if err != nil {
		return fmt.Errorf("scsstore: delete: %w", err)
	}
	s.requestOf(ctx).deleted(id, r.Missed)
	return nil
}

// RevokeUser ends all sessions of a user. RenewToken in the same request then
// gives its user a new session. After RevokeUser of a Manager, which makes an
// event in addition, the commit fails with [store.ErrNotFound]: the session has
// ended by another hand.
func (s *Store) RevokeUser(ctx context.Context, userID string) (store.Revocation, error) {
	sel := store.Selection{UserID: userID, Mark: store.NewMarkID()}
	s.requestOf(ctx).mark(sel.Mark)
	ids, r, err := s.sessions.Revoke(ctx, sel)
	s.requestOf(ctx).revoked(ids)
	if err != nil {
		return r, fmt.Errorf("scsstore: revoke: %w", err)
	}
	return r, nil
}
