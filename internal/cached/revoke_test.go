package cached_test

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
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The promise of a revoke, for each outcome in Postgres and in the cache.
func TestRevocation(t *testing.T) {
	exposed := 30*time.Second + coherence.Allowance
	for name, test := range map[string]struct {
		policy     coherence.Policy
		store      error       // of Delete
		put        *fault.Rule // of the tombstones
		want       store.Revocation
		tombstones int
		elapsed    time.Duration
	}{
		"acknowledged": {
			policy: halfMinute, want: store.Revocation{Committed: true, CacheAcked: true},
			tombstones: 1,
		},
		"not acknowledged": {
			policy: halfMinute, put: failing,
			want: store.Revocation{Committed: true, MaxExposure: exposed}, tombstones: 1,
		},
		"hanging": {
			policy: halfMinute, put: blocked,
			want: store.Revocation{Committed: true, MaxExposure: exposed}, tombstones: 1,
			elapsed: 250 * time.Millisecond,
		},
		"grace": {
			policy:     coherence.Policy{Freshness: 30 * time.Second, Grace: time.Minute},
			put:        failing,
			want:       store.Revocation{Committed: true, MaxExposure: exposed + time.Minute},
			tombstones: 1,
		},
		"strict": {
			want: store.Revocation{Committed: true, CacheAcked: true}, tombstones: 1,
		},
		"strict and not acknowledged": {
			put: failing, want: store.Revocation{Committed: true}, tombstones: 1,
		},
		"outcome unknown": {
			policy: halfMinute, store: errLost, want: store.Revocation{CacheAcked: true},
			tombstones: 1,
		},
		"uncertain, not acknowledged": {
			policy: halfMinute, store: errLost, put: failing,
			want: store.Revocation{MaxExposure: exposed}, tombstones: 1,
		},
		"uncertain and cancelled": {
			policy: halfMinute,
			store:  fmt.Errorf("%w (%w)", context.Canceled, store.ErrOutcomeUnknown),
			want:   store.Revocation{CacheAcked: true}, tombstones: 1,
		},
		"refused": {
			policy: halfMinute, store: store.ErrUnavailable,
			want: store.Revocation{MaxExposure: exposed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, test.policy, weekly)
				rec := i.create("s")
				i.load(rec.ID, "load")
				i.cache.Forget()
				if test.store != nil {
					i.store.Inject(fault.Rule{Err: test.store}, store.OpDelete)
				}
				if test.put != nil {
					i.cache.Inject(*test.put, cachetest.OpPutTombstones)
				}
				began := time.Now()
				r, err := i.Delete(t.Context(), rec.ID)
				if !errors.Is(err, test.store) {
					t.Errorf("error: %v", err)
				}
				expect(t, "revocation", r, test.want)
				expect(t, "tombstones", len(i.cache.Calls()), test.tombstones)
				expect(t, "it took", time.Since(began), test.elapsed)
				if test.store == nil {
					_, err := i.beside(test.policy).Load(t.Context(), rec.ID, 0)
					if test.want.CacheAcked && !errors.Is(err, store.ErrNotFound) {
						t.Errorf("another instance serves it: %v", err)
					}
				}
			})
		})
	}
}

// The store comes first. After a crash between the two, the entry is served for
// the freshness. In the other order a load could fill the cache again.
func TestRevokeCallsTheStoreFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		var order []string
		note := func(what string) func(context.Context, *fault.Call) error {
			return func(context.Context, *fault.Call) error {
				order = append(order, what)
				return nil
			}
		}
		i.store.Inject(fault.Rule{When: fault.After, Do: note("store")}, store.OpDelete)
		i.cache.Inject(fault.Rule{Do: note("cache")}, cachetest.OpPutTombstones)
		_, err := i.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "order", strings.Join(order, " "), "store cache")
	})
}

// The cache gets the tombstone or the entry even if the caller has left.
func TestTombstonesOfACallerThatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{"Delete", "Rotate", "Save"} {
			i := newInstance(t, halfMinute, weekly)
			id := i.cached("s")
			ctx, cancel := context.WithCancel(t.Context())
			reached := false
			hook := func(ctx context.Context, _ *fault.Call) error {
				cancel()
				reached = ctx.Err() == nil
				return ctx.Err()
			}
			i.cache.Inject(fault.Rule{Do: hook}, cachetest.OpPutTombstones, cachetest.OpFill)
			switch method {
			case "Delete":
				r, err := i.Delete(ctx, id)
				expect(t, method, err, nil)
				expect(t, "acknowledged", r.CacheAcked, true)
			case "Rotate":
				_, err := i.Rotate(ctx, id, idOf("new"), store.Change{})
				expect(t, method, err, nil)
			case "Save":
				rec, err := i.Save(ctx, id, store.Change{})
				expect(t, method, err, nil)
				expect(t, "minimum version", rec.MinVersion, 0)
			}
			expect(t, "the cache was reached after "+method, reached, true)
		}
	})
}

func TestRotatePutsATombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]error{
			"committed": nil, "outcome unknown": store.ErrOutcomeUnknown,
		} {
			i := newInstance(t, halfMinute, weekly)
			peer := i.beside(halfMinute)
			id := i.cached("s")
			if answer != nil {
				i.store.Inject(fault.Rule{When: fault.After}, store.OpRotate)
			}
			rotator := cached.New(i.store, i.cache,
				cached.Options{Policy: halfMinute, Expiry: weekly})
			_, err := rotator.Rotate(t.Context(), id, idOf("new"),
				store.Change{})
			if !errors.Is(err, answer) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := peer.Load(t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: the old id is served: %v", name, err)
			}
			if rec, err := peer.Load(t.Context(), idOf("new"), 0); err != nil || rec.Version != 2 {
				t.Errorf("%s: the new id: %d, %v", name, rec.Version, err)
			}
		}

		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		i.store.Down(store.OpRotate)
		_, _ = i.Rotate(t.Context(), id, idOf("new"), store.Change{})
		asked(i.store)
		i.load(id, "") // it goes on under the old one
	})
}
