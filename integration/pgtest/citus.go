package pgtest

import (
	"errors"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/servers"
)

// NewCitus starts a Citus cluster: first a coordinator, then two workers. The
// coordinator has the schema of this version, and the caller calls Distribute.
// It skips where no Postgres of this machine has Citus.
func NewCitus(t testing.TB, settings map[string]string) []*Cluster {
	t.Helper()
	started, err := servers.Citus(t.Context(), servers.Options{Settings: settings, Logf: t.Logf}, 2)
	if errors.Is(err, servers.ErrAbsent) {
		t.Skipf("NOT RUN ON CITUS: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*Cluster
	for _, server := range started {
		nodes = append(nodes, newCluster(t, server))
	}
	pool := nodes[0].Pool()
	defer pool.Close()
	if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	return nodes
}

// Distribute runs db/ops/citus.sql as a superuser of the database.
func (c *Cluster) Distribute() {
	c.t.Helper()
	pool := c.Pool()
	defer pool.Close()
	Exec(c.t, pool, Ops(c.t, "citus.sql"), pgx.QueryExecModeSimpleProtocol)
}

// Port returns the port of the server.
func (c *Cluster) Port() string {
	c.t.Helper()
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	return strconv.Itoa(int(cfg.Port))
}
