package ops_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

// kill -9 ends the process that prunes, and Postgres restarts all others, as
// after any crash. Committed batches stay, the open one is undone, and the lock
// of the prune is free.
func TestAPruneThatCrashesHarmsNothing(t *testing.T) {
	// A server of its own, since no other test survives this. It is never in a
	// container, whose processes have other numbers.
	t.Setenv("DATABASE_URL", "")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	server, err := servers.Postgres(t.Context(), servers.Options{Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	pool := pgtest.Pool(t, server.URL)
	migrated(t, pool)
	pgtest.Exec(t, pool, pgtest.Fill, 100)
	// The 65th to be deleted: the oldest is deleted first.
	pgtest.HoldDelete(t, pool, "sha256('expired 36')")
	failed := make(chan error, 1)
	go func() {
		_, err := pool.Exec(context.Background(), "CALL pgsession.prune(batch_rows => 10)")
		failed <- err
	}()
	testkit.Eventually(t, "it waits in the seventh batch", func() bool {
		return pgtest.One[int](t, pool, waiting) == 1
	})
	// The postmaster stays, and starts everything else again.
	const checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
	before := pgtest.One[int](t, pool, checkpointer)
	pid := pgtest.One[int](t, pool, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("it was not killed")
	}
	pool.Reset()
	testkit.Eventually(t, "the server has started all over", func() bool {
		var now int
		err := pool.QueryRow(t.Context(), checkpointer).Scan(&now)
		return err == nil && now != before
	})
	if n := pgtest.One[int](t, pool, pgtest.Expired); n != 40 {
		t.Errorf("%d are left, want 40", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Pruned); n != 60 {
		t.Errorf("the record says %d, want 60", n)
	}
	pgtest.Exec(t, pool, "DROP TRIGGER hold ON pgsession.sessions")
	if n := prune(t, pool, ""); n != 40 {
		t.Errorf("the next one deleted %d, want 40", n)
	}
	if n := pgtest.One[int](t, pool, pgtest.Alive); n != 100 {
		t.Errorf("%d are alive, want 100", n)
	}
}
