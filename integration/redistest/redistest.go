// Package redistest gives a test a Redis of its own, which it may stop, freeze,
// empty and configure.
package redistest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/servers"
)

// Server is a throwaway Redis with a password, on loopback.
type Server struct {
	// URL holds the password.
	URL string
	// Client is the test's own.
	Client *redis.Client

	t               testing.TB
	program, config string
	pid             int
	running         *process.Process // after a Restart
}

// Start starts a Redis, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("REDIS_URL") != "" {
		t.Fatal(
			"REDIS_URL is set: no test may stop the server that it names: unset it in TestMain")
	}
	server, err := servers.Redis(t.Context(), servers.Options{RequireRedis: true, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	options.MaxRetries = -1
	s := &Server{URL: server.URL, Client: redis.NewClient(options), t: t}
	t.Cleanup(func() { _ = s.Client.Close() })
	info := s.info()
	s.program, s.config = info["executable"], info["config_file"]
	s.pid, err = strconv.Atoi(info["process_id"])
	if err != nil || s.program == "" || s.config == "" {
		t.Fatalf("INFO of Redis lacks its process, program or config: %v", err)
	}
	t.Cleanup(s.Resume) // it would not end while it is frozen
	return s
}

func (s *Server) info() map[string]string {
	s.t.Helper()
	text, err := s.Client.Info(context.Background(), "server").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	return info
}

// Address returns host:port.
func (s *Server) Address() string { return s.Client.Options().Addr }

// Do runs a command that must succeed.
func (s *Server) Do(args ...any) {
	s.t.Helper()
	if err := s.Client.Do(context.Background(), args...).Err(); err != nil {
		s.t.Fatalf("%v: %v", args[0], err)
	}
}

// Flush removes all keys and scripts.
func (s *Server) Flush() {
	s.t.Helper()
	s.Do("FLUSHALL")
}

// Pause freezes the process: the kernel accepts connections, and none gets an
// answer.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if err := syscall.Kill(s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		s.t.Error(err)
	}
}

// Kill ends it with SIGKILL.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	testkit.Eventually(s.t, "Redis is gone", func() bool {
		return errors.Is(syscall.Kill(s.pid, 0), syscall.ESRCH)
	})
}

// Restart starts it again on the same port, empty.
func (s *Server) Restart() {
	s.t.Helper()
	kin := process.Kin{Orphaned: syscall.SIGKILL, Apart: true}
	info, err := os.Stat(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Getuid() {
		kin.Account = &process.Account{UID: owner.Uid, GID: owner.Gid}
	}
	testkit.Eventually(s.t, "Redis answers again", func() bool {
		// Another process may have had its port for a moment.
		if s.running == nil || ended(s.running) {
			cmd := exec.Command(s.program, s.config)
			cmd.Dir = filepath.Dir(s.config)
			if s.running, err = process.Start(cmd, kin); err != nil {
				s.t.Fatal(err)
			}
			stop := s.running
			s.t.Cleanup(func() {
				if err := stop.Stop(testkit.Patience, syscall.SIGTERM); err != nil {
					s.t.Error(err)
				}
			})
			s.pid = s.running.ID()
		}
		return s.Client.Ping(context.Background()).Err() == nil
	})
}

func ended(p *process.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
