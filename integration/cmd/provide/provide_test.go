package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

// beProvide makes the test binary provide itself, for tests that kill it.
const beProvide = "PGSESSION_BE_PROVIDE"

func TestMain(m *testing.M) {
	if os.Getenv(beProvide) != "" {
		main()
		return
	}
	for _, variable := range []string{
		"DATABASE_URL", "TEST_DATABASE_URL", "REDIS_URL", "TEST_REDIS_URL",
	} {
		_ = os.Unsetenv(variable)
	}
	// The test covers the same in containers.
	_ = os.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	os.Exit(m.Run())
}

// provide runs it in this process. Signals arrive in signals.
func provide(t *testing.T, signals chan os.Signal,
	args ...string,
) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(args, streams{strings.NewReader(""), &out, &err}, signals)
	t.Log(err.String())
	return status, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	for want, args := range map[int][]string{
		0:           {"-help"},
		statusUsage: {"-no-such-flag", "true"},
	} {
		status, _, stderr := provide(t, nil, args...)
		if status != want || !strings.Contains(stderr, "usage: provide") {
			t.Errorf("%v: status %d, want %d", args, status, want)
		}
	}
	if status, _, _ := provide(t, nil, "-test", "--"); status != statusUsage {
		t.Errorf("without a command: status %d", status)
	}
}

func TestTheCommandGetsTheServers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TEST_REDIS_URL", "redis://not-asked-for")
	status, stdout, stderr := provide(t, nil, "-test", "-no-redis", "-dir", dir, "--", "sh", "-c",
		`pwd; echo "$DATABASE_URL"; echo "$TEST_DATABASE_URL"; echo "<$REDIS_URL$TEST_REDIS_URL>"; exit 7`)
	if status != 7 {
		t.Errorf("status %d, want the command's", status)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 4 {
		t.Fatalf("the command printed %q", stdout)
	}
	got, _ := filepath.EvalSymlinks(lines[0])
	if got == "" || filepath.Base(got) != filepath.Base(dir) {
		t.Errorf("it ran in %s", lines[0])
	}
	if !strings.HasPrefix(lines[1], "postgres://") || lines[1] != lines[2] {
		t.Errorf("DATABASE_URL %s, TEST_DATABASE_URL %s", lines[1], lines[2])
	}
	if lines[3] != "<>" {
		t.Errorf("a Redis it was not to have: %s", lines[3])
	}
	if !strings.HasPrefix(stderr, "provide: postgres: ") || strings.Contains(stderr, lines[1]) {
		t.Errorf("standard error: %s", stderr)
	}
}

// named starts one Postgres for all cases of a test, and names it.
func named(t *testing.T) {
	t.Helper()
	server, err := servers.Postgres(t.Context(), servers.Options{Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("DATABASE_URL", server.URL)
}

func TestACommandThatCannotBeStarted(t *testing.T) {
	named(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{
		"no-such-command":  statusNotFound,
		"/nonexistent/cmd": statusNotFound,
		plain:              statusNotRun,
	} {
		if status, _, _ := provide(t, nil, "-no-redis", command); status != want {
			t.Errorf("%s: status %d, want %d", command, status, want)
		}
	}
}

func TestServersThatCannotBeHad(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://me:s3cret@127.0.0.1:1/app")
	status, _, stderr := provide(t, nil, "sh", "-c", "echo ran")
	if status != statusNoServers || !strings.Contains(stderr, "127.0.0.1:1") ||
		strings.Contains(stderr, "s3cret") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestASignalBeforeTheServersAreThere(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	status, stdout, _ := provide(t, signals, "-no-redis", "echo", "ran")
	if status != 143 || stdout != "" {
		t.Errorf("status %d, printed %q", status, stdout)
	}
}

// sendWhenReady sends signals once the command has printed something.
type sendWhenReady struct {
	to      chan os.Signal
	signals []os.Signal
}

func (s *sendWhenReady) Write(p []byte) (int, error) {
	for _, sig := range s.signals {
		s.to <- sig
	}
	s.signals = nil
	return len(p), nil
}

// Under nohup SIGHUP is ignored. A child's shell can't trap an ignored signal,
// so the tests would wait forever. A signal that this process handles has its
// default in its children.
func init() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

func TestSignalsReachTheCommand(t *testing.T) {
	named(t)
	const wait = `; echo ready; while :; do sleep 0.05; done`
	for name, c := range map[string]struct {
		script  string
		signals []os.Signal
		want    int
	}{
		"SIGTERM ends it": {"true" + wait, []os.Signal{syscall.SIGTERM}, 143},
		"SIGTERM is handled": {
			`trap "exit 42" TERM` + wait, []os.Signal{syscall.SIGTERM}, 42,
		},
		"SIGHUP is handled": {
			`trap "exit 43" HUP` + wait, []os.Signal{syscall.SIGHUP}, 43,
		},
		"the second interrupt kills": {
			`trap "" INT` + wait, []os.Signal{os.Interrupt, os.Interrupt}, 137,
		},
		"an interrupt does not yet": {
			`trap "" INT; trap "exit 44" TERM` + wait,
			[]os.Signal{os.Interrupt, syscall.SIGTERM},
			44,
		},
	} {
		t.Run(name, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			var stderr bytes.Buffer
			std := streams{strings.NewReader(""), &sendWhenReady{signals, c.signals}, &stderr}
			got := run([]string{"-no-redis", "sh", "-c", c.script}, std, signals)
			if got != c.want {
				t.Errorf("status %d, want %d: %s", got, c.want, stderr.String())
			}
		})
	}
}

func TestSettingsReachThePostgres(t *testing.T) {
	j, err := parse([]string{"-set", "fsync=on", "-set", "work_mem=7MB", "true"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := j.options.Settings
	if len(got) != 2 || got["fsync"] != "on" || got["work_mem"] != "7MB" {
		t.Errorf("settings %v", got)
	}
	for _, wrong := range []string{"fsync", "=on"} {
		if _, err := parse([]string{"-set", wrong, "true"}, io.Discard); err == nil {
			t.Errorf("-set %s is accepted", wrong)
		}
	}
}
