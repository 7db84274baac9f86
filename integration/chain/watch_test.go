package chain_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
)

// sockets serves hijacked connections, which last as long as their session,
// like WebSockets. The channel gets the cause of each end.
func sockets(t *testing.T, m *sessionstore.Manager) (addr string, ended <-chan error) {
	t.Helper()
	causes := make(chan error, 2000)
	server := httptest.NewServer(
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			watch, cancel := s.Watch(context.WithoutCancel(r.Context()))
			go func() {
				defer cancel()
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello\n")
				<-watch.Done()
				causes <- context.Cause(watch)
			}()
		})))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), causes
}

// plugIn opens a connection of a session, and calls gone when the server closes
// it.
func plugIn(t *testing.T, addr, cookie string, gone func()) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nCookie: __Host-session=%s\r\n\r\n", cookie); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for line := ""; !strings.Contains(line, "hello"); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatalf("before it said hello: %v", err)
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		gone()
	}()
}

// login makes a session of a user through the middleware, and returns its
// cookie.
func login(t *testing.T, m *sessionstore.Manager, user string) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Login(r.Context(), user)
		}
		if err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://shop.example/", nil))
	for _, c := range w.Result().Cookies() {
		return c.Value
	}
	t.Fatal("the login set no cookie")
	return ""
}

// A user has a thousand connections in one process, and another process logs
// the user out. The first process can ask neither Redis nor Postgres, so it
// closes the connections after the bound. Where Postgres answers, Redis does
// not matter. The bound itself is tested in package sessionstore, with a clock
// of its own.
func TestConnectionsEndInAnOutage(t *testing.T) {
	t.Parallel()
	connectionsEnd(t, 200, testkit.Only(t, watchFaults, "Redis and Postgres are unavailable"))
}

// The same with a thousand connections and each fault.
//
// Slow: a thousand connections take seconds to open.
func TestSlowConnectionsEndInAnOutage(t *testing.T) {
	t.Parallel()
	connectionsEnd(t, 1000, watchFaults)
}

// watchFault is a fault, and the cause with which it ends open connections.
type watchFault struct {
	fault func(*instance)
	why   error
}

var watchFaults = map[string]watchFault{
	"Redis is unavailable": {
		func(a *instance) { a.toRedis.down() }, sessionstore.ErrNotFound,
	},
	"Redis hangs": {
		func(a *instance) { a.toRedis.hang() }, sessionstore.ErrNotFound,
	},
	"Redis and Postgres are unavailable": {
		func(a *instance) { a.toRedis.down(); a.toPostgres.down() }, sessionstore.ErrUnavailable,
	},
	"Redis and Postgres hang": {
		func(a *instance) { a.toRedis.hang(); a.toPostgres.hang() }, sessionstore.ErrUnavailable,
	},
}

func connectionsEnd(t *testing.T, connections int, faults map[string]watchFault) {
	const devices = 20
	for name, row := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.open(impatient(5*time.Second)), r.open()
			addr, ended := sockets(t, a.manager)
			var open sync.WaitGroup
			var cookies []string
			for range devices {
				cookies = append(cookies, login(t, b.manager, "ada"))
			}
			for i := range connections {
				open.Add(1)
				plugIn(t, addr, cookies[i%devices], open.Done)
			}
			row.fault(a)
			began := time.Now()
			revoked, err := b.manager.RevokeUser(t.Context(), "ada")
			if err != nil || revoked.Count != devices {
				t.Fatalf("a revoke by another process: %+v, %v", revoked, err)
			}
			for range connections {
				select {
				case why := <-ended:
					if !errors.Is(why, row.why) {
						t.Errorf("a connection ended with %v, want %v", why, row.why)
					}
				case <-time.After(2 * testkit.Patience):
					t.Fatal("connections are still open")
				}
			}
			open.Wait() // the clients have seen it
			t.Logf("the last of %d connections was closed after %s", connections,
				time.Since(began).Round(time.Millisecond))
		})
	}
}
