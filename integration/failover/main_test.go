// Package failover_test kills, freezes and demotes a Postgres that has a standby, under the load of a store. The servers
// are throwaway ones, made of the machine's own Postgres programs; pg_basebackup must be among them.
//
// `make test` kills one primary, `make test/all` has one round of each kind and
// `make test/failover` as many as ROUNDS says.
package failover_test

import (
	"flag"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

var rounds = flag.Int("rounds", 1, "fail over so many times in each test that counts rounds")

func TestMain(m *testing.M) { testkit.Main(m, testkit.OwnServers) }
