// Package chain_test runs the chain Redis -> Postgres -> memory on real servers whose connections it cuts, holds up and
// fills with garbage, through the public interface of sessionstore. Postgres is the one in TEST_DATABASE_URL, where each
// test makes a database of its own; a test that is rough with Redis starts its own.
//
// toxiproxy stands between an instance and a server, in this process: connections can be hung, slowed down or cut in one
// direction for one instance, which no signal to a server does, and an answer can be lost when its change is committed.
// It is what others test with, and brings a log and metrics along that are of no use here. porcupine decides whether what
// concurrent callers saw can have come of one register; a search of our own would have to be shown to be right first, and
// it needs nothing else. Both are pinned, and dependencies of this module alone.
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
