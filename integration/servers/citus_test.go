package servers_test

import (
	"errors"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

// Slow: it starts three servers.
func TestSlowCitus(t *testing.T) {
	withoutDocker(t)
	nodes, err := servers.Citus(t.Context(), servers.Options{Logf: t.Logf}, 1)
	if errors.Is(err, servers.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		defer func() { _ = node.Close() }()
		wantLoopback(t, node.URL)
	}
	if got := value(t, nodes[0].URL,
		"SELECT count(*)::text FROM citus_get_active_worker_nodes()"); len(nodes) != 2 ||
		got != "1" {
		t.Errorf("%d nodes, of which %s are workers", len(nodes), got)
	}
	if got := value(t, nodes[0].URL, "SHOW ssl"); got != "off" {
		t.Error("Citus has turned SSL on")
	}
}

func TestNoCitusIsNoFault(t *testing.T) {
	withoutDocker(t)
	t.Setenv("PATH", "")
	_, err := servers.Citus(t.Context(), servers.Bare(servers.Options{Logf: t.Logf}), 1)
	if !errors.Is(err, servers.ErrAbsent) {
		t.Errorf("%v", err)
	}
}
