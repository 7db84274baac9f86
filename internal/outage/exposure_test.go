package outage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Redis acknowledges no tombstone of a logout in an emergency, and its entry is
// fresh for longer than the emergency lasts. The local tombstone of the cached
// store keeps this process from serving the session.
func TestARevokeHoldsAfterTheEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := coherence.Policy{Freshness: 30 * time.Second}
		o := outagetest.New(t, policy, store.Expiry{Idle: time.Hour, Absolute: time.Hour})
		defer o.End()
		id := o.MakeCached("logs out")
		o.BeginOutage()
		o.Cache.Inject(fault.Rule{Err: errDown}, cachetest.OpPutTombstones)
		r, err := o.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)
		o.EndOutage()
		expect(t, "mode", o.Mode(), coherence.Normal)
		for range 40 {
			expect(t, "the session that was ended", o.Got(id), "not found")
			time.Sleep(time.Second)
		}
	})
}
