package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/servers"
)

// Cluster is a throwaway Postgres with the schema of this version, for tests
// that stop it, configure it or read its log.
type Cluster struct {
	// URL holds the password.
	URL string

	t      testing.TB
	data   string // folder
	folder string // with the log in it
	bin    string
}

// NewCluster starts a Postgres, which ends with the test.
func NewCluster(t testing.TB, settings map[string]string) *Cluster {
	t.Helper()
	if os.Getenv("DATABASE_URL") != "" {
		t.Fatal(
			"DATABASE_URL is set: no test may stop the server that it names: unset it in TestMain")
	}
	server, err := servers.Postgres(t.Context(), servers.Options{Settings: settings, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, server)
	pool := c.Pool()
	defer pool.Close() // tests count the connections
	if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// newCluster wraps a server that was just started.
func newCluster(t testing.TB, server *servers.Server) *Cluster {
	t.Helper()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &Cluster{t: t, URL: server.URL}
	pool := c.Pool()
	defer pool.Close()
	c.data = One[string](t, pool, "SHOW data_directory")
	c.bin = One[string](t, pool, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
	c.folder = filepath.Dir(c.data)
	return c
}

// Pool returns a pool for the test's own queries.
func (c *Cluster) Pool() *pgxpool.Pool { return Pool(c.t, c.URL) }

// With returns the URL with more settings, given as name, value, name, value.
func (c *Cluster) With(settings ...string) string {
	u, err := url.Parse(c.URL)
	if err != nil {
		c.t.Fatal("the server's URL is not valid")
	}
	query := u.Query()
	for i := 0; i < len(settings); i += 2 {
		query.Set(settings[i], settings[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// Log returns everything that the server has logged, also after a restart.
func (c *Cluster) Log() string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.folder, "server.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// Stop ends the server as a crash does: it cuts clients off and cleans nothing
// up.
func (c *Cluster) Stop() {
	c.t.Helper()
	pid := c.postmaster()
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		c.t.Fatal(err)
	}
	testkit.Eventually(c.t, "the server is gone", func() bool {
		_, err := os.Stat(filepath.Join(c.data, "postmaster.pid"))
		return errors.Is(err, fs.ErrNotExist) && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}

// Freeze stops all processes of the server: clients stay connected and get no
// answer, until thaw is called.
func (c *Cluster) Freeze() (thaw func()) {
	c.t.Helper()
	postmaster := c.postmaster()
	signal := func(sig syscall.Signal) {
		_ = syscall.Kill(postmaster, sig) // first, so that it starts no more children
		printed, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
		if err != nil {
			c.t.Errorf("ps: %v", err)
		}
		for line := range strings.Lines(string(printed)) {
			var pid, parent int
			if _, err := fmt.Sscan(line, &pid, &parent); err == nil && parent == postmaster {
				_ = syscall.Kill(pid, sig)
			}
		}
	}
	signal(syscall.SIGSTOP)
	thaw = sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	c.t.Cleanup(thaw)
	return thaw
}

func (c *Cluster) postmaster() int {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// Restart starts the server again with its options, and waits until it answers.
func (c *Cluster) Restart() {
	c.t.Helper()
	// bin/postgres "-D" "data" "-c" "name=value" …
	options, err := os.ReadFile(filepath.Join(c.data, "postmaster.opts"))
	if err != nil {
		c.t.Fatal(err)
	}
	var arguments []string
	for _, found := range quoted.FindAllSubmatch(options, -1) {
		arguments = append(arguments, string(found[1]))
	}
	info, err := os.Stat(c.data)
	if err != nil {
		c.t.Fatal(err)
	}
	kin := process.Kin{Orphaned: syscall.SIGQUIT, Apart: true}
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Getuid() {
		kin.Account = &process.Account{UID: owner.Uid, GID: owner.Gid}
	}
	log, err := os.OpenFile(filepath.Join(c.folder, "server.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.folder, log, log
	cmd.Env = []string{
		"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "PGPASSFILE=" + filepath.Join(c.folder, "pgpass"),
	}
	running, err := process.Start(cmd, kin)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := running.Stop(testkit.Patience, syscall.SIGINT, syscall.SIGQUIT); err != nil {
			c.t.Error(err)
		}
	})
	testkit.Eventually(c.t, "the server answers again", func() bool {
		conn, err := pgx.Connect(c.t.Context(), c.URL)
		if err == nil {
			err = conn.Close(c.t.Context())
		}
		return err == nil
	})
}
