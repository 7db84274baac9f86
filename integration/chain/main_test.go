// Package chain_test runs the chain Redis -> Postgres -> memory on real
// servers, through the public interface of sessionstore. It cuts connections,
// delays them and fills them with garbage. Each test makes a database on the
// Postgres in TEST_DATABASE_URL. A test that stops, fills or configures Redis
// starts its own.
//
// toxiproxy stands between an instance and a server, in this process. It can
// hang, slow down or cut one instance's connections in one direction, which no
// signal to a server does. It can also lose the reply to a committed change.
//
// porcupine decides whether concurrent outcomes fit one register. A checker of
// our own would have to be verified first. Both are pinned, and dependencies of
// this module alone.
package chain_test

import (
	"os"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == fillerCommand {
		filler()
		return
	}
	testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers)
}
