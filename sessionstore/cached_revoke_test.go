package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var errLost = fmt.Errorf("%w: the answer is lost (%w)", sessionstore.ErrUnavailable, sessionstore.ErrOutcomeUnknown)

// What a revoke may promise, for every outcome in Postgres and in the cache.
func TestCachedRevocation(t *testing.T) {
	exposed := 30*time.Second + coherence.Allowance
	for name, test := range map[string]struct {
		policy  coherence.Policy
		store   error // of Delete
		bury    func(context.Context) error
		want    sessionstore.Revocation
		buries  int
		elapsed time.Duration
	}{
		"acknowledged":                {policy: halfMinute, want: sessionstore.Revocation{Committed: true, CacheAcked: true}, buries: 1},
		"not acknowledged":            {policy: halfMinute, bury: failing, want: sessionstore.Revocation{Committed: true, MaxExposure: exposed}, buries: 1},
		"hanging":                     {policy: halfMinute, bury: blocked, want: sessionstore.Revocation{Committed: true, MaxExposure: exposed}, buries: 1, elapsed: 250 * time.Millisecond},
		"grace":                       {policy: coherence.Policy{Freshness: 30 * time.Second, Grace: time.Minute}, bury: failing, want: sessionstore.Revocation{Committed: true, MaxExposure: exposed + time.Minute}, buries: 1},
		"strict":                      {want: sessionstore.Revocation{Committed: true, CacheAcked: true}, buries: 1},
		"strict and not acknowledged": {bury: failing, want: sessionstore.Revocation{Committed: true}, buries: 1},
		"uncertain":                   {policy: halfMinute, store: errLost, want: sessionstore.Revocation{CacheAcked: true}, buries: 1},
		"uncertain, not acknowledged": {policy: halfMinute, store: errLost, bury: failing, want: sessionstore.Revocation{MaxExposure: exposed}, buries: 1},
		"uncertain and cancelled":     {policy: halfMinute, store: fmt.Errorf("%w (%w)", context.Canceled, sessionstore.ErrOutcomeUnknown), want: sessionstore.Revocation{CacheAcked: true}, buries: 1},
		"refused":                     {policy: halfMinute, store: sessionstore.ErrUnavailable, want: sessionstore.Revocation{MaxExposure: exposed}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, test.policy, weekly)
				rec := i.create("s")
				i.load(rec.ID, "Load")
				i.cache.calls = nil
				i.store.on("Delete", func(context.Context) error { return test.store })
				i.cache.on("PutTombstones", test.bury)
				began := time.Now()
				r, err := i.Delete(t.Context(), rec.ID)
				if !errors.Is(err, test.store) {
					t.Errorf("error: %v", err)
				}
				expect(t, "revocation", r, test.want)
				expect(t, "tombstones", len(i.cache.calls), test.buries)
				expect(t, "it took", time.Since(began), test.elapsed)
				if test.store == nil {
					if _, err := i.beside(test.policy).Load(t.Context(), rec.ID, 0); test.want.CacheAcked && !errors.Is(err, sessionstore.ErrNotFound) {
						t.Errorf("another instance serves it: %v", err)
					}
				}
			})
		})
	}
}

// The store first: between the two a crash costs the freshness. The other way round a reader would fill the cache again.
func TestCachedRevokeTellsTheStoreFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		var order []string
		i.store.on("Delete", func(context.Context) error { order = append(order, "store"); return nil })
		i.cache.on("PutTombstones", func(context.Context) error {
			order = append(order, "cache")
			if _, err := i.store.Store.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("the cache is told before the row is gone: %v", err)
			}
			return nil
		})
		_, err := i.Delete(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "order", strings.Join(order, " "), "store cache")
	})
}

// Who ends a session and leaves has ended it: the cache is told all the same, and of what a save wrote too.
func TestCachedCacheIsToldWhenTheCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{"Delete", "Rotate", "Save"} {
			i := newInstance(t, halfMinute, weekly)
			id := i.cached("s")
			ctx, cancel := context.WithCancel(t.Context())
			told := false
			hook := func(ctx context.Context) error {
				cancel()
				told = ctx.Err() == nil
				return ctx.Err()
			}
			i.cache.on("PutTombstones", hook)
			i.cache.on("Fill", hook)
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
				expect(t, "floor", rec.Floor, 0)
			}
			expect(t, "the cache was told after "+method, told, true)
		}
	})
}

func TestCachedRotateBuriesTheOldID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]error{"answered": nil, "uncertain": errLost} {
			i := newInstance(t, halfMinute, weekly)
			peer := i.beside(halfMinute)
			id := i.cached("s")
			lossy := &losing{Store: i.store, lost: func(method string) bool { return method == "Rotate" && answer != nil }}
			rotator := sessionstore.NewCached(lossy, i.cache, halfMinute, weekly)
			if _, err := rotator.Rotate(t.Context(), id, idOf("new"), store.Change{}); !errors.Is(err, answer) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := peer.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("%s: the old id is served: %v", name, err)
			}
			if rec, err := peer.Load(t.Context(), idOf("new"), 0); err != nil || rec.Version != 2 {
				t.Errorf("%s: the new id: %d, %v", name, rec.Version, err)
			}
		}

		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		i.store.down("Rotate")
		_, _ = i.Rotate(t.Context(), id, idOf("new"), store.Change{})
		i.store.asked()
		i.load(id, "") // it goes on under the old one
	})
}

// losing loses the answers of some calls: the call has had its effect.
type losing struct {
	store.Store
	lost    func(method string) bool
	refuses func(store.Draft) error // a Create, which has no effect then
}

func answered[T any](l *losing, method string, v T, err error) (T, error) {
	if err == nil && l.lost(method) {
		var zero T
		return zero, errLost
	}
	return v, err
}

func (l *losing) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if l.refuses != nil {
		if err := l.refuses(d); err != nil {
			return store.Record{}, err
		}
	}
	rec, err := l.Store.Create(ctx, d)
	return answered(l, "Create", rec, err)
}

func (l *losing) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Save(ctx, id, c)
	return answered(l, "Save", rec, err)
}

func (l *losing) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Rotate(ctx, old, id, c)
	return answered(l, "Rotate", rec, err)
}

func (l *losing) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	r, err := l.Store.Delete(ctx, id)
	return answered(l, "Delete", r, err)
}
