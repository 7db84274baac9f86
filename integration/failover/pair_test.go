package failover_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

// pair is a primary with the schema, and its standby. Both ports stay when the
// roles change.
type pair struct {
	t                testing.TB
	primary, standby *node

	first     *url.URL // of the first primary
	app       *url.Userinfo
	bin       string
	folder    string // of all data folders
	arguments []string
	account   *process.Account
	made      int
}

// newPair starts both, without synchronous replication. provide makes the first
// of them.
func newPair(t testing.TB, provide func(context.Context, servers.Options) (*servers.Server, error),
	settings map[string]string,
) *pair {
	t.Helper()
	all := map[string]string{
		// A standby that looks for its primary does not see a promotion for as
		// long: by default 5 s.
		"wal_retrieve_retry_interval": "200ms",
	}
	maps.Copy(all, settings)
	server, err := provide(t.Context(), servers.Options{Logf: t.Logf, Settings: all})
	if errors.Is(err, servers.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pair{t: t}
	if p.first, err = url.Parse(server.URL); err != nil {
		t.Fatal("the server's URL is not valid")
	}
	port, err := strconv.Atoi(p.first.Port())
	if err != nil {
		t.Fatal(err)
	}
	p.primary = p.node("", port)
	p.primary.data = pgtest.One[string](t, p.primary.pool, "SHOW data_directory")
	p.bin = pgtest.One[string](t, p.primary.pool,
		"SELECT setting FROM pg_config WHERE name = 'BINDIR'")
	p.folder = filepath.Dir(p.primary.data)
	if _, err := db.Up(t.Context(), p.primary.pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	roles := pgtest.NewRolesOn(t, p.primary.url)
	app, err := url.Parse(roles.URL(t, roles.App))
	if err != nil {
		t.Fatal("the application's URL is not valid")
	}
	p.app = app.User
	p.remember()
	p.replicate(p.freePort())
	return p
}

func (p *pair) node(data string, port int) *node {
	u := *p.first
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return &node{
		t: p.t, data: data, port: port, url: u.String(), pool: pgtest.Pool(p.t, u.String()),
	}
}

// url has both hosts, with first in front, for the application's role. settings
// are more of the query string.
func (p *pair) url(first, second *node, settings string) string {
	u := *p.first
	u.User = p.app
	u.Host = fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", first.port, second.port)
	u.RawQuery = "sslmode=disable&" + settings
	return u.String()
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// remember keeps the options and the user of the first server.
func (p *pair) remember() {
	// bin/postgres "-D" "data" "-c" "name=value" …
	options, err := os.ReadFile(filepath.Join(p.primary.data, "postmaster.opts"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, found := range quoted.FindAllSubmatch(options, -1) {
		p.arguments = append(p.arguments, string(found[1]))
	}
	info, err := os.Stat(p.primary.data)
	if err != nil {
		p.t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Getuid() {
		p.account = &process.Account{UID: owner.Uid, GID: owner.Gid}
	}
}

func (p *pair) freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// replicate makes a standby of the primary and waits until it has caught up.
func (p *pair) replicate(port int) {
	p.t.Helper()
	program := filepath.Join(p.bin, "pg_basebackup")
	if _, err := os.Stat(program); err != nil {
		p.t.Fatalf("a standby is made with pg_basebackup, which this Postgres came without (%s): install Postgres from packages", p.bin)
	}
	p.made++
	data := filepath.Join(p.folder, fmt.Sprintf("standby%d", p.made))
	secret, _ := p.first.User.Password()
	cmd := exec.Command(program, "-D", data, "-R", "-c", "fast", "-X", "stream", "--no-sync",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=%s sslmode=disable", p.primary.port,
			p.first.User.Username()))
	cmd.Dir = p.folder
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "PGPASSWORD=" + secret}
	if err := process.Run(p.t.Context(), cmd,
		process.Kin{Orphaned: syscall.SIGKILL, Apart: true, Account: p.account}); err != nil {
		p.t.Fatal(err)
	}
	p.standby = p.node(data, port)
	p.start(p.standby)
	p.caughtUp()
}

// start runs the server on the node's data folder as the first one was run.
func (p *pair) start(n *node) {
	p.t.Helper()
	var arguments []string
	for _, a := range p.arguments {
		switch {
		case a == "data":
			a = n.data
		case strings.HasPrefix(a, "port="):
			a = fmt.Sprintf("port=%d", n.port)
		}
		arguments = append(arguments, a)
	}
	log, err := os.OpenFile(filepath.Join(p.folder, "standby.log"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.folder, log, log
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	running, err := process.Start(cmd,
		process.Kin{Orphaned: syscall.SIGQUIT, Apart: true, Account: p.account})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := running.Stop(10*time.Second, syscall.SIGINT, syscall.SIGQUIT); err != nil {
			p.t.Error(err)
		}
	})
	testkit.Eventually(p.t, "the standby answers", func() bool {
		select {
		case <-running.Done():
			text, _ := os.ReadFile(log.Name())
			p.t.Fatalf("the standby ended: %s", process.LastLines(string(text)))
		default:
		}
		conn, err := pgx.Connect(p.t.Context(), n.url)
		if err == nil {
			err = conn.Close(p.t.Context())
		}
		return err == nil
	})
}

// caughtUp waits until the standby has replayed what the primary has written by
// now.
func (p *pair) caughtUp() {
	p.t.Helper()
	// A record of its own. The end of the WAL may be a page's header, which is
	// replayed with the next record only.
	lsn := pgtest.One[string](p.t, p.primary.pool,
		"SELECT pg_logical_emit_message(true, 'failover', '')::text")
	testkit.Eventually(p.t, "the standby is as far as the primary", func() bool {
		return pgtest.One[bool](p.t, p.standby.pool,
			"SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)", lsn)
	})
}

// received is caughtUp for a primary that takes no more writes.
func (p *pair) received() {
	p.t.Helper()
	lsn := pgtest.One[string](p.t, p.primary.pool, "SELECT pg_current_wal_flush_lsn()::text")
	testkit.Eventually(p.t, "the standby has received what the primary has written", func() bool {
		return pgtest.One[bool](p.t, p.standby.pool,
			"SELECT coalesce(pg_last_wal_receive_lsn() >= $1::text::pg_lsn, false)", lsn)
	})
}

// synchronous makes the primary wait for the standby at every commit. The
// standby waits for none, also once it is promoted. A failover by hand has to
// change that.
func (p *pair) synchronous() {
	p.t.Helper()
	p.primary.set("synchronous_standby_names", "*")
	testkit.Eventually(p.t, "replication is synchronous", func() bool {
		return pgtest.One[bool](p.t, p.primary.pool,
			"SELECT coalesce(bool_or(sync_state = 'sync'), false) FROM pg_stat_replication")
	})
}

// swapped makes the promoted standby the primary of the pair. The other node is
// dead.
func (p *pair) swapped() (dead *node) {
	dead = p.primary
	p.primary, p.standby = p.standby, nil
	return dead
}

// renew gives the pair a new standby in place of a dead node.
func (p *pair) renew(dead *node) {
	p.t.Helper()
	dead.pool.Close()
	if err := os.RemoveAll(dead.data); err != nil {
		p.t.Fatal(err)
	}
	p.replicate(dead.port)
}
