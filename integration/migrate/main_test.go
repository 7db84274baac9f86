// Package migrate_test tries the migrations, the schema check and the command on a real Postgres: the one in
// TEST_DATABASE_URL, where each test makes a database of its own. The role needs the right to make databases and roles.
package migrate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the built command.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("TEST_DATABASE_URL") == "" {
		fmt.Fprintln(os.Stderr, "TEST_DATABASE_URL is not set: these tests need a Postgres")
		return 1
	}
	dir, err := os.MkdirTemp("", "migrate")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)

	program = filepath.Join(dir, "migrate")
	build := exec.Command("go", "build", "-o", program, "./cmd/migrate")
	build.Dir = filepath.Join("..", "..") // the module the command belongs to, with its own dependencies
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, output)
		return 1
	}
	return m.Run()
}
