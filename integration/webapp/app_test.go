package webapp_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
)

const (
	secret      = "d3a1f0c47be95268d3a1f0c47be95268"
	development = "APP_ENV=development"
	production  = "APP_ENV=production"
	staging     = "APP_ENV=staging"
	withSecret  = "SESSION_SECRET=" + secret
)

// app is a process of the demo.
type app struct {
	t       testing.TB
	url     string // of the address where it listens
	output  *output
	process *process.Process
}

// launch starts the demo with these variables and no others, on a free port of
// loopback.
func launch(t testing.TB, environment ...string) *app {
	t.Helper()
	a := &app{t: t, output: &output{listening: make(chan string, 1)}}
	cmd := exec.Command(program)
	cmd.Env = append([]string{"ADDR=127.0.0.1:0", "PATH=" + os.Getenv("PATH")}, environment...)
	cmd.Stdout, cmd.Stderr = a.output, a.output
	started, err := process.Start(cmd, process.Kin{Orphaned: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	a.process = started
	t.Cleanup(func() {
		if err := started.Stop(testkit.Patience, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if log := a.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			t.Errorf("the app has a fault:\n%s", log)
		}
	})
	return a
}

// start starts the demo and waits until it listens.
func start(t testing.TB, environment ...string) *app {
	t.Helper()
	a := launch(t, environment...)
	select {
	case a.url = <-a.output.listening:
	case <-a.process.Done():
		t.Fatalf("the app ended with status %d:\n%s", a.process.Status(), a.log())
	case <-time.After(testkit.Patience):
		t.Fatalf("the app does not listen:\n%s", a.log())
	}
	return a
}

// fails starts the demo and returns its output when it refuses to run.
func fails(t testing.TB, environment ...string) string {
	t.Helper()
	a := launch(t, environment...)
	select {
	case <-a.process.Done():
	case <-time.After(testkit.Patience):
		t.Fatalf("the app runs, or hangs:\n%s", a.log())
	}
	if status := a.process.Status(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	return a.log()
}

// terminate sends SIGTERM.
func (a *app) terminate() {
	a.t.Helper()
	if err := a.process.Signal(syscall.SIGTERM); err != nil {
		a.t.Fatal(err)
	}
}

// ended waits for the process. A process that found a data race also ends with
// a status other than 0.
func (a *app) ended() {
	a.t.Helper()
	select {
	case <-a.process.Done():
	case <-time.After(testkit.Patience):
		a.t.Fatalf("the app does not end:\n%s", a.log())
	}
	if status := a.process.Status(); status != 0 {
		a.t.Errorf("exit status %d, want 0:\n%s", status, a.log())
	}
}

func (a *app) log() string { return a.output.String() }

// output is all that a process has written. It finds the line with the address
// where the process listens.
type output struct {
	listening chan string

	mu   sync.Mutex
	text bytes.Buffer
	said bool
}

var listeningOn = regexp.MustCompile(`(?m)^webapp: listening on (http://\S+)$`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if !o.said {
		if found := listeningOn.FindSubmatch(o.text.Bytes()); found != nil {
			o.said = true
			o.listening <- string(found[1])
		}
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
