package cached_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const exposure = 30*time.Second + coherence.Allowance

// A process does not serve the sessions that it has ended, whatever Redis did
// with the tombstones. Other instances may, for the exposure that was promised.
func TestRevokeCountsHereAtOnce(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(t *testing.T, i *instance, id store.ID) store.Revocation{
		"a session, not acknowledged": func(
			t *testing.T, i *instance, id store.ID,
		) store.Revocation {
			r, err := i.Delete(ctx, id)
			expect(t, "Delete", err, nil)
			return r
		},
		"a handle, not acknowledged": func(
			t *testing.T, i *instance, id store.ID,
		) store.Revocation {
			_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann", Handle: id.Handle()})
			expect(t, "Revoke", err, nil)
			return r
		},
		"the old token of a renewal, not acknowledged": func(
			t *testing.T, i *instance, id store.ID,
		) store.Revocation {
			_, err := i.Rotate(ctx, id, idOf("new"), store.Change{})
			expect(t, "Rotate", err, nil)
			return store.Revocation{Committed: true, MaxExposure: exposure}
		},
		"a user, not acknowledged": func(t *testing.T, i *instance, _ store.ID) store.Revocation {
			_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann"})
			expect(t, "Revoke", err, nil)
			return r
		},
		"a user, whose sessions another instance has ended": func(
			t *testing.T, i *instance, id store.ID,
		) store.Revocation {
			if _, err := i.memory.Delete(ctx, id); err != nil {
				t.Fatal(err)
			}
			ids, r, err := i.Revoke(ctx, store.Selection{UserID: "ann"})
			expect(t, "Revoke", err, nil)
			expect(t, "it saw the session", slices.Contains(ids, id), false)
			return store.Revocation{Committed: r.Committed, MaxExposure: r.MaxExposure}
		},
		"all": func(t *testing.T, i *instance, _ store.ID) store.Revocation {
			_, r, err := i.Revoke(ctx, store.Selection{All: true})
			expect(t, "Revoke", err, nil)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				peer := i.beside(halfMinute)
				id := i.cached("s")
				peer.load(id, "")
				i.cache.Down(cachetest.OpPutTombstones) // as with Redis stopped for a moment
				r := end(t, i, id)
				r.Count = 0
				expect(t, "promise", r, store.Revocation{Committed: true, MaxExposure: exposure})
				for _, after := range []time.Duration{0, time.Second, 29 * time.Second} {
					time.Sleep(after)
					if _, err := i.Load(ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("served here: %v", err)
					}
				}
				time.Sleep(exposure)
				if _, err := peer.Load(ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("served elsewhere after the promise: %v", err)
				}
			})
		})
	}
}

// The promise about a user does not depend on the reply of the cache. The
// exposure of one token is 0 if the cache acknowledged.
func TestPromiseAboutAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		_, r, err := i.Revoke(ctx, store.Selection{UserID: "ann", Handle: id.Handle()})
		expect(t, "a handle", r, store.Revocation{Count: 1, Committed: true, CacheAcked: true})
		expect(t, "error", err, nil)
		_, r, err = i.Revoke(ctx, store.Selection{UserID: "ann", Handle: id.Handle()})
		expect(t, "a handle that ended none", r,
			store.Revocation{Committed: true, CacheAcked: true, MaxExposure: exposure})
		expect(t, "error", err, nil)
		i.cached("t")
		for _, sel := range []store.Selection{
			{UserID: "ann", Keep: 1}, {UserID: "ann", Except: idOf("x")}, {UserID: "ann"},
		} {
			_, r, err = i.Revoke(ctx, sel)
			r.Count = 0
			expect(t, fmt.Sprintf("%+v", sel), r,
				store.Revocation{Committed: true, CacheAcked: true, MaxExposure: exposure})
			expect(t, "error", err, nil)
		}
	})
}

// At the limit nothing is served from the cache for the exposure.
func TestLeavesTheCacheOutAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i := newInstance(t, halfMinute, weekly)
		ids := []store.ID{i.cached("a"), i.cached("b"), i.cached("c")}
		other := i.cached("d")
		i.LimitEnded(2)
		i.cache.Down(cachetest.OpPutTombstones)
		for _, id := range ids {
			_, err := i.Delete(ctx, id)
			expect(t, "Delete", err, nil)
		}
		for _, id := range ids {
			if _, err := i.Load(ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("served: %v", err)
			}
		}
		asked(i.store)
		i.load(other, "load")
		time.Sleep(exposure)
		i.load(other, "load") // it is not fresh any more
		synctest.Wait()
		i.load(other, "")
	})
}
