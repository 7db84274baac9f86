package browser_test

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
	production  = "APP_ENV=production"
	development = "APP_ENV=development"
	withSecret  = "SESSION_SECRET=d3a1f0c47be95268d3a1f0c47be95268"
)

// app is a process of the demo. It trusts loopback as a proxy.
type app struct {
	url string

	mu        sync.Mutex
	output    bytes.Buffer
	said      bool
	listening chan string
}

var listeningOn = regexp.MustCompile(`(?m)^webapp: listening on (http://\S+)$`)

// Write takes the process's output, and finds the line with the address where
// it listens.
func (a *app) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.output.Write(p)
	if found := listeningOn.FindSubmatch(a.output.Bytes()); found != nil && !a.said {
		a.said = true
		a.listening <- string(found[1])
	}
	return len(p), nil
}

func (a *app) log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.output.String()
}

// start starts the demo with these variables and waits until it listens.
func start(t *testing.T, environment ...string) *app {
	t.Helper()
	a := &app{listening: make(chan string, 1)}
	cmd := exec.Command(program)
	cmd.Env = append([]string{"ADDR=127.0.0.1:0", "TRUSTED_PROXIES=127.0.0.1", "PATH=" +
		os.Getenv("PATH")}, environment...)
	cmd.Stdout, cmd.Stderr = a, a
	running, err := process.Start(cmd, process.Kin{Orphaned: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(testkit.Patience, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if log := a.log(); strings.Contains(log, "panic") || strings.Contains(log, "cut off") {
			t.Errorf("the app has a fault:\n%s", log)
		}
	})
	select {
	case a.url = <-a.listening:
	case <-running.Done():
		t.Fatalf("the app ended with status %d:\n%s", running.Status(), a.log())
	case <-time.After(testkit.Patience):
		t.Fatalf("the app does not listen:\n%s", a.log())
	}
	return a
}
