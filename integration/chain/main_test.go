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
	"fmt"
	"os"
	"testing"
	"time"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == fillerCommand {
		filler()
		return
	}
	if os.Getenv("TEST_DATABASE_URL") == "" {
		fmt.Fprintln(os.Stderr, "TEST_DATABASE_URL is not set: run the tests with `make test`")
		os.Exit(1)
	}
	// Throwaway servers are wanted as such: no test may stop a server that somebody named, nor one in a container.
	_ = os.Unsetenv("REDIS_URL")
	_ = os.Unsetenv("DATABASE_URL")
	_ = os.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	os.Exit(m.Run())
}

// eventually waits until something is so. It asks again and again, rather than for a time that would be enough.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); !so(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be: ", what)
		}
	}
}
