package sessionstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
)

// How many sessions are moved while calls wait.
const moveAtOnce = 64

// move takes some sessions from memory to Postgres. Calls wait meanwhile, so that none finds a session in neither.
func (e *emergency) move() (moved, left int, err error) {
	e.moving.shut()
	defer e.moving.open()
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	records := e.memory.some(moveAtOnce)
	failed := make([]error, len(records))
	put := make([]bool, len(records))
	var wg sync.WaitGroup
	for i := range records {
		wg.Go(func() { put[i], failed[i] = e.put(ctx, &records[i]) })
	}
	wg.Wait()
	for i := range records {
		if failed[i] == nil {
			e.memory.forget(records[i].ID)
		}
		if put[i] {
			moved++
		}
	}
	if left = e.memory.len(); left == 0 && !e.exposure() {
		e.step((*coherence.Outage).Imported)
	}
	return moved, left, firstOf(failed)
}

// put makes a session of memory one of Postgres. Its token stays, and so do the times it began and its user logged in.
// It is false without an error for one that has ended.
func (e *emergency) put(ctx context.Context, rec *Record) (bool, error) {
	now := time.Now()
	age := e.age(rec, now)
	if deadline, ok := ctx.Deadline(); ok {
		age += deadline.Sub(now) // Create subtracts it from a later moment, at the latest from this one
	}
	if !rec.ExpiresAt.After(now) || age >= e.expiry.Absolute {
		return false, nil
	}
	_, err := e.truth.Create(ctx, Draft{ID: rec.ID, UserID: rec.UserID, Data: rec.Data, Client: rec.Client, Age: age})
	if errors.Is(err, ErrExists) {
		return e.merge(ctx, rec)
	}
	return err == nil, err
}

// age is how long a session has existed, by the clock of this process that says more: one stands still while the machine
// is suspended, and the other may be set. A session without a sliding window is made older, so that its absolute
// timeout in Postgres is the deadline it has.
func (e *emergency) age(rec *Record, now time.Time) time.Duration {
	age := max(0, now.Sub(rec.CreatedAt), now.Round(0).Sub(rec.CreatedAt.Round(0)))
	if e.expiry.Fixed {
		age = max(age, e.expiry.Absolute-rec.ExpiresAt.Sub(now))
	}
	return age
}

// merge adds what a session has become here since an import whose answer was lost. Other instances may have used it
// meanwhile: what they changed stays, and if they ended it, it has ended.
func (e *emergency) merge(ctx context.Context, rec *Record) (bool, error) {
	row, err := e.truth.Load(ctx, rec.ID, 0)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	change := Change{Client: rec.Client}
	if row.UserID != rec.UserID {
		change.UserID = rec.UserID
	}
	if change.Set, err = decodeObject(rec.Data); err != nil {
		return false, err
	}
	if row.Version == 1 { // as it was imported: what it has and we have not was removed here
		for name := range object(row.Data).members() {
			if key := unquote(name); change.Set[key] == nil {
				change.Removed = append(change.Removed, key)
			}
		}
	}
	_, err = e.truth.Save(ctx, rec.ID, change)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err == nil && e.cache != nil {
		_ = e.cache.bury(ctx, rec.ID) // it may have the session as it was imported
	}
	return err == nil, err
}
