package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Step prepares the tests of a package. dir is a folder that is removed when
// they have run.
type Step func(dir string) error

// Main is the body of a TestMain: it runs the steps in order, then the tests,
// and exits. If a step fails it prints the error and runs no test.
func Main(m *testing.M, steps ...Step) {
	os.Exit(run(m, steps))
}

func run(m *testing.M, steps []Step) int {
	dir, err := os.MkdirTemp("", "testkit")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, step := range steps {
		if err := step(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// NeedPostgres fails if TEST_DATABASE_URL is not set.
func NeedPostgres(string) error {
	if os.Getenv("TEST_DATABASE_URL") == "" {
		return errors.New("TEST_DATABASE_URL is not set: run the tests with `make test`")
	}
	return nil
}

// OwnServers hides Docker and the servers in the environment. Servers that a
// test starts afterwards are processes of this machine. The test may stop,
// freeze and configure them.
func OwnServers(string) error {
	for _, name := range []string{"DATABASE_URL", "REDIS_URL"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return os.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

// Build returns a step that builds a program, such as "./examples/webapp", and
// sets path to it. It takes flags of go build.
func Build(path *string, program string, flags ...string) Step {
	return func(dir string) error {
		*path = filepath.Join(dir, filepath.Base(program))
		args := append([]string{"build", "-o", *path}, flags...)
		build := exec.Command("go", append(args, ".")...)
		// The program's module has its own dependencies.
		build.Dir = filepath.Join("..", "..", program)
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", build, err, output)
		}
		return nil
	}
}
