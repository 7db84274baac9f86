package failover_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// node is one Postgres of a pair.
type node struct {
	t    testing.TB
	data string // folder
	port int
	url  string        // with this host alone
	pool *pgxpool.Pool // for the test's own queries
}

// postmaster is the process whose children serve the clients.
func (n *node) postmaster() int {
	n.t.Helper()
	content, err := os.ReadFile(filepath.Join(n.data, "postmaster.pid"))
	if err != nil {
		n.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		n.t.Fatal(err)
	}
	return pid
}

// children are the processes of a postmaster: backends, writers, senders.
func children(t testing.TB, postmaster int) []int {
	t.Helper()
	printed, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	var pids []int
	for line := range strings.Lines(string(printed)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err == nil && parent == postmaster {
			pids = append(pids, pid)
		}
	}
	return pids
}

// freeze stops all processes of the server: clients stay connected and get no
// answer.
func (n *node) freeze() (thaw func()) {
	n.t.Helper()
	postmaster := n.postmaster()
	send(n.t, postmaster, syscall.SIGSTOP) // first, so that it starts no more
	all := append(children(n.t, postmaster), postmaster)
	for _, pid := range all {
		send(n.t, pid, syscall.SIGSTOP)
	}
	thawed := false
	thaw = func() {
		if thawed {
			return
		}
		thawed = true
		for _, pid := range append(children(n.t, postmaster), all...) {
			send(n.t, pid, syscall.SIGCONT)
		}
	}
	n.t.Cleanup(thaw)
	return thaw
}

// kill ends the postmaster and all its children at once, as the loss of the
// machine does. The server answers no call after killed begins.
func (n *node) kill(killed func()) {
	n.t.Helper()
	postmaster := n.postmaster()
	send(n.t, postmaster, syscall.SIGSTOP)
	all := append(children(n.t, postmaster), postmaster)
	for _, pid := range all {
		send(n.t, pid, syscall.SIGKILL)
	}
	killed()
	n.pool.Reset()
	testkit.Eventually(n.t, "the server is gone", func() bool {
		return errors.Is(syscall.Kill(postmaster, 0), syscall.ESRCH)
	})
}

// send ignores a process that has ended meanwhile.
func send(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal %v to process %d: %v", sig, pid, err)
	}
}

// set changes a setting of the running server, and waits until new transactions
// have it.
func (n *node) set(name, value string) {
	n.t.Helper()
	pgtest.Exec(n.t, n.pool, "ALTER SYSTEM SET "+name+" = '"+value+"'")
	pgtest.Exec(n.t, n.pool, "SELECT pg_reload_conf()")
	testkit.Eventually(n.t, name+" is "+value, func() bool {
		return pgtest.One[string](n.t, n.pool, "SELECT current_setting('"+name+"')") == value
	})
}

// promote makes a standby the primary, and returns when it takes writes. Its
// statement does not wait for that: it would hold a snapshot, which can block
// the replay of what is left.
func (n *node) promote() {
	n.t.Helper()
	pgtest.Exec(n.t, n.pool, "SELECT pg_promote(false)")
	testkit.Eventually(n.t, "the standby is promoted", func() bool {
		var standby bool
		err := n.pool.QueryRow(n.t.Context(), "SELECT pg_is_in_recovery()").Scan(&standby)
		return err == nil && !standby
	})
}
