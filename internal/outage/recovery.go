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

// probeInterval is how long the recovery waits between two attempts.
const probeInterval = time.Second

// recovery ends an emergency. Once a second it probes Postgres, replays the
// journal and restores the sessions, as far as it can. It has no goroutine
// without an emergency.
type recovery struct {
	detector *Detector
	postgres store.Store
	cache    Cache // nil for none
	sessions *sessions
	gate     gate
	check    func(context.Context) error
	timeout  time.Duration
	expiry   store.Expiry

	attempts sync.WaitGroup

	mu       sync.Mutex
	timer    *time.Timer
	restored int                 // sessions, in this emergency
	reported map[string]struct{} // errors that were reported in this emergency
	closed   bool
}

func newRecovery(
	d *Detector, postgres store.Store, table *sessions, gate gate, o Options,
) *recovery {
	r := &recovery{
		detector: d, postgres: postgres, cache: o.Cache, sessions: table, gate: gate,
		check: o.Check, timeout: o.Timeout, expiry: o.Expiry,
	}
	if r.check == nil {
		r.check = func(context.Context) error { return nil }
	}
	return r
}

// start begins to recover from an emergency.
func (r *recovery) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restored, r.reported = 0, map[string]struct{}{}
	r.schedule()
}

// schedule sets the timer of the next attempt. The caller holds r.mu.
func (r *recovery) schedule() {
	if r.closed {
		return
	}
	r.attempts.Add(1)
	r.timer = time.AfterFunc(probeInterval, func() {
		defer r.attempts.Done()
		r.attempt()
	})
}

// attempt tries to end the emergency, and schedules another attempt if it
// can't.
func (r *recovery) attempt() {
	restored, err := r.run()
	r.mu.Lock()
	r.restored += restored
	restored = r.restored
	r.mu.Unlock()
	if r.detector.finish(r.sessions.forget) {
		r.detector.events.EmergencyEnded(restored)
		return
	}
	lost := errors.Is(err, store.ErrOutage)
	if lost { // no request has to wait for a timeout to find that out
		r.detector.step((*coherence.Outage).Begin)
	}
	r.mu.Lock()
	report := false
	if err != nil && !lost {
		_, reported := r.reported[err.Error()]
		r.reported[err.Error()], report = struct{}{}, !reported
	}
	r.schedule()
	r.mu.Unlock()
	if report {
		r.detector.events.RestoreFailed(err)
	}
}

// run takes the steps of a recovery as far as it can, and returns how many
// sessions it restored. A session that Postgres refuses stays in memory and
// delays no other.
func (r *recovery) run() (restored int, err error) {
	if err := r.probe(); err != nil {
		return 0, err
	}
	failed := map[store.ID]struct{}{}
	for {
		if err := r.replay(); err != nil {
			return restored, err
		}
		tried, n, failure := r.restore(failed)
		restored += n
		err = firstOf(err, failure)
		if tried == 0 || errors.Is(err, store.ErrOutage) || r.detector.Unavailable() {
			return restored, err
		}
	}
}

// probe loads a session that can't exist from Postgres.
func (r *recovery) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	_, err := r.postgres.Load(ctx, store.ID{}, 0)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	r.detector.step((*coherence.Outage).Probed)
	return nil
}

// firstOf returns the first error, or one of an outage if there is one.
func firstOf(errs ...error) (first error) {
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

// close implements [Store.Close].
func (r *recovery) close() error {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil && r.timer.Stop() {
		r.attempts.Done()
	}
	r.mu.Unlock()
	r.detector.close()
	r.attempts.Wait()
	if r.detector.current() != coherence.Normal {
		r.attempt()
	}
	_, _, _ = r.sessions.memory.Prune(context.Background(), math.MaxInt)
	sessions, revokes := r.sessions.counts()
	if sessions+revokes == 0 {
		return nil
	}
	why := "postgres still unavailable at shutdown"
	if !r.detector.Unavailable() {
		why = "postgres refused part of the emergency before shutdown"
	}
	return fmt.Errorf("%w: %s: %d sessions and %d revokes lost",
		store.ErrUnavailable, why, sessions, revokes)
}
