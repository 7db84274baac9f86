package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
)

const (
	// How often Postgres is asked whether it is back.
	probeEvery = time.Second
	// How many sessions are moved while calls wait.
	importBatch = 64
)

// heard takes notice of what came of a call of Postgres. An error that says nothing about Postgres counts for nothing.
func (e *emergency) heard(err error) {
	e.mu.Lock()
	began := false
	switch {
	case unreachable(err):
		began = e.outage.Failed(time.Since(e.start)) && e.begun()
	case err == nil || !errors.Is(err, errBusy) && !errors.Is(err, context.Canceled):
		e.outage.Succeeded()
	}
	e.mu.Unlock()
	if began {
		e.observe(context.Background(), Event{Kind: EventEmergency, Err: err})
	}
}

// begin starts an emergency before anything has been asked of Postgres.
func (e *emergency) begin(err error) {
	e.mu.Lock()
	e.outage.Begin()
	began := e.begun()
	e.mu.Unlock()
	if began {
		e.observe(context.Background(), Event{Kind: EventEmergency, Err: err})
	}
}

// begun sets the clock for the end of an emergency. It is false for one that goes on. The caller holds e.mu.
func (e *emergency) begun() bool {
	e.mode.Store(int32(e.outage.Mode))
	if e.closed || !e.since.IsZero() {
		return false
	}
	e.since, e.blamed, e.moved = time.Now(), "", 0
	e.again()
	return true
}

// again sets the clock for the next attempt to end the emergency. The caller holds e.mu.
func (e *emergency) again() {
	if e.closed {
		return
	}
	e.probing.Add(1)
	e.timer = time.AfterFunc(probeEvery, func() {
		defer e.probing.Done()
		e.recover()
	})
}

// recover tries to end the emergency, and comes again when it can't.
func (e *emergency) recover() {
	n, err := e.recovered()
	e.mu.Lock()
	e.moved += n
	event := Event{Kind: EventRecovered, Count: e.moved}
	known := true
	if e.outage.Mode != coherence.Normal {
		event = Event{Kind: EventRecoveryFailed, Err: err}
		known = err == nil || unreachable(err) || err.Error() == e.blamed
		if !known {
			e.blamed = err.Error()
		}
		e.again()
	} else {
		e.since, known = time.Time{}, false
	}
	e.mu.Unlock()
	if !known {
		e.observe(context.Background(), event)
	}
}

// recovered goes through the steps of a recovery as far as it can, and says how many sessions it moved.
func (e *emergency) recovered() (n int, err error) {
	if err := e.probe(); err != nil {
		return 0, err
	}
	if err := e.replay(); err != nil {
		return 0, err
	}
	for {
		moved, left, err := e.move()
		n += moved
		if err != nil || left == 0 {
			return n, err
		}
	}
}

// probe asks Postgres for a session that can't exist.
func (e *emergency) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	if _, err := e.truth.Load(ctx, ID{}, 0); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := e.check(ctx); err != nil {
		return err
	}
	e.step((*coherence.Outage).Probed)
	return nil
}

// replay tells Postgres of the revokes. It is done when none is left, and none can come beside it.
func (e *emergency) replay() error {
	for {
		ids := e.waiting()
		if len(ids) == 0 {
			e.moving.Lock()
			done := len(e.waiting()) == 0
			if done {
				e.step((*coherence.Outage).Replayed)
			}
			e.moving.Unlock()
			if done {
				return nil
			}
			continue
		}
		for _, id := range ids {
			ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
			_, err := e.truth.Delete(ctx, id)
			if err == nil && e.cache != nil {
				// Another instance may have read it from Postgres while we could not reach that.
				e.cache.revoked(ctx, coherence.Committed, id)
			}
			cancel()
			if err != nil {
				return err
			}
			e.mu.Lock()
			delete(e.journal, id)
			e.mu.Unlock()
		}
	}
}

func (e *emergency) waiting() []ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []ID
	for id := range e.journal {
		if ids = append(ids, id); len(ids) == importBatch {
			break
		}
	}
	return ids
}

// move takes some sessions from memory to Postgres. Calls wait meanwhile, so that none finds a session in neither.
func (e *emergency) move() (moved, left int, err error) {
	e.moving.Lock()
	defer e.moving.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	records := e.memory.some(importBatch)
	failed := make([]error, len(records))
	var wg sync.WaitGroup
	for i := range records {
		wg.Go(func() { failed[i] = e.put(ctx, &records[i]) })
	}
	wg.Wait()
	for i := range records {
		if failed[i] == nil {
			_, _ = e.memory.Delete(ctx, records[i].ID)
			moved++
		}
	}
	left = e.memory.len()
	if err = errors.Join(failed...); err == nil && left == 0 {
		e.step((*coherence.Outage).Imported)
	}
	return moved, left, err
}

// put makes a session of memory one of Postgres. Its token stays, and so do the times it began and its user logged in.
func (e *emergency) put(ctx context.Context, rec *Record) error {
	age := max(0, time.Since(rec.CreatedAt))
	if !rec.ExpiresAt.After(time.Now()) || age >= e.expiry.Absolute {
		return nil // it has ended
	}
	draft := Draft{ID: rec.ID, UserID: rec.UserID, Data: rec.Data, Client: rec.Client, Age: age}
	_, err := e.truth.Create(ctx, draft)
	if errors.Is(err, ErrExists) {
		// An earlier attempt went through and its answer was lost. What the session became since is here.
		if _, err = e.truth.Delete(ctx, rec.ID); err == nil {
			_, err = e.truth.Create(ctx, draft)
		}
	}
	return err
}

func (e *emergency) step(to func(*coherence.Outage)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	to(&e.outage)
	e.mode.Store(int32(e.outage.Mode))
}

// lasted is since when Postgres has been away; zero when it isn't.
func (e *emergency) lasted() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.since
}

// close stops the recovery. What is in memory and has not been moved is lost, and the error says so.
func (e *emergency) close() error {
	e.mu.Lock()
	e.closed = true
	if e.timer != nil && e.timer.Stop() {
		e.probing.Done()
	}
	e.mu.Unlock()
	e.probing.Wait()
	if e.current() != coherence.Normal {
		_, _ = e.recovered() // the last chance
	}
	if n := e.memory.len(); n > 0 {
		return fmt.Errorf("%w: %d sessions that began while Postgres was away are lost", ErrUnavailable, n)
	}
	return nil
}
