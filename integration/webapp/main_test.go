// Package webapp_test runs the demo as its users do: the built program as a
// process of its own, and requests over the network. The Postgres is the one in
// TEST_DATABASE_URL, where each test makes a database of its own. Tests that
// stop or reconfigure a server start a throwaway one.
package webapp_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// program is the demo, built with the race detector.
var program string

func TestMain(m *testing.M) {
	testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers,
		testkit.Build(&program, "./examples/webapp", "-race"))
}

// database makes a database with the schema of this version. It returns its URL
// for the application's role, which an app gets, and a superuser's pool for the
// test.
func database(t testing.TB) (string, *pgxpool.Pool) {
	t.Helper()
	databaseURL := pgtest.Database(t)
	return pgtest.Demo(t, databaseURL), pgtest.Pool(t, databaseURL)
}

// application returns the URL of database alone.
func application(t testing.TB) string {
	t.Helper()
	return pgtest.Demo(t, pgtest.Database(t))
}
