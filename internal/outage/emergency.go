// Package outage is the store while Postgres is unavailable. It detects an
// outage, keeps new sessions in memory and revokes in a journal, and restores
// both to Postgres afterwards.
package outage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Alive implements [store.Store]. What is in memory, or was ended in the emergency, needs no Postgres; the others do.
func (e *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	if err := e.moving.enter(ctx); err != nil {
		return nil, nil, err
	}
	var there []store.ID
	halfway := map[store.ID]bool{}
	for _, id := range ids {
		switch {
		case e.journalled(id):
			ended = append(ended, id)
		case e.memory.Holds(id):
			if _, err := e.memory.Load(ctx, id, 0); err == nil {
				alive = append(alive, id)
			} else {
				ended = append(ended, id)
			}
		default:
			there, halfway[id] = append(there, id), e.staged(id) != (store.ID{})
		}
	}
	e.moving.leave()
	if len(there) == 0 {
		return alive, ended, ctx.Err()
	}
	a, d, err := e.Front.Alive(ctx, there)
	for _, id := range d {
		if !halfway[id] {
			ended = append(ended, id)
		} else if err == nil {
			err = errHalfway
		}
	}
	return append(alive, a...), ended, err
}

const (
	// What an emergency may hold in memory: beyond it new sessions are refused.
	// Half of it is kept for sessions with a user, so that visitors can't keep
	// logins out.
	emergencySessions = 100_000
	emergencyBytes    = 256 << 20
	// How many revokes an emergency may write down: beyond it they fail.
	maxJournal = 1_000_000
)

// Store keeps sessions going while Postgres is away. A session that begins meanwhile lives in this process, bounded in
// number and bytes, and moves to Postgres when that is back. Any other session is [store.ErrUnavailable], unless the cache
// still vouches for it: an outage logs nobody out. A revoke is written down and told to Postgres before anything is
// served from there again. What the process holds is lost when it dies in an emergency, and until it has moved to
// Postgres, other instances can't end it.
type Store struct {
	Front  store.Store // Postgres behind a watch, with the cache in front where there is one
	truth  store.Store // Postgres
	Cache  exposed     // nil without one
	expiry store.Expiry
	// check says whether Postgres is what this version needs: an emergency may begin before anybody has looked.
	Check   func(context.Context) error
	Events  Events
	timeout time.Duration
	start   time.Time

	mode    atomic.Int32 // of outage, to be read without the lock
	failing atomic.Bool  // outage has counted a failure since the last answer: what goes well needs no lock
	moving  gate         // shut while sessions are moved from memory, so that no call falls between

	mu      sync.Mutex
	outage  coherence.Outage
	memory  *memory.Store
	halfway map[store.ID]store.ID // sessions that were sent to Postgres and not answered for; see put
	journal map[store.ID]struct{} // revokes that Postgres has yet to be told
	told    map[store.ID]struct{} // those it has been told: what the cache says of them counts for nothing till the end
	local   local
	exposed time.Time // until when the cache may say that one of those lives
	// maxJournal bounds the journal.
	maxJournal int
	since      time.Time // when the emergency began; zero without one
	timer      *time.Timer
	probing    sync.WaitGroup
	closed     bool
	moved      int                 // how many sessions the recovery has moved
	blamed     map[string]struct{} // what has kept the recovery from going on, so that each is said once
}

// exposed is the cached store, as what may still serve sessions that ended.
type exposed interface {
	Revoked(ctx context.Context, outcome coherence.Outcome, ids ...store.ID) store.Revocation
}

// Events is called when an emergency begins, ends, or can't end. Its methods
// must not block.
type Events interface {
	// EmergencyBegan is called with the error that began it.
	EmergencyBegan(err error)
	// EmergencyEnded is called with how many sessions were restored.
	EmergencyEnded(restored int)
	// RestoreFailed is called once for each kind of error. rec is the session
	// that was lost, nil if the restore goes on.
	RestoreFailed(rec *store.Record, err error)
	// LoginRefused is called for a session whose user was revoked since it
	// began.
	LoginRefused(rec *store.Record, err error)
}

type noEvents struct{}

func (noEvents) EmergencyBegan(error) {}

func (noEvents) EmergencyEnded(int) {}

func (noEvents) RestoreFailed(*store.Record, error) {}

func (noEvents) LoginRefused(*store.Record, error) {}

var _ store.Store = (*Store)(nil)

func New(truth store.Store, expiry store.Expiry, timeout time.Duration) *Store {
	e := &Store{truth: truth, expiry: expiry, timeout: timeout, start: time.Now(), moving: newGate(), maxJournal: maxJournal}
	e.halfway, e.journal, e.told = map[store.ID]store.ID{}, map[store.ID]struct{}{}, map[store.ID]struct{}{}
	e.local, e.memory = newLocal(), memory.New(expiry, memory.Options{
		Sessions: emergencySessions, Bytes: emergencyBytes, ReserveHalf: true, Emergency: true,
	})
	e.Check = func(context.Context) error { return nil }
	e.Events = noEvents{}
	e.Front = &watched{store: truth, refuses: e.Refuses, heard: e.heard}
	return e
}

// Format writes what the store is, and nothing of what it holds.
func (e *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+e.Name()) }

// Name is that of the store that serves.
func (e *Store) Name() string {
	if e.Refuses() {
		return e.memory.Name()
	}
	return e.Front.Name()
}

func (e *Store) current() coherence.Mode { return coherence.Mode(e.mode.Load()) }

func (e *Store) Refuses() bool {
	o := coherence.Outage{Mode: e.current()}
	return o.Refuses()
}

// Create implements [store.Store].
func (e *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if !e.Refuses() {
		rec, err := e.create(ctx, d)
		if !errors.Is(err, ErrAway) {
			return rec, err
		}
	}
	if err := e.moving.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer e.moving.leave()
	if e.Refuses() {
		return e.memory.Create(ctx, d)
	}
	return e.create(ctx, d)
}

// Load implements [store.Store].
func (e *Store) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	if e.apart(ctx, id) {
		return e.Front.Load(ctx, id, floor)
	}
	if err := e.moving.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer e.moving.leave()
	if e.journalled(id) {
		return store.Record{}, store.ErrNotFound
	}
	if e.memory.Holds(id) {
		return e.memory.Load(ctx, id, floor)
	}
	rec, err := e.Front.Load(ctx, id, floor)
	return rec, e.halfwayTo(id, err)
}

// Save implements [store.Store].
func (e *Store) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	if e.apart(ctx, id) {
		return e.Front.Save(ctx, id, c)
	}
	if err := e.moving.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer e.moving.leave()
	if e.journalled(id) {
		return store.Record{}, store.ErrNotFound
	}
	if e.memory.Holds(id) {
		return e.memory.Save(ctx, id, c)
	}
	rec, err := e.Front.Save(ctx, id, c)
	return rec, e.halfwayTo(id, err)
}

// Rotate implements [store.Store].
func (e *Store) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	if e.apart(ctx, old) {
		return e.Front.Rotate(ctx, old, id, c)
	}
	if err := e.moving.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer e.moving.leave()
	if e.journalled(old) {
		return store.Record{}, store.ErrNotFound
	}
	if !e.memory.Holds(old) {
		rec, err := e.Front.Rotate(ctx, old, id, c)
		return rec, e.halfwayTo(old, err)
	}
	local := e.onlyHere(old)
	if err := e.full(); err != nil && !local {
		return store.Record{}, err
	}
	rec, err := e.memory.Rotate(ctx, old, id, c)
	switch {
	case err != nil:
		return rec, err
	case local:
		e.endHere(old)
	default:
		e.writeDown(old)
	}
	return rec, nil
}

// Delete implements [store.Store]. While Postgres is away the revoke is written down: it counts here and in the cache at once,
// for everybody else when Postgres is back. That of a session that is only here is done with that.
func (e *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	if err := ctx.Err(); err != nil {
		return store.Revocation{}, err
	}
	waits := ctx
	if e.apart(ctx, id) {
		r, err := e.Front.Delete(ctx, id)
		if !errors.Is(err, store.ErrOutage) || !e.Refuses() {
			return r, err
		}
		waits = context.WithoutCancel(ctx) // the call may have used up all its time
	}
	if err := e.moving.enter(waits); err != nil {
		return store.Revocation{}, err
	}
	defer e.moving.leave()
	if !e.Refuses() {
		// It may be half way there. When this fails, the session stays whole.
		r, err := e.erase(ctx, e.Front, id)
		if err == nil {
			e.memory.Forget(id)
		}
		if !errors.Is(err, store.ErrOutage) || !e.Refuses() {
			return r, err
		}
	}
	if e.onlyHere(id) {
		e.endHere(id)
		return store.Revocation{CacheAcked: true}, nil
	}
	if err := e.full(); err != nil && !e.journalled(id) {
		return store.Revocation{}, err
	}
	e.writeDown(id)
	e.memory.Forget(id)
	if e.Cache == nil {
		return store.Revocation{CacheAcked: true}, nil
	}
	return e.Cache.Revoked(ctx, coherence.Journalled, id), nil
}

// List implements [store.Store].
func (e *Store) List(ctx context.Context, userID string, p store.Page) ([]store.Record, error) {
	return e.Front.List(ctx, userID, p)
}

// Revoke implements [store.Store]. Which sessions a user has is known to Postgres only, so it fails while that is away; a single
// session can be ended by Delete.
func (e *Store) Revoke(ctx context.Context, s store.Selection) ([]store.ID, store.Revocation, error) {
	if e.current() == coherence.Normal {
		return e.Front.Revoke(ctx, s)
	}
	if err := e.moving.enter(ctx); err != nil {
		return nil, store.Revocation{}, err
	}
	here, err := e.revokeHere(ctx, s)
	e.moving.leave() // Postgres may take minutes for many
	if err != nil {
		return here, store.Revocation{Count: len(here)}, err
	}
	ids, r, err := e.Front.Revoke(ctx, s)
	r.Count += len(here)
	return append(here, ids...), r, err
}

// revokeHere ends what is in memory of a selection. The caller holds e.moving.
func (e *Store) revokeHere(ctx context.Context, s store.Selection) ([]store.ID, error) {
	if !e.Refuses() {
		ids, _, err := e.memory.Revoke(ctx, s)
		return ids, err
	}
	if s.Keep == 0 {
		return nil, ErrAway
	}
	// The limit holds in memory: one user must not take the room of others.
	if err := e.full(); err != nil {
		return nil, err
	}
	ids, _, err := e.memory.Revoke(ctx, s)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		if e.local.end(id); e.local.doubts(id) {
			e.journal[id] = struct{}{}
		}
	}
	return ids, ErrAway
}

// Touch implements [store.Store]. What is not in memory is dropped while Postgres is away: its next use notes it again.
func (e *Store) Touch(ctx context.Context, touches []store.Touch) error {
	if e.current() == coherence.Normal {
		return e.Front.Touch(ctx, touches)
	}
	if err := e.moving.enter(ctx); err != nil {
		return err
	}
	err := e.memory.Touch(ctx, touches)
	e.moving.leave()
	if err != nil || e.Refuses() {
		return err
	}
	return e.Front.Touch(ctx, touches)
}

// Prune implements [store.Store].
func (e *Store) Prune(ctx context.Context, max int) (int, bool, error) {
	if e.Refuses() {
		return e.memory.Prune(ctx, max)
	}
	return e.Front.Prune(ctx, max)
}

// Stats implements [store.Store]. While Postgres is away it counts what is in memory.
func (e *Store) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	if e.Refuses() {
		return e.memory.Stats(ctx, exact)
	}
	return e.Front.Stats(ctx, exact)
}

// apart reports whether no restore concerns the session: Postgres has it, or
// nobody has. It stays so, since a session only moves from memory to Postgres.
// A call for it waits for Postgres outside the gate. A call that waits in the
// gate, as for a locked row, holds up the next restore, and that every other
// call.
func (e *Store) apart(ctx context.Context, id store.ID) bool {
	if mode := e.current(); mode != coherence.Importing {
		return mode == coherence.Normal
	}
	if e.moving.enter(ctx) != nil {
		return false // and the caller finds out why
	}
	defer e.moving.leave()
	return !e.Refuses() && !e.journalled(id) && !e.memory.Holds(id) && e.staged(id) == (store.ID{})
}

func (e *Store) journalled(id store.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, waits := e.journal[id]
	_, told := e.told[id]
	_, ended := e.local.ended[id]
	return waits || told || ended
}

// full says that no more revokes can be written down.
func (e *Store) full() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.journal)+len(e.told) >= e.maxJournal {
		return fmt.Errorf("%w: Postgres is away, and %d revokes are written down already", store.ErrUnavailable, e.maxJournal)
	}
	return nil
}

// writeDown keeps a revoke for Postgres. The caller holds e.moving.
func (e *Store) writeDown(id store.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.journal[id] = struct{}{}
}

// Metrics is what an operator needs to know of an emergency.
func (e *Store) Metrics() store.EmergencyStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return store.EmergencyStats{Since: e.since, InMemory: e.memory.Len() + len(e.halfway), Journalled: len(e.journal)}
}
