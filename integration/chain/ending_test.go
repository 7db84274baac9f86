package chain_test

import (
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A tombstone in Redis leads to Postgres, which has the reason.
func TestAnEndingThroughTheCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, other := r.open(), r.open()
	id := one.create(t)
	one.warm(t, id)
	other.warm(t, id)
	if _, err := one.revoke(t, id); err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]*instance{"the instance": one, "another": other} {
		if _, err := i.Load(t.Context(), id, 0); !errors.Is(err, store.ErrEnded) {
			t.Errorf("%s: %v, want ErrEnded", name, err)
		}
	}
	// A load that Redis does not answer in time goes to Postgres at once.
	testkit.Eventually(t, "the tombstone is found", func() bool {
		if _, err := other.Load(t.Context(), id, 0); !errors.Is(err, store.ErrEnded) {
			t.Fatalf("%v, want ErrEnded", err)
		}
		return other.manager.Metrics().Cache.Tombstones > 0
	})
}

// A logout in an emergency is in the journal. Once it is replayed, each
// instance has the reason.
func TestAnEndingOfAnEmergency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cut := r.open(withoutRedis, impatient(10*time.Second))
	whole := r.open(withoutRedis)
	id := cut.create(t)
	cut.toPostgres.down()
	cut.emergency(t)
	if _, err := cut.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Load(t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("in the emergency: %v, want ErrNotFound", err)
	}
	if _, err := whole.Load(t.Context(), id, 0); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	cut.toPostgres.heal()
	cut.restored(t)
	for name, i := range map[string]*instance{"the instance": cut, "another": whole} {
		testkit.Eventually(t, name+" has the reason", func() bool {
			_, err := i.Load(t.Context(), id, 0)
			return errors.Is(err, store.ErrEnded)
		})
	}
}
