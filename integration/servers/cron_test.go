package servers_test

import (
	"errors"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

// Slow: it may install a package, and starts a server.
func TestSlowCron(t *testing.T) {
	withoutDocker(t)
	server, err := servers.Cron(t.Context(), servers.Options{Logf: t.Logf})
	if errors.Is(err, servers.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	wantLoopback(t, server.URL)
	if got := value(t, server.URL, "SHOW cron.database_name"); got != "pgsession" {
		t.Errorf("pg_cron lives in %s", got)
	}
	connection := connect(t, server.URL)
	if _, err := connection.Exec(t.Context(), "CREATE EXTENSION pg_cron"); err != nil {
		t.Error(err)
	}
}

func TestNoCronIsNoFault(t *testing.T) {
	withoutDocker(t)
	t.Setenv("PATH", "")
	_, err := servers.Cron(t.Context(), servers.Bare(servers.Options{Logf: t.Logf}))
	if !errors.Is(err, servers.ErrAbsent) {
		t.Errorf("%v", err)
	}
}
