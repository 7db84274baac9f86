package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// Three managers prune: one at a time.
func TestThreeManagersPruneOneAtATime(t *testing.T) {
	t.Parallel()
	c := hire(t)
	// several batches, and few enough for a busy machine
	const sessions = 350
	pgtest.Exec(t, c.admin, pgtest.Fill, sessions)

	var managers []*sessionstore.Manager
	var sent []*testkit.Statements
	for range 3 {
		s := &testkit.Statements{}
		pool := pgtest.Pool(t, c.url, func(pc *pgxpool.Config) {
			pc.ConnConfig.Tracer = s
			pc.ConnConfig.RuntimeParams["application_name"] = "sessionstore"
		})
		cfg := config("")
		cfg.PruneInterval = 10 * time.Millisecond
		m, err := sessionstore.New(t.Context(), pool, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if h := m.Health(t.Context()); h.Status != "ok" || h.LastPruneAge != nil {
			t.Errorf("before the first prune: %+v", h)
		}
		managers, sent = append(managers, m), append(sent, s)
	}

	// The first to prune waits to delete. The others skip it each time, and
	// delete nothing.
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.sessions IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for _, m := range managers {
		running.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	asked := func(s *testkit.Statements) int { return s.Count("ExpiryPrune") }
	testkit.Eventually(t, "one is stuck and the others go round", func() bool {
		busy := 0
		for _, s := range sent {
			if asked(s) >= 5 {
				busy++
			}
		}
		return busy == 2 && pgtest.One[int](t, c.admin, waiting) > 0
	})
	if n := pgtest.One[int](t, c.admin, waiting); n != 1 {
		t.Errorf("%d of them prune at a time", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	testkit.Eventually(t, "all is pruned", func() bool {
		return pgtest.One[int](t, c.admin, pgtest.Expired) == 0
	})
	for _, s := range sent {
		// A prune that is ended at its COMMIT gets no answer.
		testkit.Eventually(t, "it has heard of what it deleted", s.Answered)
	}
	stop()
	running.Wait()
	total := int64(0)
	for _, m := range managers {
		total += m.CountSessions(sessionstore.EventPruned)
		if n := m.Count(sessionstore.EventPruneFailed); n != 0 {
			t.Errorf("%d prunes failed", n)
		}
	}
	if total != sessions {
		t.Errorf("they say that they deleted %d sessions, want %d", total, sessions)
	}
	if n := pgtest.One[int](t, c.admin,
		pgtest.Pruned); n != sessions {
		t.Errorf("the database says %d", n)
	}
	if n := pgtest.One[int](t, c.admin, pgtest.Alive); n != sessions {
		t.Errorf("%d sessions are alive, want %d", n, sessions)
	}
}

func TestAnotherInstanceSeesThePrune(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, pgtest.Fill, 10)
	open := func() *sessionstore.Manager {
		m, err := sessionstore.New(t.Context(), c.pool, config(""))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if n, err := open().Prune(t.Context()); n != 10 || err != nil {
		t.Fatalf("pruned %d: %v", n, err)
	}
	h := open().Health(t.Context())
	if h.LastPruneAge == nil || *h.LastPruneAge < 0 || *h.LastPruneAge > timeout.Seconds() {
		t.Errorf("the prune's age is %v", h.LastPruneAge)
	}
	if h.Sessions == nil || h.Sessions.Total != 10 || h.Sessions.Active != 10 ||
		h.Sessions.Expired != 0 {
		t.Errorf("counts: %+v", h.Sessions)
	}
	pgtest.Exec(t, c.admin,
		"UPDATE pgsession.prune_state SET last_prune_at = now() - interval '1 hour'")
	if h = open().Health(t.Context()); h.LastPruneAge == nil || *h.LastPruneAge < 3600 ||
		*h.LastPruneAge > 3600+timeout.Seconds() {
		t.Errorf("an hour later the prune's age is %v", h.LastPruneAge)
	}
}

// A prune deletes in batches, each a transaction of its own. If it is ended
// between two, what it has deleted stays deleted.
func TestAPruneIsEndedInBetween(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, pgtest.Fill, 2500)
	m, err := sessionstore.New(t.Context(), c.pool, config(""))
	if err != nil {
		t.Fatal(err)
	}
	// The 1,801st row to be deleted is held.
	release := pgtest.HoldDelete(t, c.admin, "sha256('expired 700')")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pruned := make(chan int, 1)
	go func() {
		n, err := m.Prune(ctx)
		if err == nil {
			t.Error("no error")
		}
		pruned <- n
	}()
	testkit.Eventually(t, "a batch waits", func() bool {
		return pgtest.One[int](t, c.admin, waiting) == 1
	})
	stop()
	if n := <-pruned; n != 1800 {
		t.Errorf("it says that it deleted %d, want 1800", n)
	}
	if n := pgtest.One[int](t, c.admin, pgtest.Expired); n != 700 {
		t.Errorf("%d expired sessions are left, want 700", n)
	}
	testkit.Eventually(t, "the server has given up, too", func() bool {
		return pgtest.One[int](t, c.admin, connections+" AND state <> 'idle'") == 0
	})
	release()
	if n, err := m.Prune(t.Context()); n != 700 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

// The prune deletes marks that are older than any session can be.
func TestPruneTakesOldMarks(t *testing.T) {
	store, pool := open(t)
	pgtest.Exec(t, pool, `INSERT INTO pgsession.marks (id, key, revoked_at)
		SELECT substr(sha256(convert_to(i::text, 'UTF8')), 1, 16), sha256('k'), now() - make_interval(days => 395 + i) FROM generate_series(1, 10) AS i`)
	if _, ok, err := store.Prune(t.Context(), 100); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.marks"); n != 4 && n != 5 {
		t.Errorf("%d marks are left, want those of 400 days", n)
	}
}
