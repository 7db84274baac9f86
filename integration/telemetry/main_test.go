// Package telemetry_test looks at what otelsession reports of a chain of real
// servers, as Prometheus would see it and as spans. It compares the dashboard
// and the alert rules with that.
//
// Queries are parsed with Prometheus's own parser, since one of our own would
// have to be shown to be right first. Prometheus needs 200 modules. So this is
// a module of its own: neither an application that uses otelsession nor the
// other integration tests download or compile them.
package telemetry_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
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
