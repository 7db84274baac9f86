package outage_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Sessions that begin and end in an emergency leave the journal to other
// logouts, and do not slow the recovery.
func TestEmergencySessionsThatEndInItFillNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		known := o.MakeCached("known")
		o.BeginOutage()
		o.LimitJournal(1)
		for i := range 100 {
			id, next := idOf(fmt.Sprint(i)), idOf(fmt.Sprint(i, " renewed"))
			o.Make(fmt.Sprint(i))
			_, err := o.Rotate(t.Context(), id, next, store.Change{})
			expect(t, "a rotate", err, nil)
			for range 2 {
				r, err := o.Delete(t.Context(), next)
				expect(t, "a revoke", err, nil)
				expect(t, "revocation", r, store.Revocation{CacheAcked: true})
			}
			expect(t, "the session", o.Got(id)+", "+o.Got(next), "not found, not found")
			_, err = o.Save(t.Context(), next, set("n", "1"))
			expect(t, "a save", verdictOf(err), "not found")
		}
		expect(t, "journalled", o.Metrics().Journalled, 0)
		_, err := o.Delete(t.Context(), known)
		expect(t, "a revoke that needs the journal", err, nil)
		expect(t, "journalled", o.Metrics().Journalled, 1)
		o.Postgres.Up()
		asked(o.Postgres)
		o.EndOutage()
		expect(t, "calls", asked(o.Postgres), "load delete")
		expect(t, "in Postgres", o.Row(known), "not found")
		expect(t, "rows", o.Count(), 0)
	})
}

// A Create without a reply, repeated in memory, may have made a row in
// Postgres. So a revoke of its session is journalled.
func TestEmergencyCreateThatWasSentBefore(t *testing.T) {
	for _, how := range []string{
		"delete", "rotate", "rotate while Postgres refuses to restore it",
	} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			defer o.End()
			id := idOf("s")
			lost := o.Link.Inject(fault.Rule{When: fault.After, Err: errLost}, store.OpCreate)
			_, err := o.Create(context.Background(), store.Draft{ID: id})
			expect(t, "a lost reply", verdictOf(err), "unavailable")
			lost.Release()
			o.BeginOutage()
			o.Make("s")
			switch how {
			case "delete":
				_, err = o.Delete(t.Context(), id)
			case "rotate":
				_, err = o.Rotate(t.Context(), id, idOf("renewed"), store.Change{})
			default:
				refused := o.Link.Inject(fault.Rule{Err: postgresError("55P03")}, store.OpCreate)
				o.Postgres.Up()
				time.Sleep(1100 * time.Millisecond)
				expect(t, "mode", o.Mode(), coherence.Restoring)
				_, err = o.Rotate(t.Context(), id, idOf("renewed"), store.Change{})
				refused.Release()
			}
			expect(t, how, err, nil)
			expect(t, "journalled", o.Metrics().Journalled, 1)
			o.EndOutage()
			expect(t, "in Postgres", o.Row(id), "not found")
		})
	}
}

// What is known of sessions that are only here is bounded, and never wrong.
func TestEmergencyForgetsWhatEndedInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		o.LimitLocal(2, 1)
		said := map[string]int{}
		for i := range 5 {
			o.Make(fmt.Sprint(i))
			_, err := o.Delete(t.Context(), idOf(fmt.Sprint(i)))
			expect(t, "a revoke", err, nil)
			expect(t, "at once", o.Got(idOf(fmt.Sprint(i))), "not found")
		}
		for i := range 5 {
			said[o.Got(idOf(fmt.Sprint(i)))]++
		}
		expect(t, "known", fmt.Sprint(said), "map[not found:2 unavailable:3]")
		o.EndOutage()
		expect(t, "rows", o.Count(), 0)

		lost := o.Link.Inject(fault.Rule{When: fault.After, Err: errLost}, store.OpCreate)
		_, err := o.Create(t.Context(), store.Draft{ID: idOf("sent")})
		expect(t, "a lost reply", verdictOf(err), "unavailable")
		lost.Release()
		o.BeginOutage()
		o.Make("another")
		_, err = o.Delete(t.Context(), idOf("another"))
		expect(t, "a revoke", err, nil)
		expect(t, "journalled when anything may have been sent", o.Metrics().Journalled, 1)
		o.EndOutage()
	})
}
