package outage_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The logout whose call shows the outage has used up its time with Postgres. It
// is journalled all the same, even if a restore holds calls up.
func TestTheLogoutThatBeginsAnEmergencyIsJournalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		id := o.MakeCached("s")
		o.Postgres.Down()
		for range 2 {
			_, _ = o.Stats(t.Context(), false)
			time.Sleep(600 * time.Millisecond)
		}
		o.Link.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
			open := o.ShutGate()
			time.AfterFunc(500*time.Millisecond, open)
			return store.ErrOutage
		}}, store.OpDelete)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := o.Delete(ctx, id)
		expect(t, "error", err, nil)
		expect(t, "mode", o.Mode(), coherence.Emergency)
		expect(t, "journalled", o.Metrics().Journalled, 1)
		o.Postgres.Up()
		o.Link.Up()
		time.Sleep(2 * time.Second)
		expect(t, "in Postgres", o.Row(id), "not found")
	})
}
