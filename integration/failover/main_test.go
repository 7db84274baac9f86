// Package failover_test kills, freezes and demotes a Postgres that has a
// standby, under the load of a store. The servers are throwaway ones, made with
// the machine's own Postgres programs, which must include pg_basebackup.
//
// `make test` kills one primary, `make test/all` has one round of each kind and
// `make test/failover` runs ROUNDS rounds.
package failover_test

import (
	"flag"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

var rounds = flag.Int("rounds", 1, "fail over so many times in each test that counts rounds")

func TestMain(m *testing.M) { testkit.Main(m, testkit.OwnServers) }
