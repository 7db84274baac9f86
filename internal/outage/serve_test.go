package outage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// In an emergency a session from before is served from the cache, read-only,
// for the freshness and the grace.
func TestEmergencyServesFreshEntries(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, coherence.Policy{Freshness: 30 * time.Second, Grace: grace},
				weekly)
			defer o.End()
			id, other := o.MakeCached("s"), o.Make("not in the cache").ID
			read := time.Now()
			o.BeginOutage()
			expect(t, "another", o.Got(other), "unavailable")
			expect(t, "one that never was", o.Got(idOf("never created")), "unavailable")
			_, err := o.Save(t.Context(), id, set("n", "1"))
			expect(t, "a save", verdictOf(err), "unavailable")
			_, err = o.Rotate(t.Context(), id, idOf("new"), store.Change{})
			expect(t, "a rotate", verdictOf(err), "unavailable")
			expect(t, "a touch", o.Touch(t.Context(), touchOf(id)), nil)
			_, err = o.Load(t.Context(), id, 2)
			expect(t, "below the minimum version", verdictOf(err), "unavailable")
			for time.Since(read) < 2*time.Minute {
				want := "alive"
				if age := time.Since(read); age > 30*time.Second+grace {
					want = "unavailable"
				} else if age > 29*time.Second+grace {
					want = o.Got(id) // the clock's allowance
				}
				expect(t, fmt.Sprintf("after %v", time.Since(read)), o.Got(id), want)
				time.Sleep(time.Second)
			}
			o.EndOutage()
			expect(t, "when it is back", o.Got(id)+" "+o.Got(other), "alive alive")
		})
	}
}

func TestEmergencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		for _, name := range []string{"a", "b", "c"} {
			o.Make(name)
		}
		o.BeginOutage()
		o.SetLimit(10, 20_000)
		for n := range 10 {
			o.Make(fmt.Sprint(n))
		}
		_, err := o.Create(t.Context(), store.Draft{ID: idOf("one too many")})
		expect(t, "an eleventh", verdictOf(err), "unavailable")
		big := set("big", `"`+strings.Repeat("x", 20_000)+`"`)
		_, err = o.Save(t.Context(), idOf("1"), big)
		expect(t, "too many bytes", verdictOf(err), "unavailable")
		_, err = o.Rotate(t.Context(), idOf("1"), idOf("new"), big)
		expect(t, "too many bytes in a rotate", verdictOf(err), "unavailable")
		expect(t, "the session", o.Got(idOf("1")), "alive")

		o.LimitJournal(2)
		for _, name := range []string{"a", "b"} {
			_, err := o.Delete(t.Context(), idOf(name))
			expect(t, "revoke", err, nil)
		}
		_, err = o.Delete(t.Context(), idOf("c"))
		expect(t, "a revoke too many", verdictOf(err), "unavailable")
		_, err = o.Delete(t.Context(), idOf("b"))
		expect(t, "the same revoke again", err, nil)
		o.EndOutage()
		expect(t, "the sessions", o.Row(idOf("a"))+", "+o.Row(idOf("b"))+", "+o.Row(idOf("c")),
			"not found, not found, alive")
	})
}

// A revoke counts at once here and in the cache, and is in Postgres before
// anything is served from there again.
func TestEmergencyRevoke(t *testing.T) {
	for name, test := range map[string]struct {
		down bool // the cache
		want store.Revocation
	}{
		"acknowledged": {false, store.Revocation{CacheAcked: true}},
		"not acknowledged": {
			true, store.Revocation{MaxExposure: 30*time.Second + coherence.Allowance},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, weekly)
				defer o.End()
				id := o.MakeCached("s")
				peer := cached.New(o.Postgres, o.Cache,
					cached.Options{Policy: halfMinute, Expiry: weekly})
				defer peer.Close()
				_, err := peer.Create(t.Context(), store.Draft{ID: idOf("clock"), UserID: "ann"})
				expect(t, "error", err, nil)
				o.BeginOutage()
				if test.down {
					o.Cache.Down(cachetest.OpPutTombstones)
				}
				r, err := o.Delete(t.Context(), id)
				expect(t, "error", err, nil)
				expect(t, "revocation", r, test.want)
				expect(t, "here", o.Got(id), "not found")
				_, err = o.Save(t.Context(), id, set("n", "1"))
				expect(t, "a save", verdictOf(err), "not found")
				_, err = o.Rotate(t.Context(), id, idOf("new"), store.Change{})
				expect(t, "a rotate", verdictOf(err), "not found")
				_, err = peer.Load(t.Context(), id, 0)
				want := map[bool]string{true: "unavailable", false: "alive"}[r.CacheAcked]
				if verdictOf(err) != want {
					t.Errorf("at another instance: %v, want %s", err, want)
				}
				expect(t, "journalled", o.Metrics().Journalled, 1)

				// During a slow replay nothing is served from Postgres.
				o.Cache.Up()
				o.Postgres.Up()
				o.Postgres.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
					for range 20 {
						expect(t, "meanwhile", o.Got(id)+", "+o.Got(idOf("clock")),
							"not found, unavailable")
						time.Sleep(time.Second / 40)
					}
					return nil
				}}, store.OpDelete)
				asked(o.Postgres)
				time.Sleep(2 * time.Second)
				expect(t, "first calls", asked(o.Postgres), "load delete")
				expect(t, "in Postgres", o.Row(id), "not found")
				_, err = peer.Load(t.Context(), id, 0)
				expect(t, "at another instance", verdictOf(err), "not found")
				expect(t, "here", o.Got(id)+", "+o.Got(idOf("clock")), "not found, alive")
			})
		})
	}
}

// The revoke that begins the emergency is journalled, even if its deadline has
// passed by then. A caller that leaves during the revoke has ended the session.
func TestEmergencyRevokeThatBeginsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		id, known := o.Make("s").ID, o.Make("known").ID
		o.Postgres.Down()
		for range 2 {
			_, err := o.Delete(t.Context(), id)
			expect(t, "before it is clear", verdictOf(err), "unavailable")
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o.Postgres.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
			<-ctx.Done()
			return errLate
		}}, store.OpDelete)
		r, err := o.Delete(ctx, id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)

		ctx, cancel = context.WithCancel(t.Context())
		o.Cache.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
			cancel()
			return nil
		}}, cachetest.OpPutTombstones)
		_, err = o.Delete(ctx, known)
		expect(t, "error", err, nil)
		_, err = o.Delete(ctx, idOf("another"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a revoke of a caller that has left: %v", err)
		}
		o.EndOutage()
		expect(t, "in Postgres", o.Row(id)+", "+o.Row(known), "not found, not found")
		expect(t, "recovered", o.Seen(), "began, ended 0")
	})
}
