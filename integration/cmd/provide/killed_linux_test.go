package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// killing is a way in which provide ends.
type killing struct {
	signal syscall.Signal
	status int
	tidy   bool // it had the time to remove its folder
}

var killings = map[string]killing{
	"SIGINT":  {syscall.SIGINT, 130, true},
	"SIGTERM": {syscall.SIGTERM, 143, true},
	"SIGHUP":  {syscall.SIGHUP, 129, true},
	"SIGKILL": {syscall.SIGKILL, -1, false},
}

// However provide ends, no server outlives it.
func TestProvideIsKilled(t *testing.T) {
	isKilled(t, testkit.Only(t, killings, "SIGKILL"))
}

// The same for the signals that it handles.
//
// Slow: each starts a Postgres and a Redis.
func TestSlowProvideIsKilled(t *testing.T) {
	isKilled(t, testkit.Without(t, killings, "SIGKILL"))
}

func isKilled(t *testing.T, killings map[string]killing) {
	for name, c := range killings {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", openFolder(t))
			t.Setenv(beProvide, "yes")
			cmd := exec.Command(os.Args[0], "--", "sh", "-c",
				`echo "$DATABASE_URL"; exec sleep 600`)
			cmd.Stderr = os.Stderr
			// out of the terminal's process group
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			output, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(output).ReadString('\n')
			if err != nil {
				_ = cmd.Process.Kill()
				t.Fatalf("the command did not start: %v", err)
			}
			data := dataFolder(t, strings.TrimSpace(line))
			children := descendants(t, cmd.Process.Pid)
			if len(children) < 3 {
				t.Errorf("only %d processes below provide", len(children))
			}

			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the status is checked below
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			for _, child := range children {
				waitUntil(t, "process "+child.name+" has ended", func() bool {
					return !child.alive()
				})
			}
			if _, err := os.Stat(data); c.tidy && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there", data)
			}
		})
	}
}

// openFolder makes a temporary folder that root's servers can reach, which
// those of the testing package are not.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "provide-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func dataFolder(t *testing.T, target string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var folder string
	if err := conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// child is a process. Its start distinguishes it from a later one with the same
// id.
type child struct {
	id          int
	name, start string
}

// descendants returns all processes below one.
func descendants(t *testing.T, parent int) []child {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []child
	for _, stat := range stats {
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat))) // digits, by the pattern
		fields := statOf(id)
		if fields == nil || fields[1] != strconv.Itoa(parent) {
			continue
		}
		found = append(found, child{id: id, name: strconv.Itoa(id), start: fields[19]})
		found = append(found, descendants(t, id)...)
	}
	return found
}

// alive returns false for a zombie too: it waits for its new parent.
func (c child) alive() bool {
	fields := statOf(c.id)
	return fields != nil && fields[19] == c.start && fields[0] != "Z"
}

// statOf returns the fields of /proc/ID/stat after the name: state, parent, ….
func statOf(id int) []string {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "stat"))
	if err != nil {
		return nil
	}
	_, fields, _ := bytes.Cut(content[bytes.LastIndexByte(content, ')'):], []byte(" "))
	return strings.Fields(string(fields))
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(testkit.Patience)
	for !done() {
		select {
		case <-again.C:
		case <-limit:
			t.Errorf("it never came to be: %s", what)
			return
		}
	}
}
