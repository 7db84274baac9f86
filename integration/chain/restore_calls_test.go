package chain_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Many sessions are restored while another transaction locks one row. No other
// session waits, and a revoke spares the one that it excepts.
//
// Slow: it makes and restores 6,400 sessions.
func TestSlowCallsWhileSessionsAreRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutRedis, impatient(5*time.Second))
	locked, free := i.create(t), i.create(t)
	i.toPostgres.down()
	i.emergency(t)
	spared := testkit.NewID()
	if _, err := i.Create(t.Context(), store.Draft{ID: spared, UserID: "bob"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 100 {
				i.create(t)
			}
		})
	}
	wg.Wait()
	tx, err := r.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		"SELECT FROM pgsession.sessions WHERE id = $1 FOR UPDATE", locked[:]); err != nil {
		t.Fatal(err)
	}
	i.toPostgres.heal()
	testkit.Eventually(t, "sessions are being restored", func() bool {
		return i.manager.Store().Name() == "postgres"
	})
	if rec, err := i.Load(t.Context(), spared, 0); err != nil || !rec.Emergency {
		t.Logf("the session that is spared was restored first: %v", err)
	}
	if _, _, err := i.Revoke(t.Context(),
		store.Selection{UserID: "bob", Except: spared, Mark: store.MarkID{1}}); err != nil {
		t.Fatal(err)
	}
	saved := make(chan error)
	go func() {
		_, err := i.Save(context.Background(), locked, setting("k", 1))
		saved <- err
	}()
	for {
		select {
		case err := <-saved:
			if !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("the save of the locked row: %v", err)
			}
			i.restored(t)
			if _, err := i.Load(t.Context(), spared, 0); err != nil {
				t.Errorf("the session that was spared: %v", err)
			}
			return
		case <-time.After(5 * time.Millisecond):
			began := time.Now()
			_, err := i.Load(context.Background(), free, 0)
			if err != nil || time.Since(began) > 4*time.Second {
				t.Fatalf("a load of another session took %v: %v", time.Since(began), err)
			}
		}
	}
}
