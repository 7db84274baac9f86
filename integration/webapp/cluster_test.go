package webapp_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// cluster is a throwaway Postgres, for tests that stop it, configure it or read its log.
type cluster struct {
	*pgtest.Cluster
	url string
}

func newCluster(t *testing.T, settings map[string]string) *cluster {
	t.Helper()
	c := pgtest.NewCluster(t, settings)
	return &cluster{c, c.URL}
}

func (c *cluster) pool() *pgxpool.Pool            { return c.Pool() }
func (c *cluster) with(settings ...string) string { return c.With(settings...) }
func (c *cluster) log() string                    { return c.Log() }
func (c *cluster) stop()                          { c.Stop() }
func (c *cluster) restart()                       { c.Restart() }
