package chain_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// openLocal makes an instance with a local cache.
func (r *rig) openLocal() *instance {
	r.t.Helper()
	return r.open(func(cfg *sessionstore.Config) {
		cfg.Cache = sessionstore.CacheConfig{LocalFreshness: freshness}
	})
}

// Two instances with local caches over one Postgres: a hit costs no statement,
// a revoke counts at once in its instance and within the bound in the other,
// and so does a save, for a client that asks at once.
func TestLocalCaches(t *testing.T) {
	r := newRig(t)
	a, b := r.openLocal(), r.openLocal()
	ctx := t.Context()
	if got := a.Name(); got != "local, postgres" {
		t.Errorf("name %q", got)
	}
	id := testkit.NewID()
	_, err := a.Create(ctx, store.Draft{ID: id, UserID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	load := func(i *instance, minVersion int64) (store.Record, error) {
		return i.Load(ctx, id, minVersion)
	}
	// The load is served by the cache unless a pause of this process comes
	// between.
	hits := func() int64 { return b.manager.Metrics().Cache.Hits }
	for hits() == 0 {
		if _, err := load(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	saved, err := a.Save(ctx, id, store.Change{})
	if err != nil || saved.MinVersion != 0 {
		t.Fatalf("minimum version %d, %v", saved.MinVersion, err)
	}
	if rec, err := load(b, math.MaxInt64); err != nil || rec.Version != saved.Version {
		t.Errorf("asked: version %d, %v; want %d", rec.Version, err, saved.Version)
	}

	_, revoked, err := a.Revoke(ctx, store.Selection{UserID: "ann"})
	ended := time.Now()
	if err != nil || !revoked.Committed || revoked.MaxExposure != bound {
		t.Errorf("%+v, %v", revoked, err)
	}
	if _, err := load(a, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the instance that revoked serves it: %v", err)
	}
	for {
		began := time.Now()
		_, err := load(b, 0)
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil || began.Sub(ended) > bound {
			t.Fatalf("%v after the revoke: %v", began.Sub(ended), err)
		}
	}
}
