// Package migrate_test tests the migrations, the schema check and the command
// on a real Postgres: the one in TEST_DATABASE_URL. Each test makes a database
// of its own. The role needs the right to make databases and roles.
package migrate_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// program is the built command, and operator that which ends sessions.
var program, operator string

func TestMain(m *testing.M) {
	testkit.Main(m, testkit.NeedPostgres, testkit.Build(&program, "./cmd/migrate"),
		testkit.Build(&operator, "./cmd/pgsession"))
}
