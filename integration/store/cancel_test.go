package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestACallerWhoLeavesTheQueue(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(10)
	release := c.jamSaves()
	leaver, leave := context.WithCancel(t.Context())
	defer leave()

	// When all are queued, one leaves while the others wait. It lets the others
	// continue.
	c.together(len(ids), leave, func(ctx context.Context, i int) {
		if i != 5 {
			rec, err := c.store.Save(ctx, ids[i], setting("saved", i))
			if err != nil || rec.Version != 2 {
				t.Errorf("neighbour %d: %v", i, err)
			}
			return
		}
		defer release()
		if _, err := c.store.Save(&testkit.Waiting{
			Context: leaver, Notice: ctx.(*testkit.Waiting).Notice,
		},
			ids[i], setting("saved", i)); !errors.Is(err, context.Canceled) {
			t.Errorf("the leaver: %v", err)
		}
		if n := pgtest.One[int](t, c.admin, waiting); n != inFlight {
			t.Errorf("the leaver waited: only %d of %d slots are taken", n, inFlight)
		}
	})
	if rec := c.load(ids[5]); rec.Version != 1 {
		t.Error("a save whose caller had left was made all the same")
	}
}

// held is a shared statement that waits for one row, with its calls.
type held struct {
	*crew
	ids     []store.ID
	blocked int                  // index of the call whose row it waits for
	errs    []error              // of the calls
	cancel  []context.CancelFunc // of the calls
	left    []chan struct{}      // closed when a call has returned
	unlock  func()
	calls   sync.WaitGroup
}

// holdSaves begins n saves in one statement, which waits for a row.
func holdSaves(t *testing.T, n int) *held {
	t.Helper()
	h := &held{
		crew: hire(t), blocked: n / 2, errs: make([]error, n),
		cancel: make([]context.CancelFunc, n),
	}
	h.ids = h.sessions(n)
	hold := h.holdUpdates(h.ids[h.blocked])
	release := h.jamSaves()
	var queued sync.WaitGroup
	queued.Add(n)
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		h.cancel[i] = cancel
		t.Cleanup(cancel)
		left := make(chan struct{})
		h.left = append(h.left, left)
		h.calls.Go(func() {
			defer close(left)
			_, h.errs[i] = h.store.Save(&testkit.Waiting{
				Context: ctx, Notice: sync.OnceFunc(queued.Done),
			}, h.ids[i],
				setting("saved", i))
		})
	}
	queued.Wait()
	h.unlock = hold()
	release()
	testkit.Eventually(t, "the shared statement waits for the row", func() bool {
		return pgtest.One[int](t, h.admin, waiting) == 1
	})
	h.wantOne()
	return h
}

// wantOne fails unless the calls shared one statement.
func (h *held) wantOne() {
	h.t.Helper()
	if n := h.sent.Count("SessionSaveMany") - inFlight; n != 1 {
		h.t.Fatalf("%d statements were shared, want 1", n)
	}
}

// holdUpdates makes updates of a session wait in the middle of their statement,
// from hold until release.
func (c *crew) holdUpdates(id store.ID) (hold func() (release func())) {
	c.t.Helper()
	for _, sql := range []string{
		`CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
			$$BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(7); RETURN NEW; END$$`,
		fmt.Sprintf(`CREATE TRIGGER hold BEFORE UPDATE ON pgsession.sessions FOR EACH ROW WHEN (OLD.id = '\x%x') EXECUTE FUNCTION public.hold()`, id[:]),
	} {
		pgtest.Exec(c.t, c.admin, sql)
	}
	return func() func() {
		tx, err := c.admin.Begin(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := tx.Exec(c.t.Context(), "SELECT pg_advisory_xact_lock(7)"); err != nil {
			c.t.Fatal(err)
		}
		release := sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
		c.t.Cleanup(release)
		return release
	}
}

func TestACallerWhoLeavesASharedStatement(t *testing.T) {
	t.Parallel()
	h := holdSaves(t, 10)
	h.cancel[2]()
	<-h.left[2] // at once: the statement still waits
	if !errors.Is(h.errs[2], context.Canceled) ||
		!errors.Is(h.errs[2], sessionstore.ErrOutcomeUnknown) {
		t.Errorf("the leaver: %v, want ErrOutcomeUnknown: the statement goes on", h.errs[2])
	}
	if n := pgtest.One[int](t, h.admin, waiting); n != 1 {
		t.Error("the leaver took the statement along")
	}
	h.unlock()
	h.calls.Wait()
	for i, err := range h.errs {
		if i != 2 && err != nil {
			t.Errorf("neighbour %d: %v", i, err)
		}
		if rec := h.load(h.ids[i]); rec.Version != 2 {
			t.Errorf("session %d has version %d", i, rec.Version)
		}
	}
}

// When no caller is left, the statement is cancelled.
func TestAllCallersLeaveASharedStatement(t *testing.T) {
	t.Parallel()
	h := holdSaves(t, 5)
	for _, cancel := range h.cancel {
		cancel()
	}
	h.calls.Wait()
	testkit.Eventually(t, "the server stops, too", func() bool {
		return pgtest.One[int](t, h.admin, waiting) == 0
	})
	h.unlock()
	for i, id := range h.ids {
		if !errors.Is(h.errs[i], context.Canceled) {
			t.Errorf("call %d: %v", i, h.errs[i])
		}
		if h.load(id).Version != 1 {
			t.Errorf("call %d was carried out", i)
		}
	}
}

// A cancelled statement had no effect, so its calls are made again, each alone.
func TestACancelledSharedStatementFailsNoCall(t *testing.T) {
	t.Parallel()
	h := holdSaves(t, 10)
	const cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore' AND wait_event_type = 'Lock'"
	if n := pgtest.One[int](t, h.admin, cancel); n != 1 {
		t.Fatalf("%d statements cancelled, want 1", n)
	}
	testkit.Eventually(t, "the server has refused the statement", func() bool {
		return h.sent.Refused("57014") == 1
	})
	h.unlock()
	h.calls.Wait()
	for i, err := range h.errs {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
		if rec := h.load(h.ids[i]); rec.Version != 2 || read[int](t, rec, "saved") != i {
			t.Errorf("call %d: version %d", i, rec.Version)
		}
	}
}

// The outcome of a statement whose connection died is unknown: its calls are
// not repeated.
func TestAKilledSharedStatementIsNotRepeated(t *testing.T) {
	t.Parallel()
	h := holdSaves(t, 5)
	const kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessionstore' AND wait_event_type = 'Lock'"
	if n := pgtest.One[int](t, h.admin, kill); n != 1 {
		t.Fatalf("%d connections killed, want 1", n)
	}
	h.calls.Wait()
	h.unlock()
	for i, err := range h.errs {
		if !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("call %d: %v, want ErrUnavailable", i, err)
		}
		if rec := h.load(h.ids[i]); rec.Version != 1 {
			t.Errorf("call %d: version %d", i, rec.Version)
		}
	}
}
