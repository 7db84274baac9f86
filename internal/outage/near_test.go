package outage_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// near is the policy of local caches.
var near = coherence.Policy{Local: true, Freshness: 10 * time.Second}

// graced is near with a grace.
func graced(grace time.Duration) coherence.Policy {
	p := near
	p.Grace = grace
	return p
}

// In an emergency a local cache serves what it has, for the freshness and the
// grace since Postgres said so, and not longer.
func TestEmergencyServesALocalCache(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, graced(grace), weekly)
			defer o.End()
			id, other := o.MakeCached("s"), o.Make("not in the cache").ID
			read := time.Now()
			o.BeginOutage()
			expect(t, "another", o.Got(other), "unavailable")
			_, err := o.Save(t.Context(), id, set("n", "1"))
			expect(t, "a save", verdictOf(err), "unavailable")
			_, err = o.Load(t.Context(), id, 2)
			expect(t, "a client that has saved", verdictOf(err), "unavailable")
			for time.Since(read) < 2*time.Minute {
				want := "alive"
				if age := time.Since(read); age > near.Freshness+grace {
					want = "unavailable"
				} else if age > near.Freshness+grace-time.Second {
					want = o.Got(id) // the clock's allowance
				}
				expect(t, fmt.Sprintf("after %v", time.Since(read)), o.Got(id), want)
				time.Sleep(time.Second / 2)
			}
			o.EndOutage()
			expect(t, "when it is back", o.Got(id)+" "+o.Got(other), "alive alive")
		})
	}
}

// A revoke in an emergency counts at once here, whose cache has the session.
// Another process serves its own entry for no longer than MaxExposure after the
// revoke has reached Postgres.
func TestEmergencyRevokeWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := graced(time.Minute)
		o := outagetest.New(t, policy, weekly)
		defer o.End()
		id, kept := o.MakeCached("s"), o.MakeCached("kept")
		peer := o.Elsewhere()
		there := func(id store.ID) string {
			_, err := peer.Load(t.Context(), id, 0)
			return verdictOf(err)
		}
		o.BeginOutage()
		r, err := o.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)
		expect(t, "MaxExposure", r.MaxExposure, policy.Exposure())
		expect(t, "here", o.Got(id)+", "+o.Got(kept), "not found, alive")
		expect(t, "journalled", o.Metrics().Journalled, 1)
		expect(t, "at another process", there(id), "alive") // which reaches Postgres
		o.EndOutage()
		replayed := time.Now()
		expect(t, "in Postgres", o.Row(id)+", "+o.Row(kept), "not found, alive")
		for time.Since(replayed) <= r.MaxExposure {
			expect(t, "here afterwards", o.Got(id)+", "+o.Got(kept), "not found, alive")
			time.Sleep(time.Second)
		}
		expect(t, "at another process", there(id), "not found")
	})
}

// What this process revoked before the outage is not served in it, however long
// the grace: not by its id, its user or all.
func TestEmergencyServesNothingRevokedBefore(t *testing.T) {
	for name, revoke := range map[string]func(*outagetest.Process, store.ID) error{
		"a session": func(o *outagetest.Process, id store.ID) error {
			_, err := o.Delete(o.T.Context(), id)
			return err
		},
		"a user, at the second try": func(o *outagetest.Process, _ store.ID) error {
			lost := o.Link.Inject(fault.Rule{When: fault.After, Err: errLost}, store.OpRevoke)
			_, _, err := o.Revoke(o.T.Context(), store.Selection{UserID: "ann"})
			expect(o.T, "a lost reply", verdictOf(err), "unavailable")
			lost.Release()
			ids, _, err := o.Revoke(o.T.Context(), store.Selection{UserID: "ann"})
			expect(o.T, "ended by the second", len(ids), 0)
			return err
		},
		"all": func(o *outagetest.Process, _ store.ID) error {
			_, _, err := o.Revoke(o.T.Context(), store.Selection{All: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, graced(time.Minute), weekly)
				defer o.End()
				id := o.MakeCached("s")
				expect(t, "error", revoke(o, id), nil)
				o.BeginOutage()
				for range 80 {
					if got := o.Got(id); got == "alive" {
						t.Fatal("the session is served")
					}
					time.Sleep(time.Second)
				}
				o.EndOutage()
				expect(t, "afterwards", o.Got(id), "not found")
			})
		})
	}
}

// A revoke of another process, in an outage of this one alone, counts here
// after the freshness and the grace.
func TestEmergencyServesWhatAnotherProcessRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := graced(time.Minute)
		o := outagetest.New(t, policy, weekly)
		defer o.End()
		id := o.MakeCached("s")
		o.BeginOutage()
		_, r, err := o.Elsewhere().Revoke(t.Context(), store.Selection{UserID: "ann"})
		expect(t, "error", err, nil)
		expect(t, "MaxExposure", r.MaxExposure, policy.Exposure())
		expect(t, "at once", o.Got(id), "alive")
		time.Sleep(r.MaxExposure)
		expect(t, "after MaxExposure", o.Got(id), "unavailable")
		o.EndOutage()
		expect(t, "afterwards", o.Got(id), "not found")
	})
}
