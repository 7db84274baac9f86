package outage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Several outages in a row, over at least a second, begin an emergency. Other
// errors do not.
func TestEmergencyBegins(t *testing.T) {
	late := fmt.Errorf("load: %w", errLate)
	always := func(err error) func(int) error { return func(int) error { return err } }
	for name, test := range map[string]struct {
		err   func(call int) error
		waits time.Duration // of the caller; 0 is for ever
		takes time.Duration
		calls int // one every 300 ms
		begin bool
	}{
		"refuses connections": {err: always(errDown), calls: 5, begin: true},
		"shutting down": {
			err: always(postgresError("57P03")), calls: 5, begin: true,
		},
		"no answer in time": {
			err: always(late), takes: 5 * time.Second, calls: 3, begin: true,
		},
		"nor in that of the caller": {
			err: always(late), waits: 3 * time.Second, takes: 3 * time.Second, calls: 3,
			begin: true,
		},
		"two failures only": {err: always(errDown), calls: 2},
		"within a second":   {err: always(errDown), calls: 4},
		"with answers between": {
			err: func(n int) error {
				return []error{errDown, errDown, store.ErrNotFound}[n%3]
			},
			calls: 30,
		},
		"with refusals between": {
			err: func(n int) error {
				return []error{errDown, errDown, postgresError("22P02")}[n%3]
			},
			calls: 30,
		},
		"what says nothing does not end": {
			err:   func(n int) error { return []error{errDown, context.Canceled, errBusy}[n%3] },
			calls: 10, begin: true,
		},
		"an impatient caller": {
			err: always(late), waits: 100 * time.Millisecond, takes: 150 * time.Millisecond,
			calls: 30,
		},
		"cancelled": {err: always(context.Canceled), calls: 30},
		"cancelled and uncertain": {
			err:   always(fmt.Errorf("%w (%w)", context.Canceled, store.ErrOutcomeUnknown)),
			calls: 30,
		},
		"overloaded":           {err: always(errBusy), calls: 30},
		"wrong password":       {err: always(postgresError("28P01")), calls: 30},
		"too many connections": {err: always(postgresError("53300")), calls: 30},
		"refused":              {err: always(postgresError("42P01")), calls: 30},
		"not found":            {err: always(store.ErrNotFound), calls: 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, weekly)
				defer o.End()
				n := 0
				o.Postgres.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
					time.Sleep(test.takes)
					n++
					return test.err(n - 1)
				}}, store.OpLoad)
				for range test.calls {
					ctx, cancel := context.WithCancel(t.Context())
					if test.waits > 0 {
						ctx, cancel = context.WithTimeout(t.Context(), test.waits)
					}
					_, _ = o.Load(ctx, idOf("s"), 0)
					cancel()
					if o.Mode() != coherence.Normal {
						break
					}
					time.Sleep(300 * time.Millisecond)
				}
				expect(t, "an emergency", o.Mode() == coherence.Emergency, test.begin)
				o.Postgres.Up()
				time.Sleep(2 * time.Second)
				want := ""
				if test.begin {
					want = "began, ended 0"
				}
				expect(t, "events", o.Seen(), want)
			})
		})
	}
}

// A timeout of a prune or an exact count is no outage: on a large table they
// need more time.
func TestEmergencyDoesNotBeginWithLongStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.Postgres.Inject(fault.Rule{Err: errLate}, store.OpPrune, store.OpStats)
		for range 10 {
			_, _, _ = o.Prune(t.Context(), 1)
			_, _ = o.Stats(t.Context(), true)
			time.Sleep(time.Second)
		}
		expect(t, "mode", o.Mode(), coherence.Normal)
		o.Postgres.Down(store.OpPrune) // but this does
		for range 4 {
			_, _, _ = o.Prune(t.Context(), 1)
			time.Sleep(time.Second)
		}
		expect(t, "events", o.Seen(), "began, ended 0")
	})
}

// While Postgres is unavailable no request waits for it. Only the recovery
// calls it, once a second.
func TestEmergencyAsksOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		old := o.Make("old").ID
		o.BeginOutage()
		expect(t, "name", o.Name(), "memory")
		synctest.Wait()
		time.Sleep(time.Millisecond)
		asked(o.Postgres)
		ours := o.Make("ours").ID
		for range 100 {
			_, _ = o.Load(t.Context(), old, 0)
			_, _ = o.Save(t.Context(), old, set("n", "1"))
			_, _ = o.Rotate(t.Context(), old, idOf("older"), store.Change{})
			_ = o.Touch(t.Context(), touchOf(old))
			_, _ = o.Load(t.Context(), ours, 0)
			_, _ = o.Delete(t.Context(), idOf("another"))
			_, _, _ = o.Prune(t.Context(), 10)
			_, _ = o.Stats(t.Context(), true)
			time.Sleep(100 * time.Millisecond)
		}
		expect(t, "calls in ten seconds", asked(o.Postgres),
			strings.TrimSpace(strings.Repeat("load ", 10)))
		expect(t, "events", o.Seen(), "began")
		o.EndOutage()
		expect(t, "name", o.Name(), "redis, memory") // the rows of the rig are in memory
		expect(t, "events", o.Seen(), "ended 1")
	})
}

// Probes never overlap, however long one takes, and none runs after Close.
func TestEmergencyProbesOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		o.BeginOutage()
		under := 0
		o.Postgres.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
			if under++; under > 1 {
				t.Error("two probes at once")
			}
			<-ctx.Done()
			under--
			return errDown
		}}, store.OpLoad)
		time.Sleep(time.Minute)
		began := time.Now()
		expect(t, "close", o.Close(), nil) // nothing is lost
		if time.Since(began) > 3*time.Second {
			t.Errorf("close took %v: a probe under way and one of its own take a second each",
				time.Since(began))
		}
		asked(o.Postgres)
		time.Sleep(time.Minute)
		expect(t, "calls after the end", asked(o.Postgres), "")
	})
}
