package webapp_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// cluster is a throwaway Postgres, for tests that stop it, configure it or read
// its log. The demo connects as the application's role.
type cluster struct {
	*pgtest.Cluster
	url string
	t   *testing.T
}

func newCluster(t *testing.T, settings map[string]string) *cluster {
	t.Helper()
	c := pgtest.NewCluster(t, settings)
	return &cluster{c, pgtest.DemoOn(t, c.URL), t}
}

// with returns the application's URL with more settings, given as name, value,
// name, value.
func (c *cluster) with(settings ...string) string {
	u := parse(c.t, c.url)
	query := u.Query()
	for i := 0; i < len(settings); i += 2 {
		query.Set(settings[i], settings[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *cluster) pool() *pgxpool.Pool { return c.Pool() }
func (c *cluster) log() string         { return c.Log() }
func (c *cluster) stop()               { c.Stop() }
func (c *cluster) restart()            { c.Restart() }
