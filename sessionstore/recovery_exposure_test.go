package sessionstore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A logout in an emergency of which Redis never heard: this process keeps its word also after Postgres knows, for as
// long as what Redis has may still count.
func TestRecoveryKeepsItsWordWhileRedisContradictsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := coherence.Policy{Freshness: 30 * time.Second}
		o := newOutage(t, policy, store.Expiry{Idle: time.Hour, Absolute: time.Hour})
		defer o.end()
		id := o.cached("logs out")
		o.away()
		o.cache.on("PutTombstones", func(context.Context) error { return errNobody })
		r, err := o.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)
		o.pg.up()
		for range 40 {
			time.Sleep(time.Second)
			expect(t, "the session that was ended", o.got(id), "not found")
		}
		expect(t, "mode", o.Mode(), coherence.Normal)
	})
}
