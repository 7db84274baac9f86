// Package cache_test runs package cache against Redis servers of its own, which
// listen on loopback only.
package cache_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// quiet keeps the lines of go-redis about stopped servers off standard error.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

// server is a redis-server with settings of the test.
type server struct {
	t        *testing.T
	dir      string
	port     int
	password string
	running  *process.Process
}

// start runs a server until the test ends. Settings are lines of redis.conf.
func start(t *testing.T, settings ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(
			"this test starts Redis servers of its own, and there is no redis-server on this machine")
	}
	s := &server{t: t, dir: t.TempDir(), port: freePort(t)}
	lines := append([]string{
		"bind 127.0.0.1", fmt.Sprintf("port %d", s.port), `save ""`, "appendonly no",
		"daemonize no", "repl-diskless-sync-delay 0",
	}, settings...)
	for _, line := range settings {
		if password, ok := strings.CutPrefix(line, "requirepass "); ok {
			s.password = password
		}
	}
	s.configure(strings.Join(lines, "\n") + "\n")
	s.run()
	t.Cleanup(func() {
		_ = s.running.Signal(syscall.SIGCONT)
		if err := s.running.Stop(5*time.Second, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) configure(text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "redis.conf"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the program on the port it had before.
func (s *server) run(args ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("redis-server", append([]string{"redis.conf"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if s.running, err = process.Start(cmd,
		process.Kin{Orphaned: syscall.SIGKILL, Apart: true}); err != nil {
		s.t.Fatal(err)
	}
	s.until("it answers", func() bool { // any answer: from then on it listens everywhere
		conn, err := net.Dial("tcp", s.addr())
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, err = conn.Write([]byte("PING\r\n"))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		return err == nil
	})
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) url() string {
	if s.password != "" {
		return "redis://:" + s.password + "@" + s.addr()
	}
	return "redis://" + s.addr()
}

func (s *server) kill() {
	s.t.Helper()
	if err := s.running.Stop(5*time.Second, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.running.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// do runs a command that must succeed, on a connection of the test's own.
func (s *server) do(args ...any) any {
	s.t.Helper()
	client := s.admin()
	defer func() { _ = client.Close() }()
	v, err := client.Do(s.t.Context(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func (s *server) admin() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr(), Password: s.password, Protocol: 2})
}

// until waits for a condition that other programs bring about.
func (s *server) until(what string, done func() bool) {
	s.t.Helper()
	until(s.t, what, done)
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(testkit.Patience)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// allEnd fails when a key has no time to live.
func (s *server) allEnd() {
	s.t.Helper()
	client := s.admin()
	defer func() { _ = client.Close() }()
	keys := client.Scan(s.t.Context(), 0, "*", 1000).Iterator()
	n := 0
	for keys.Next(s.t.Context()) {
		n++
		if ttl := client.PTTL(s.t.Context(), keys.Val()).Val(); ttl == -1 {
			s.t.Errorf("a key has no time to live")
		}
	}
	if err := keys.Err(); err != nil || n == 0 {
		s.t.Errorf("%d keys looked at: %v", n, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		// A member of a Cluster also takes the port 10000 above its own, which
		// a connection of another test may have.
		const above, most = 10_000, 65_535
		if port > most-above {
			continue
		}
		bus, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+above))
		if err != nil {
			continue
		}
		_ = bus.Close()
		return port
	}
}

const namespace = "pgsession:it:"

// dial makes a cache on a server, with timeouts that a busy machine keeps.
func dial(t *testing.T, url string, change ...func(*cache.Config)) *cache.Cache {
	t.Helper()
	client, err := cache.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256([]byte("key of the tests"))
	cfg := cache.Config{Namespace: namespace, Keys: [][]byte{key[:]}, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := cache.New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = client.Close()
	})
	return c
}

// hasty sets a timeout for tests of what takes too long. It is long enough for
// a busy machine.
func hasty(cfg *cache.Config) { cfg.Timeout = 250 * time.Millisecond }

func idOf(seed any) cache.ID { return sha256.Sum256([]byte(fmt.Sprint("id ", seed))) }

func entryOf(version int64, data string) cache.Entry {
	at := time.UnixMicro(1_800_000_000_123_456 + version%1000).UTC()
	return cache.Entry{
		Version: version, ValidatedAt: at, ExpiresAt: at.Add(time.Hour),
		AbsoluteExpiresAt: at.Add(24 * time.Hour), Data: []byte(data),
	}
}

func same(a, b cache.Entry) bool {
	return a.Version == b.Version && a.ValidatedAt.Equal(b.ValidatedAt) &&
		a.ExpiresAt.Equal(b.ExpiresAt) &&
		a.AbsoluteExpiresAt.Equal(b.AbsoluteExpiresAt) && string(a.Data) == string(b.Data)
}
