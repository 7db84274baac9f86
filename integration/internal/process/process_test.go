package process_test

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
)

func TestStatus(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0":        0,
		"exit 7":        7,
		"kill -TERM $$": 143,
		"kill -KILL $$": 137,
	} {
		p, err := process.Start(exec.Command("sh", "-c", script), process.Kin{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Status(); got != want {
			t.Errorf("%s: status %d, want %d", script, got, want)
		}
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s: a signal after the end: %v", script, err)
		}
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := process.Start(exec.Command("/nonexistent/program"), process.Kin{}); err == nil {
		t.Error("no error")
	}
}

// Stop kills a program that ignores the other signals.
func TestStopKills(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM INT; echo ready; while :; do sleep 1; done`)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(cmd, process.Kin{Apart: true, Orphaned: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if err := p.Stop(50*time.Millisecond, syscall.SIGINT, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := p.Status(); got != 137 {
		t.Errorf("status %d, want 137", got)
	}
}

func TestRunTellsWhatWasPrintedLast(t *testing.T) {
	err := process.Run(t.Context(), exec.Command("sh", "-c", "seq 1 9; echo no disk >&2; exit 3"),
		process.Kin{})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: 6 | 7 | 8 | 9 | no disk") {
		t.Errorf("the error is %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := process.Run(ctx, exec.Command("sleep", "600"), process.Kin{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}
