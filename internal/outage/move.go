package outage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// How many sessions are moved while calls wait. They share statements, up to 64
// a statement.
const moveAtOnce = 256

// tooLarge is the least JSON of which Postgres may refuse the jsonb: that takes
// up to six times the bytes, and sessions_data_check bounds it to 1 MiB.
const tooLarge = 128 << 10

var errHalfway = fmt.Errorf("%w: the session was being moved to Postgres, which did not answer; asking again every %s", store.ErrUnavailable, probeEvery)

// move takes some sessions from memory to Postgres, those with a user first.
// Calls wait meanwhile, so that none finds a session in neither. What fails is
// added to over, which later moves pass over. tried is how many there were to
// move.
func (e *Store) move(over map[store.ID]struct{}) (tried, moved int, err error) {
	e.moving.shut()
	defer e.moving.open()
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	records, halfway := e.memory.Some(moveAtOnce, over), e.someHalfway(over)
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
func (e *Store) left() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory.Len() + len(e.halfway) + len(e.journal)
}

// put makes a session of memory one of Postgres. Its token stays, and so do the times it began and its user logged in.
// It is false without an error for one that has ended.
//
// The session goes to Postgres under an id that nobody has a token for, and from there to its own. Only that second step
// makes it one that others know and may end, and the row that it starts from is there once. So it can be made again when
// nobody answers, and brings nothing back: a second Create would.
func (e *Store) put(ctx context.Context, rec *store.Record) (bool, error) {
	now := time.Now()
	old := age(rec, now)
	if deadline, ok := ctx.Deadline(); ok {
		old += deadline.Sub(now) // Create subtracts it from a later moment, at the latest from this one
	}
	if !rec.ExpiresAt.After(now) || old >= e.expiry.Absolute {
		e.memory.Forget(rec.ID)
		return false, nil
	}
	var staged store.ID
	_, _ = rand.Read(staged[:])
	_, err := e.truth.Create(ctx, store.Draft{ID: staged, UserID: rec.UserID, Data: rec.Data, Client: rec.Client, Age: old, Began: memory.LoginOf(rec)})
	if errors.Is(err, store.ErrRevoked) { // since it began: it ends here too
		e.memory.Forget(rec.ID)
		e.Events.LoginRefused(rec, err)
		return false, nil
	}
	if errors.Is(err, store.ErrConstraint) && len(rec.Data) > tooLarge {
		// Requests beside each other have made it so large. It would keep the
		// emergency from ending.
		e.memory.Forget(rec.ID)
		e.Events.RestoreFailed(rec, err)
		return false, nil
	}
	if errors.Is(err, store.ErrOutcomeUnknown) {
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
func (e *Store) shift(ctx context.Context, staged, id store.ID) error {
	_, err := e.truth.Rotate(ctx, staged, id, store.Change{})
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists):
		// Not found: it was shifted before, or somebody has ended the user's sessions.
		e.setHalfway(id, store.ID{})
		if errors.Is(err, store.ErrExists) {
			e.writeDown(staged)
		}
		e.memory.Forget(id)
		return nil
	case errors.Is(err, store.ErrOutcomeUnknown):
		e.setHalfway(id, staged)
		e.memory.Forget(id)
	case e.staged(id) == store.ID{}:
		e.writeDown(staged) // the session stays in memory, and goes by another one the next time
	}
	return err
}

// staged is the id under which a session was put into Postgres when nobody knows whether it has its own by now; else zero.
func (e *Store) staged(id store.ID) store.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.halfway[id]
}

func (e *Store) setHalfway(id, staged store.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.halfway, id); staged != (store.ID{}) {
		e.halfway[id] = staged
	}
}

func (e *Store) someHalfway(over map[store.ID]struct{}) []store.ID {
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

// halfwayTo is what to say when Postgres does not find a session: one that is half way there may yet come to be.
func (e *Store) halfwayTo(id store.ID, err error) error {
	if errors.Is(err, store.ErrNotFound) && e.staged(id) != (store.ID{}) {
		return errHalfway
	}
	return err
}

// erase ends a session in Postgres. The row that it would come from goes first: after that it can't come any more.
func (e *Store) erase(ctx context.Context, from store.Store, id store.ID) (store.Revocation, error) {
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
