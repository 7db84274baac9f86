// Package citus_test runs the library on a real Citus: a coordinator and two workers, with the table of sessions
// distributed by db/ops/citus.sql. It skips where no Postgres of this machine has the extension.
package citus_test

import (
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

// Some of the tests stop servers: those that somebody named are not for them.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("DATABASE_URL")
	os.Exit(m.Run())
}

// cluster is a Citus with the table distributed.
type cluster struct {
	nodes       []*pgtest.Cluster // the coordinator first
	application string            // the coordinator's URL, for the application's role
	roles       *pgtest.Roles
	admin       *pgxpool.Pool // of the coordinator, of a superuser
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{nodes: pgtest.NewCitus(t)}
	c.admin = c.nodes[0].Pool()
	c.roles = pgtest.NewRolesOn(t, c.nodes[0].URL)
	c.roles.OwnerLogsIn(t)
	c.nodes[0].Distribute()
	c.application = c.roles.URL(t, c.roles.App)
	return c
}

// empty leaves no session and no record of a prune.
func (c *cluster) empty(t *testing.T) {
	t.Helper()
	pgtest.Exec(t, c.admin, "TRUNCATE pgsession.sessions")
	pgtest.Exec(t, c.admin, "UPDATE pgsession.prune_state SET last_prune_at = NULL, pruned_total = 0")
}

func TestOnCitus(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"the contract", keepsTheContract},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.empty(t)
			test.run(t, c)
		})
	}
}
