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

// A logout in an emergency of which Redis never heard: this process keeps its word also after Postgres knows, for as
// long as what Redis has may still count.
func TestRecoveryKeepsItsWordWhileRedisContradictsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := coherence.Policy{Freshness: 30 * time.Second}
		o := outagetest.New(t, policy, store.Expiry{Idle: time.Hour, Absolute: time.Hour})
		defer o.End()
		id := o.MakeCached("logs out")
		o.Away()
		o.Cache.Inject(fault.Rule{Err: errNobody}, cachetest.OpPutTombstones)
		r, err := o.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)
		o.Postgres.Up()
		for range 40 {
			time.Sleep(time.Second)
			expect(t, "the session that was ended", o.Got(id), "not found")
		}
		expect(t, "mode", o.Mode(), coherence.Normal)
	})
}
