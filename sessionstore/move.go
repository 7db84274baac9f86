package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// How many sessions are moved while calls wait. They share statements, up to 64
// a statement.
const moveAtOnce = 256

// tooLarge is the least JSON of which Postgres may refuse the jsonb: that takes
// up to six times the bytes, and sessions_data_check bounds it to 1 MiB.
const tooLarge = 128 << 10

var errHalfway = fmt.Errorf("%w: the session was being moved to Postgres, which did not answer; asking again every %s", ErrUnavailable, probeEvery)

// move takes some sessions from memory to Postgres, those with a user first.
// Calls wait meanwhile, so that none finds a session in neither. What fails is
// added to over, which later moves pass over. tried is how many there were to
// move.
func (e *emergency) move(over map[store.ID]struct{}) (tried, moved int, err error) {
	e.moving.shut()
	defer e.moving.open()
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	records, halfway := e.memory.some(moveAtOnce, over), e.someHalfway(over)
	ids := make([]store.ID, 0, len(records)+len(halfway))
	for i := range records {
		ids = append(ids, records[i].ID)
	}
	ids = append(ids, halfway...)
	failed := make([]error, len(ids))
	put := make([]bool, len(ids))
	var wg sync.WaitGroup
	for i := range records {
		wg.Go(func() { put[i], failed[i] = e.put(ctx, &records[i]) })
	}
	for i, id := range halfway {
		wg.Go(func() {
			failed[len(records)+i] = e.shift(ctx, e.staged(id), id)
			put[len(records)+i] = failed[len(records)+i] == nil
		})
	}
	wg.Wait()
	for i := range ids {
		if put[i] {
			moved++
		}
		if failed[i] != nil {
			over[ids[i]] = struct{}{}
		}
	}
	if e.left() == 0 && !e.exposure() {
		e.step((*coherence.Outage).Imported)
	}
	return len(ids), moved, firstOf(failed)
}

// left is how much is left to do before the emergency is over.
func (e *emergency) left() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory.len() + len(e.halfway) + len(e.journal)
}

// put makes a session of memory one of Postgres. Its token stays, and so do the times it began and its user logged in.
// It is false without an error for one that has ended.
//
// The session goes to Postgres under an id that nobody has a token for, and from there to its own. Only that second step
// makes it one that others know and may end, and the row that it starts from is there once. So it can be made again when
// nobody answers, and brings nothing back: a second Create would.
func (e *emergency) put(ctx context.Context, rec *store.Record) (bool, error) {
	now := time.Now()
	old := age(rec, now)
	if deadline, ok := ctx.Deadline(); ok {
		old += deadline.Sub(now) // Create subtracts it from a later moment, at the latest from this one
	}
	if !rec.ExpiresAt.After(now) || old >= e.expiry.Absolute {
		e.memory.forget(rec.ID)
		return false, nil
	}
	staged := newToken().id()
	_, err := e.truth.Create(ctx, store.Draft{ID: staged, UserID: rec.UserID, Data: rec.Data, Client: rec.Client, Age: old, Began: loginOf(rec)})
	if errors.Is(err, ErrRevoked) { // since it began: it ends here too
		e.memory.forget(rec.ID)
		e.observe(ctx, Event{Kind: EventLoginRefused, Handle: rec.ID.Handle(), UserID: rec.UserID, Err: err})
		return false, nil
	}
	if sqlState(err) == "23514" && len(rec.Data) > tooLarge {
		// Requests beside each other have made it so large. It would keep the
		// emergency from ending.
		e.memory.forget(rec.ID)
		e.observe(ctx, Event{Kind: EventRecoveryFailed, Handle: rec.ID.Handle(), UserID: rec.UserID, Err: err})
		return false, nil
	}
	if errors.Is(err, ErrOutcomeUnknown) {
		e.writeDown(staged) // it may be there, and is of no use to anybody
	}
	if err != nil {
		return false, err
	}
	err = e.shift(ctx, staged, rec.ID)
	return err == nil, err
}

// shift gives a session that is in Postgres under another id its own. It may be called again and again. From when it has
// been sent, what counts is what Postgres has: another instance may use the session, or end it.
func (e *emergency) shift(ctx context.Context, staged, id store.ID) error {
	_, err := e.truth.Rotate(ctx, staged, id, store.Change{})
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrExists):
		// Not found: it was shifted before, or somebody has ended the user's sessions.
		e.setHalfway(id, store.ID{})
		if errors.Is(err, ErrExists) {
			e.writeDown(staged)
		}
		e.memory.forget(id)
		return nil
	case errors.Is(err, ErrOutcomeUnknown):
		e.setHalfway(id, staged)
		e.memory.forget(id)
	case e.staged(id) == store.ID{}:
		e.writeDown(staged) // the session stays in memory, and goes by another one the next time
	}
	return err
}

// staged is the id under which a session was put into Postgres when nobody knows whether it has its own by now; else zero.
func (e *emergency) staged(id store.ID) store.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.halfway[id]
}

func (e *emergency) setHalfway(id, staged store.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.halfway, id); staged != (store.ID{}) {
		e.halfway[id] = staged
	}
}

func (e *emergency) someHalfway(over map[store.ID]struct{}) []store.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []store.ID
	for id := range e.halfway {
		if _, pass := over[id]; pass {
			continue
		}
		if ids = append(ids, id); len(ids) == moveAtOnce {
			break
		}
	}
	return ids
}

// bar keeps another instance from restoring a session: it creates an empty row
// under the session's id, and restoring does not replace a row. bar is false if
// the session has been restored.
func (m *Manager) bar(ctx context.Context, id store.ID) (bool, error) {
	_, err := m.store.Create(ctx, store.Draft{ID: id, Data: encodeObject(nil)})
	if !errors.Is(err, ErrExists) {
		return err == nil, err
	}
	rec, err := m.store.Load(ctx, id, 0)
	return err == nil && bars(&rec), nil
}

// bars reports whether the session of an emergency's cookie is a row of bar. A
// session that was restored has had a Rotate, so its version is higher.
func bars(r *store.Record) bool {
	values, _ := decodeObject(r.Data)
	return r.Version == 1 && !r.Emergency && r.UserID == "" && len(values) == 0
}

// halfwayTo is what to say when Postgres does not find a session: one that is half way there may yet come to be.
func (e *emergency) halfwayTo(id store.ID, err error) error {
	if errors.Is(err, ErrNotFound) && e.staged(id) != (store.ID{}) {
		return errHalfway
	}
	return err
}

// erase ends a session in Postgres. The row that it would come from goes first: after that it can't come any more.
func (e *emergency) erase(ctx context.Context, from store.Store, id store.ID) (Revocation, error) {
	if staged := e.staged(id); staged != (store.ID{}) {
		if r, err := from.Delete(ctx, staged); err != nil {
			return r, err
		}
	}
	r, err := from.Delete(ctx, id)
	if err == nil {
		e.setHalfway(id, store.ID{})
	}
	return r, err
}

// age returns how long a session has existed, by the clock of this process that
// says more: one stands still while the machine is suspended, and the other may
// be set.
func age(rec *store.Record, now time.Time) time.Duration {
	return max(0, now.Sub(rec.CreatedAt), now.Round(0).Sub(rec.CreatedAt.Round(0)))
}
