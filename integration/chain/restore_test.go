package chain_test

import (
	"context"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// An emergency's sessions are restored in few statements.
func TestAnEmergencysSessionsShareStatements(t *testing.T) {
	t.Parallel()
	const sessions = 1000
	r := newRig(t)
	i := r.open(withoutRedis)
	i.toPostgres.down()
	testkit.Eventually(t, "the emergency begins", func() bool {
		_, _ = i.Load(t.Context(), testkit.NewID(), 0)
		return !i.manager.Metrics().Emergency.Since.IsZero()
	})
	ids := make([]store.ID, sessions)
	for n := range ids {
		ids[n] = testkit.NewID()
		user := ""
		if n%2 == 0 {
			user = "alice"
		}
		_, err := i.Create(context.Background(), store.Draft{ID: ids[n], UserID: user})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := i.manager.Metrics().Postgres
	i.toPostgres.heal()
	testkit.Eventually(t, "the emergency ends", func() bool {
		return i.manager.Metrics().Emergency.Since.IsZero()
	})
	after := i.manager.Metrics().Postgres
	if n := after.Creates.Statements - before.Creates.Statements; n > sessions/10 {
		t.Errorf("%d sessions were created by %d statements", sessions, n)
	}
	if n := after.Rotates.Statements - before.Rotates.Statements; n > sessions/10 {
		t.Errorf("%d sessions got their ids by %d statements", sessions, n)
	}
	for _, id := range ids {
		if _, err := i.Load(t.Context(), id, 0); err != nil {
			t.Errorf("Load: %v", err)
		}
	}
}
