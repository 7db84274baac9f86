// Package outage is the store while Postgres is unavailable. It detects an
// outage, keeps new sessions in memory and revokes in a journal, and restores
// both to Postgres afterwards.
//
// The detector is made first. Each part is finished when it is made:
//
//	d := outage.NewDetector(events)
//	g := d.Guard(pg)
//	c := cached.New(g, redis, cached.Options{Unavailable: d.Unavailable, …})
//	s := outage.New(d, c, pg, outage.Options{Cache: c, …})
package outage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store serves sessions while Postgres is unavailable. A session that begins in
// the outage lives in this process, bounded in number and bytes, and is
// restored to Postgres afterwards. Any other session is [store.ErrUnavailable],
// unless the cache may still serve it: an outage logs no one out.
//
// A revoke is journalled, and is replayed before anything is served from
// Postgres again. What this process holds is lost if it dies in the outage.
// Until it is restored, other instances can't end it.
//
// A Store is safe for concurrent use.
type Store struct {
	detector *Detector
	front    store.Store
	cache    Cache // nil for none
	sessions *sessions
	recovery *recovery
	// gate is held by calls that depend on the state of a session. It is shut
	// while sessions are restored, so that no call finds one in neither place.
	gate gate
}

// Cache is the cached store, which may still serve sessions that have ended.
type Cache interface {
	// Revoked puts tombstones of ended sessions into the cache and returns what
	// that promises. This process does not serve them from the cache again,
	// even if the cache does not acknowledge the tombstones.
	Revoked(ctx context.Context, o coherence.Outcome, ids ...store.ID) store.Revocation
}

// Options are what a Store needs beside the stores.
type Options struct {
	// Expiry has the timeouts of the sessions.
	Expiry store.Expiry
	// Timeout bounds a call of Postgres by the recovery.
	Timeout time.Duration
	// Check returns an error if Postgres is not what this version needs, such
	// as without its schema: an emergency may begin before the first contact.
	// nil checks nothing.
	Check func(context.Context) error
	// Cache is front again if there is a cache in it, else nil.
	Cache Cache
}

var _ store.Store = (*Store)(nil)

// New makes a Store. front serves while Postgres is available: the guard of d,
// with the cache in front of it if there is one. postgres is Postgres without
// the guard, for the recovery. The caller closes the Store.
func New(d *Detector, front, postgres store.Store, o Options) *Store {
	table, gate := newSessions(o.Expiry), newGate()
	s := &Store{detector: d, front: front, cache: o.Cache, sessions: table, gate: gate}
	s.recovery = newRecovery(d, postgres, table, gate, o)
	d.subscribe(s.recovery.start)
	return s
}

// Format writes the store's name, so that no log line has what it holds.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+s.Name()) }

// Name returns the name of the store that serves.
func (s *Store) Name() string {
	if s.detector.Unavailable() {
		return s.sessions.memory.Name()
	}
	return s.front.Name()
}

// Metrics returns the numbers of the emergency, all zero without one.
func (s *Store) Metrics() store.EmergencyStats {
	sessions, revokes := s.sessions.counts()
	return store.EmergencyStats{
		Since: s.detector.Since(), InMemory: sessions, Journalled: revokes,
	}
}

// Close stops the recovery after a last attempt. The error is
// [store.ErrUnavailable] if Postgres is still unavailable and sessions or
// revokes are lost.
func (s *Store) Close() error { return s.recovery.close() }

// untouched reports whether no emergency concerns the session: Postgres has it,
// or it does not exist. It stays so, since a restore only leads to Postgres. A
// call for it waits for Postgres outside the gate. Inside, a call that waits
// for a locked row would hold up the next restore, and with it every other
// call.
func (s *Store) untouched(ctx context.Context, id store.ID) bool {
	if mode := s.detector.current(); mode != coherence.Restoring {
		return mode == coherence.Normal
	}
	if s.gate.enter(ctx) != nil {
		return false // the caller gets the same error
	}
	defer s.gate.leave()
	return !s.detector.Unavailable() && s.sessions.state(id) == unknown
}

// route makes a call for a session with memory if that has it, else with front.
// A session that Postgres does not find may yet be restored.
func (s *Store) route(
	ctx context.Context, id store.ID, memory, front func() (store.Record, error),
) (store.Record, error) {
	if s.untouched(ctx, id) {
		return front()
	}
	if err := s.gate.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.gate.leave()
	switch st := s.sessions.state(id); {
	case st.ended():
		return store.Record{}, store.ErrNotFound
	case st == inMemory:
		return memory()
	}
	rec, err := front()
	if errors.Is(err, store.ErrNotFound) && s.sessions.state(id) == restoring {
		err = errRestoring
	}
	return rec, err
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if !s.detector.Unavailable() {
		rec, err := s.createInPostgres(ctx, d)
		if !errors.Is(err, errNotCalled) {
			return rec, err
		}
	}
	if err := s.gate.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.gate.leave()
	if s.detector.Unavailable() {
		return s.sessions.create(ctx, d)
	}
	return s.createInPostgres(ctx, d)
}

func (s *Store) createInPostgres(ctx context.Context, d store.Draft) (store.Record, error) {
	rec, err := s.front.Create(ctx, d)
	if errors.Is(err, store.ErrOutcomeUnknown) {
		s.sessions.createSent(d.ID)
	}
	return rec, err
}

// Load implements [store.Store].
func (s *Store) Load(
	ctx context.Context, id store.ID, minVersion int64,
) (store.Record, error) {
	return s.route(ctx, id,
		func() (store.Record, error) { return s.sessions.memory.Load(ctx, id, minVersion) },
		func() (store.Record, error) { return s.front.Load(ctx, id, minVersion) })
}

// Save implements [store.Store].
func (s *Store) Save(
	ctx context.Context, id store.ID, c store.Change,
) (store.Record, error) {
	return s.route(ctx, id,
		func() (store.Record, error) { return s.sessions.memory.Save(ctx, id, c) },
		func() (store.Record, error) { return s.front.Save(ctx, id, c) })
}

// Rotate implements [store.Store].
func (s *Store) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	return s.route(ctx, old,
		func() (store.Record, error) { return s.sessions.rotate(ctx, old, id, c) },
		func() (store.Record, error) { return s.front.Rotate(ctx, old, id, c) })
}

// Delete implements [store.Store]. While Postgres is unavailable the revoke is
// journalled: it counts here and in the cache at once, and elsewhere once it is
// replayed. A session that Postgres never had needs no journal.
func (s *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	if err := ctx.Err(); err != nil {
		return store.Revocation{}, err
	}
	waits := ctx
	if s.untouched(ctx, id) {
		r, err := s.front.Delete(ctx, id)
		if !errors.Is(err, store.ErrOutage) || !s.detector.Unavailable() {
			return r, err
		}
		waits = context.WithoutCancel(ctx) // the call may have used up all its time
	}
	if err := s.gate.enter(waits); err != nil {
		return store.Revocation{}, err
	}
	defer s.gate.leave()
	if !s.detector.Unavailable() {
		r, err := deleteFrom(ctx, s.front, s.sessions.temporary(id), id)
		if err == nil {
			s.sessions.resolve(id)
		}
		if !errors.Is(err, store.ErrOutage) || !s.detector.Unavailable() {
			return r, err
		}
	}
	switch st, err := s.sessions.revoke(id, store.NoteOf(ctx)); {
	case err != nil:
		return store.Revocation{}, err
	case st == endedHere || s.cache == nil:
		return store.Revocation{CacheAcked: true}, nil
	}
	return s.cache.Revoked(ctx, coherence.Journalled, id), nil
}

// List implements [store.Store].
func (s *Store) List(
	ctx context.Context, userID string, p store.Page,
) ([]store.Record, error) {
	return s.front.List(ctx, userID, p)
}

// Revoke implements [store.Store]. Only Postgres has all sessions of a user, so
// it fails while that is unavailable. Delete still ends a single session.
func (s *Store) Revoke(
	ctx context.Context, sel store.Selection,
) ([]store.ID, store.Revocation, error) {
	if s.detector.current() == coherence.Normal {
		return s.front.Revoke(ctx, sel)
	}
	if err := s.gate.enter(ctx); err != nil {
		return nil, store.Revocation{}, err
	}
	here, err := s.revokeInMemory(ctx, sel)
	s.gate.leave() // Postgres may take minutes for many
	if err != nil {
		return here, store.Revocation{Count: len(here)}, err
	}
	ids, r, err := s.front.Revoke(ctx, sel)
	r.Count += len(here)
	return append(here, ids...), r, err
}

// revokeInMemory ends the sessions in memory that a selection names. The caller
// holds s.gate.
func (s *Store) revokeInMemory(
	ctx context.Context, sel store.Selection,
) ([]store.ID, error) {
	if !s.detector.Unavailable() {
		ids, _, err := s.sessions.memory.Revoke(ctx, sel)
		return ids, err
	}
	if sel.Keep == 0 {
		return nil, errNotCalled
	}
	// The limit holds in memory: one user must not take the room of others.
	ids, err := s.sessions.revokeMany(ctx, sel)
	if err != nil {
		return nil, err
	}
	return ids, errNotCalled
}

// Touch implements [store.Store]. While Postgres is unavailable a touch of a
// session that is not in memory is dropped: its next use brings another.
func (s *Store) Touch(ctx context.Context, touches []store.Touch) error {
	if s.detector.current() == coherence.Normal {
		return s.front.Touch(ctx, touches)
	}
	if err := s.gate.enter(ctx); err != nil {
		return err
	}
	err := s.sessions.memory.Touch(ctx, touches)
	s.gate.leave()
	if err != nil || s.detector.Unavailable() {
		return err
	}
	return s.front.Touch(ctx, touches)
}

// Prune implements [store.Store].
func (s *Store) Prune(ctx context.Context, max int) (int, bool, error) {
	if s.detector.Unavailable() {
		return s.sessions.memory.Prune(ctx, max)
	}
	return s.front.Prune(ctx, max)
}

// Stats implements [store.Store]. While Postgres is unavailable it counts the
// sessions in memory.
func (s *Store) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	if s.detector.Unavailable() {
		return s.sessions.memory.Stats(ctx, exact)
	}
	return s.front.Stats(ctx, exact)
}

// Alive implements [store.Store]. It needs Postgres only for sessions that are
// neither in memory nor ended in the emergency.
func (s *Store) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	if err := s.gate.enter(ctx); err != nil {
		return nil, nil, err
	}
	var rest []store.ID
	unsure := map[store.ID]bool{}
	for _, id := range ids {
		switch st := s.sessions.state(id); {
		case st.ended():
			ended = append(ended, id)
		case st == inMemory:
			if _, err := s.sessions.memory.Load(ctx, id, 0); err == nil {
				alive = append(alive, id)
			} else {
				ended = append(ended, id)
			}
		default:
			rest, unsure[id] = append(rest, id), st == restoring
		}
	}
	s.gate.leave()
	if len(rest) == 0 {
		return alive, ended, ctx.Err()
	}
	there, gone, err := s.front.Alive(ctx, rest)
	for _, id := range gone {
		if !unsure[id] {
			ended = append(ended, id)
		} else if err == nil {
			err = errRestoring
		}
	}
	return append(alive, there...), ended, err
}
