// Package webapp_test runs the demo as its users do: the built program as a process of its own, a real Postgres, and
// requests over the wire. The Postgres is the one in TEST_DATABASE_URL, where each test makes a database of its own;
// tests that stop or reconfigure a server start a throwaway one.
package webapp_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

// program is the built demo, with the race detector in it.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("TEST_DATABASE_URL") == "" {
		fmt.Fprintln(os.Stderr, "TEST_DATABASE_URL is not set: run the tests with `make test`")
		return 1
	}
	// Throwaway servers are wanted as such: no test may stop a server that somebody named, nor one in a container.
	_ = os.Unsetenv("DATABASE_URL")
	_ = os.Unsetenv("REDIS_URL")
	_ = os.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")

	dir, err := os.MkdirTemp("", "webapp")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()

	program = filepath.Join(dir, "webapp")
	build := exec.Command("go", "build", "-race", "-o", program, "./examples/webapp")
	build.Dir = filepath.Join("..", "..") // the module the demo belongs to, with its own dependencies
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, output)
		return 1
	}
	return m.Run()
}

// database makes one with the schema of this version. It returns its URL for the application's role, which is what an
// app is given, and a superuser's pool for the test's own questions.
func database(t testing.TB) (string, *pgxpool.Pool) {
	t.Helper()
	databaseURL := pgtest.Database(t)
	return pgtest.Demo(t, databaseURL), pgtest.Pool(t, databaseURL)
}

// application is the URL of database alone.
func application(t testing.TB) string {
	t.Helper()
	return pgtest.Demo(t, pgtest.Database(t))
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
