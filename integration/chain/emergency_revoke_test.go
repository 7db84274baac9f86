package chain_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A login of an emergency is restored although the user's sessions were revoked
// days before. Without a sliding window it is not refused either.
func TestALoginOfAnEmergencyAfterARevoke(t *testing.T) {
	t.Parallel()
	for _, fixed := range []bool{false, true} {
		t.Run(fmt.Sprintf("fixed timeout %t", fixed), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i := r.open(withoutRedis, impatient(10*time.Second), func(c *sessionstore.Config) {
				c.DisableSliding = fixed
			})
			s := i.serve(t)
			if _, err := i.manager.RevokeUser(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			pgtest.Exec(t, r.admin,
				"UPDATE pgsession.marks SET revoked_at = revoked_at - interval '10 days'")
			i.toPostgres.down()
			i.emergency(t)
			s.want("/login", http.StatusOK, "alice")
			i.toPostgres.heal()
			i.restored(t)
			s.want("/me", http.StatusOK, "alice")
		})
	}
}

// A login began before a revoke. It reached the memory of another instance
// after the revoke, by more than the StoreTimeout. It does not survive the
// emergency.
func TestALoginOfAnEmergencyThatBeganBeforeARevoke(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cut, whole := r.open(withoutRedis, impatient(2*time.Second)), r.open(withoutRedis)
	cut.toPostgres.down()
	cut.emergency(t)
	began := time.Now()
	if _, err := whole.manager.RevokeUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the revoke is older than the StoreTimeout", func() bool {
		return pgtest.One[bool](t, r.admin,
			"SELECT max(revoked_at) + interval '1.5 s' < now() FROM pgsession.marks")
	})
	created, rotated, moved := testkit.NewID(), testkit.NewID(), testkit.NewID()
	login := store.BeganHere(began)
	if _, err := cut.Create(t.Context(),
		store.Draft{ID: created, UserID: "alice", Began: login}); err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Create(t.Context(), store.Draft{ID: rotated}); err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Rotate(t.Context(), rotated, moved,
		store.Change{UserID: "alice", Began: login}); err != nil {
		t.Fatal(err)
	}
	cut.toPostgres.heal()
	cut.restored(t)
	for _, id := range []store.ID{created, moved} {
		if _, err := cut.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("a login that began before the revoke: %v", err)
		}
	}
}

// emergency waits until the instance has found that Postgres is unavailable.
func (i *instance) emergency(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "the emergency begins", func() bool {
		_, _ = i.Load(t.Context(), testkit.NewID(), 0)
		return i.manager.Store().Name() == "memory"
	})
}

// restored waits until the sessions of the emergency are in Postgres.
func (i *instance) restored(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "the emergency ends", func() bool {
		return i.manager.Metrics().Emergency.Since.IsZero()
	})
}
