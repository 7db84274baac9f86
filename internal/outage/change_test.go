package outage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// A change of a session that is being restored waits, and is made in Postgres.
// In memory it would be lost.
func TestRecoveryHoldsUpChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		saved, ended := o.Make("saved").ID, o.Make("ended").ID
		renewed, other := o.Make("renewed").ID, o.Make("other").ID
		o.Postgres.Up()
		o.Postgres.Inject(fault.Rule{Do: sleep(500 * time.Millisecond)}, store.OpCreate)
		for o.Mode() != coherence.Restoring {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait() // until the first is being restored
		began := time.Now()
		for what, change := range map[string]func() error{
			"save": func() error {
				_, err := o.Save(t.Context(), saved, set("n", "1"))
				return err
			},
			"delete": func() error { _, err := o.Delete(t.Context(), ended); return err },
			"rotate": func() error {
				_, err := o.Rotate(t.Context(), renewed, idOf("new"), store.Change{})
				return err
			},
			"load":  func() error { _, err := o.Load(t.Context(), other, 0); return err },
			"touch": func() error { return o.Touch(t.Context(), touchOf(other)) },
		} {
			go func() {
				if err := change(); err != nil || time.Since(began) == 0 {
					t.Errorf("%s: %v, after %v", what, err, time.Since(began))
				}
			}()
		}
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := o.Load(hasty, other, 0)
		expect(t, "a caller with a short deadline", verdictOf(err), "unavailable")
		expect(t, "has waited", time.Since(began), 100*time.Millisecond)
		time.Sleep(2 * time.Second)
		rec, _ := o.Rows.Load(t.Context(), saved, 0)
		expect(t, "saved", string(rec.Data), `{"n":1}`)
		expect(t, "ended, renewed", o.Row(ended)+", "+o.Row(renewed)+" "+o.Row(idOf("new")),
			"not found, not found alive")
		expect(t, "mode", o.Mode(), coherence.Normal)
	})
}

// The journal of one emergency takes no room in the next.
func TestRecoveryForgetsTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.LimitJournal(2)
		for round := range 3 {
			o.BeginOutage()
			for n := range 2 {
				_, err := o.Delete(t.Context(), idOf(fmt.Sprint(round, n)))
				expect(t, "revoke", err, nil)
			}
			o.EndOutage()
		}
	})
}

// Close reports revokes that Postgres never got.
func TestEmergencyCloseWithRevokesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		o.BeginOutage()
		_, err := o.Delete(t.Context(), idOf("s"))
		expect(t, "error", err, nil)
		if err := o.Close(); err == nil ||
			!strings.Contains(err.Error(), "0 sessions and 1 revokes lost") {
			t.Errorf("close: %v", err)
		}
	})
}

// A suspension of the machine in an emergency makes no session younger: see
// TestInstantReadsBothClocks.
func TestRecoveryAgeCountsSuspension(t *testing.T) {
	created := time.Now()
	now := created.Add(2 * time.Hour)
	*(*int64)(unsafe.Add(unsafe.Pointer(&now),
		unsafe.Sizeof(uint64(0)))) -= int64(2 * time.Hour) // what the monotonic clock missed
	if now.Sub(created) != 0 {
		t.Skip("package time keeps its readings elsewhere now")
	}
	o := outagetest.New(t, halfMinute, weekly)
	rec := store.Record{CreatedAt: created}
	expect(t, "suspended", o.AgeOf(&rec, now), 2*time.Hour)
	expect(t, "set back", o.AgeOf(&rec, created.Add(time.Hour)), time.Hour)
	rec.CreatedAt = now.Add(time.Hour)
	expect(t, "set back before it began", o.AgeOf(&rec, now), 0)
}

// A Create that the guard refuses because the emergency has just begun is made
// in memory.
func TestEmergencyCreateThatIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.Postgres.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
			o.Detector.Begin(errDown)
			return outage.ErrNotCalled
		}}, store.OpCreate)
		id := o.Make("s").ID
		expect(t, "in memory", o.Metrics().InMemory, 1)
		o.EndOutage()
		expect(t, "in Postgres", o.Row(id), "alive")
	})
}
