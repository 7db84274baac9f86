package sessionstore_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Whoever begins sessions in an emergency and ends them, one after the other, keeps nobody from logging out, and the recovery short.
func TestEmergencySessionsThatEndInItFillNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		known := o.cached("known")
		o.away()
		o.LimitJournal(1)
		for i := range 100 {
			id, next := idOf(fmt.Sprint(i)), idOf(fmt.Sprint(i, " renewed"))
			o.create(fmt.Sprint(i))
			_, err := o.Rotate(t.Context(), id, next, store.Change{})
			expect(t, "a rotate", err, nil)
			for range 2 {
				r, err := o.Delete(t.Context(), next)
				expect(t, "a revoke", err, nil)
				expect(t, "revocation", r, sessionstore.Revocation{CacheAcked: true})
			}
			expect(t, "the session", o.got(id)+", "+o.got(next), "not found, not found")
			_, err = o.Save(t.Context(), next, set("n", "1"))
			expect(t, "a save", verdictOf(err), "not found")
		}
		expect(t, "journalled", o.EmergencyStats().Journalled, 0)
		_, err := o.Delete(t.Context(), known)
		expect(t, "a revoke that Postgres must be told", err, nil)
		expect(t, "journalled", o.EmergencyStats().Journalled, 1)
		o.pg.up()
		o.pg.asked()
		o.back()
		expect(t, "calls", o.pg.asked(), "Load Delete")
		expect(t, "in Postgres", o.row(known), "not found")
		expect(t, "rows", o.pg.rows(), 0)
	})
}

// A Create that nobody answered, and is made again in memory, may be in Postgres: its end is written down.
func TestEmergencyCreateThatWasSentBefore(t *testing.T) {
	for _, how := range []string{"delete", "rotate", "rotate when Postgres is back and takes nothing yet"} {
		synctest.Test(t, func(t *testing.T) {
			o := newOutage(t, halfMinute, weekly)
			defer o.end()
			id := idOf("s")
			o.losing.lost = func(method string) bool { return method == "Create" }
			_, err := o.Create(context.Background(), store.Draft{ID: id})
			expect(t, "nobody answers", verdictOf(err), "unavailable")
			o.losing.lost = func(string) bool { return false }
			o.away()
			o.create("s")
			switch how {
			case "delete":
				_, err = o.Delete(t.Context(), id)
			case "rotate":
				_, err = o.Rotate(t.Context(), id, idOf("renewed"), store.Change{})
			default:
				o.losing.refuses = func(store.Draft) error { return postgres.FailureWith("55P03") }
				o.pg.up()
				time.Sleep(1100 * time.Millisecond)
				expect(t, "mode", o.Mode(), coherence.Importing)
				_, err = o.Rotate(t.Context(), id, idOf("renewed"), store.Change{})
				o.losing.refuses = nil
			}
			expect(t, how, err, nil)
			expect(t, "journalled", o.EmergencyStats().Journalled, 1)
			o.back()
			expect(t, "in Postgres", o.row(id), "not found")
		})
	}
}

// What is known of sessions that are only here is bounded, and never wrong.
func TestEmergencyForgetsWhatEndedInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.away()
		o.LimitLocal(2, 1)
		said := map[string]int{}
		for i := range 5 {
			o.create(fmt.Sprint(i))
			_, err := o.Delete(t.Context(), idOf(fmt.Sprint(i)))
			expect(t, "a revoke", err, nil)
			expect(t, "at once", o.got(idOf(fmt.Sprint(i))), "not found")
		}
		for i := range 5 {
			said[o.got(idOf(fmt.Sprint(i)))]++
		}
		expect(t, "known", fmt.Sprint(said), "map[not found:2 unavailable:3]")
		o.back()
		expect(t, "rows", o.pg.rows(), 0)

		o.losing.lost = func(method string) bool { return method == "Create" }
		_, err := o.Create(t.Context(), store.Draft{ID: idOf("sent")})
		expect(t, "nobody answers", verdictOf(err), "unavailable")
		o.losing.lost = func(string) bool { return false }
		o.away()
		o.create("another")
		_, err = o.Delete(t.Context(), idOf("another"))
		expect(t, "a revoke", err, nil)
		expect(t, "journalled when anything may have been sent", o.EmergencyStats().Journalled, 1)
		o.back()
	})
}
