// Package failover_test kills, freezes and demotes a Postgres that has a standby, under the load of a store. The servers
// are throwaway ones, made of the machine's own Postgres programs; pg_basebackup must be among them.
//
// `make test` runs one round of each kind, `make test/failover` as many as ROUNDS says.
package failover_test

import (
	"flag"
	"os"
	"testing"
	"time"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

var rounds = flag.Int("rounds", 1, "fail over so many times in each test that counts rounds")

func TestMain(m *testing.M) {
	flag.Parse()
	// Throwaway servers are wanted as such: no test may stop a server that somebody named, nor one in a container.
	_ = os.Unsetenv("DATABASE_URL")
	_ = os.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	os.Exit(m.Run())
}

// eventually waits until something is so. It asks again and again, rather than for a time that would be enough.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	within(t, patience, what, so)
}

func within(t testing.TB, limit time.Duration, what string, so func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(limit); !so(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be: ", what)
		}
	}
}
