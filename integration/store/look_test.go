package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// sharedLogins are creates of one user each that share a statement. It waits in
// the middle until release.
type sharedLogins struct {
	*crew
	ids     []store.ID
	errs    []error
	release func()
	calls   sync.WaitGroup
}

func userOf(i int) string { return fmt.Sprintf("user%d", i) }

func holdLogins(t *testing.T, n int) *sharedLogins {
	t.Helper()
	l := &sharedLogins{crew: hire(t), errs: make([]error, n)}
	for range n {
		l.ids = append(l.ids, testkit.NewID())
	}
	for _, sql := range []string{
		`CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
			$$BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(7); RETURN NEW; END$$`,
		fmt.Sprintf(`CREATE TRIGGER hold BEFORE INSERT ON pgsession.sessions FOR EACH ROW WHEN (NEW.id = '\x%x') EXECUTE FUNCTION public.hold()`, l.ids[n/2][:]),
	} {
		pgtest.Exec(t, l.admin, sql)
	}
	tx, err := l.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(7)"); err != nil {
		t.Fatal(err)
	}
	l.release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(l.release)
	start := l.jamCreates()
	var queued sync.WaitGroup
	queued.Add(n)
	for i := range n {
		l.calls.Go(func() {
			ctx := &testkit.Waiting{Context: t.Context(), Notice: sync.OnceFunc(queued.Done)}
			_, l.errs[i] = l.store.Create(ctx, store.Draft{
				ID: l.ids[i], UserID: userOf(i), Began: store.BeganHere(time.Now()),
			})
		})
	}
	queued.Wait()
	start()
	testkit.Eventually(t, "the shared statement waits", func() bool {
		return pgtest.One[int](t, l.admin, waiting) == 1
	})
	l.wantShared("SessionCreate", n)
	return l
}

// Logins that share a statement share the look for marks after it, too.
func TestSharedLoginsLookOnce(t *testing.T) {
	t.Parallel()
	l := holdLogins(t, 10)
	l.release()
	l.calls.Wait()
	for i, err := range l.errs {
		if err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
	if n := l.sent.Count("MarkLook"); n != 1 {
		t.Errorf("they looked %d times, want once", n)
	}
}

// A revoke that commits while the shared statement runs does not see its rows.
// So the look after the statement must find its mark.
func TestARevokeWhileLoginsShareAStatement(t *testing.T) {
	t.Parallel()
	l := holdLogins(t, 10)
	peer, _, _ := l.another(timeout)
	for _, i := range []int{2, 7} {
		if _, _, err := peer.Revoke(t.Context(), store.Selection{UserID: userOf(i)}); err != nil {
			t.Fatal(err)
		}
	}
	l.release()
	l.calls.Wait()
	for i, err := range l.errs {
		_, load := l.store.Load(t.Context(), l.ids[i], 0)
		switch revoked := i == 2 || i == 7; {
		case revoked && (!errors.Is(err, store.ErrRevoked) ||
			!errors.Is(load, sessionstore.ErrNotFound)):
			t.Errorf("the revoked login %d: %v, then Load: %v", i, err, load)
		case !revoked && (err != nil || load != nil):
			t.Errorf("login %d: %v, then Load: %v", i, err, load)
		}
	}
	if n := l.sent.Count("MarkLook"); n != 1 {
		t.Errorf("they looked %d times, want once", n)
	}
}

// The logins are written when the connection of their look dies. They look
// again, and the revoke that came meanwhile counts.
func TestALookThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	l := holdLogins(t, 5)
	peer, _, _ := l.another(timeout)
	if _, _, err := peer.Revoke(t.Context(), store.Selection{UserID: userOf(1)}); err != nil {
		t.Fatal(err)
	}
	tx, err := l.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock := sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	defer unlock()
	locked := make(chan error, 1)
	go func() {
		_, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.marks IN ACCESS EXCLUSIVE MODE")
		locked <- err
	}()
	const queued = "SELECT count(*) FROM pg_locks WHERE NOT granted" +
		" AND relation = 'pgsession.marks'::regclass AND database =" +
		" (SELECT oid FROM pg_database WHERE datname = current_database())"
	testkit.Eventually(t, "a lock waits for the shared statement", func() bool {
		return pgtest.One[int](t, l.admin, queued) == 1
	})
	l.release()
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	looks := func(n int) func() bool {
		return func() bool { return l.sent.Count("MarkLook") >= n }
	}
	testkit.Eventually(t, "the look waits for the lock", func() bool {
		return looks(1)() && pgtest.One[int](t, l.admin, waiting) == 1
	})
	if n := l.kill("wait_event_type = 'Lock'"); n != 1 {
		t.Fatalf("%d connections killed, want 1", n)
	}
	testkit.Eventually(t, "the logins look again", looks(2))
	unlock()
	l.calls.Wait()
	for i, err := range l.errs {
		if i == 1 && !errors.Is(err, store.ErrRevoked) || i != 1 && err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
}
