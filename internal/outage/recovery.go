package outage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// How often Postgres is asked whether it is back.
	probeEvery = time.Second
	// How many revokes are told at once: the pool is the application's too.
	replayAtOnce = 8
)

// heard takes notice of what came of a call of Postgres. An error that says nothing about Postgres counts for nothing.
func (e *Store) heard(err error) {
	away := errors.Is(err, store.ErrOutage)
	if !away && (!e.failing.Load() || !answered(err)) {
		return
	}
	e.mu.Lock()
	e.failing.Store(away)
	began := false
	if away {
		began = e.outage.Failed(time.Since(e.start)) && e.begun()
	} else {
		e.outage.Succeeded()
	}
	e.mu.Unlock()
	if began {
		e.Events.EmergencyBegan(err)
	}
}

// answered reports whether Postgres has answered a call, be it with an error.
func answered(err error) bool {
	var failed interface {
		error
		Answered() bool
	}
	if errors.As(err, &failed) {
		return failed.Answered()
	}
	return !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// Begin starts an emergency before anything has been asked of Postgres.
func (e *Store) Begin(err error) {
	e.mu.Lock()
	e.outage.Begin()
	began := e.begun()
	e.mu.Unlock()
	if began {
		e.Events.EmergencyBegan(err)
	}
}

// begun sets the clock for the end of an emergency. It is false for one that goes on. The caller holds e.mu.
func (e *Store) begun() bool {
	e.mode.Store(int32(e.outage.Mode))
	if e.closed || !e.since.IsZero() {
		return false
	}
	e.since, e.blamed, e.moved = time.Now(), map[string]struct{}{}, 0
	e.again()
	return true
}

// again sets the clock for the next attempt to end the emergency. The caller holds e.mu.
func (e *Store) again() {
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
func (e *Store) recover() {
	n, err := e.recovered()
	e.mu.Lock()
	e.moved += n
	report := func() {}
	if e.outage.Mode == coherence.Normal {
		moved := e.moved
		report = func() { e.Events.EmergencyEnded(moved) }
		e.since, e.told, e.local.ended = time.Time{}, map[store.ID]struct{}{}, map[store.ID]struct{}{}
	} else {
		if errors.Is(err, store.ErrOutage) {
			// Away again, in the middle of it. Nobody else needs to wait for a timeout to find that out.
			e.outage.Begin()
			e.mode.Store(int32(e.outage.Mode))
		} else if err != nil {
			if _, said := e.blamed[err.Error()]; !said {
				report = func() { e.Events.RestoreFailed(nil, err) }
			}
			e.blamed[err.Error()] = struct{}{}
		}
		e.again()
	}
	e.mu.Unlock()
	report()
}

// recovered goes through the steps of a recovery as far as it can, and says how many sessions it moved. One that Postgres
// does not take stays, and keeps no other from being moved.
func (e *Store) recovered() (n int, err error) {
	if err := e.probe(); err != nil {
		return 0, err
	}
	over := map[store.ID]struct{}{}
	for {
		if err := e.replay(); err != nil {
			return n, err
		}
		tried, moved, failed := e.move(over)
		n += moved
		err = firstOf([]error{err, failed})
		if tried == 0 || errors.Is(err, store.ErrOutage) || e.Refuses() {
			return n, err
		}
	}
}

// probe asks Postgres for a session that can't exist.
func (e *Store) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	if _, err := e.truth.Load(ctx, store.ID{}, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := e.Check(ctx); err != nil {
		return err
	}
	e.step((*coherence.Outage).Probed)
	return nil
}

// replay tells Postgres of the revokes. It is done when none is left, and none can come beside it.
func (e *Store) replay() error {
	for {
		ids := e.waiting()
		if len(ids) == 0 && !e.Refuses() {
			return nil
		}
		if len(ids) == 0 {
			e.moving.shut()
			done := len(e.waiting()) == 0
			if done {
				e.step((*coherence.Outage).Replayed)
			}
			e.moving.open()
			if done {
				return nil
			}
			continue
		}
		failed := make([]error, len(ids))
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() { failed[i] = e.tell(id) })
		}
		wg.Wait()
		if err := firstOf(failed); err != nil {
			return err
		}
	}
}

// tell carries out a revoke that was written down.
func (e *Store) tell(id store.ID) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	if _, err := e.erase(ctx, e.truth, id); err != nil {
		return err
	}
	var r store.Revocation
	if e.Cache != nil {
		// Another instance may have read it from Postgres while we could not reach that.
		r = e.Cache.Revoked(ctx, coherence.Committed, id)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.journal, id)
	e.told[id] = struct{}{}
	if until := time.Now().Add(r.MaxExposure); until.After(e.exposed) {
		e.exposed = until
	}
	return nil
}

// exposure: the cache may still have a session that was ended here, so this process goes on looking into its journal.
func (e *Store) exposure() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.exposed) && !e.closed
}

// waiting is some of the revokes that were written down.
func (e *Store) waiting() []store.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []store.ID
	for id := range e.journal {
		if ids = append(ids, id); len(ids) == replayAtOnce {
			break
		}
	}
	return ids
}

// firstOf prefers an error that says Postgres is away.
func firstOf(errs []error) (first error) {
	for _, err := range errs {
		if errors.Is(err, store.ErrOutage) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (e *Store) step(to func(*coherence.Outage)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	to(&e.outage)
	e.mode.Store(int32(e.outage.Mode))
}

// Since is since when Postgres has been away; zero when it isn't.
func (e *Store) Since() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.since
}

// Close stops the recovery, after one last attempt. What Postgres has not been told by then is lost, and the error says so.
func (e *Store) Close() error {
	e.mu.Lock()
	e.closed = true
	if e.timer != nil && e.timer.Stop() {
		e.probing.Done()
	}
	e.mu.Unlock()
	e.probing.Wait()
	if e.current() != coherence.Normal {
		e.recover()
	}
	_, _, _ = e.memory.Prune(context.Background(), math.MaxInt)
	if s := e.Metrics(); s.InMemory > 0 || s.Journalled > 0 {
		return fmt.Errorf("%w: Postgres was away to the end, and lost are %d sessions that began meanwhile and %d revokes",
			store.ErrUnavailable, s.InMemory, s.Journalled)
	}
	return nil
}
