package servers_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/servers"
)

// TestMain removes servers from the environment: each test names its own.
func TestMain(m *testing.M) {
	for _, variable := range []string{
		"DATABASE_URL", "TEST_DATABASE_URL", "REDIS_URL", "TEST_REDIS_URL",
	} {
		_ = os.Unsetenv(variable)
	}
	os.Exit(m.Run())
}

// withoutDocker hides the container way from a test.
func withoutDocker(t *testing.T) {
	t.Helper()
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

// postgres provides a Postgres for the length of the test.
func postgres(t *testing.T, o servers.Options) *servers.Server {
	t.Helper()
	o.Logf = t.Logf
	server, err := servers.Postgres(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Log(server.How)
	return server
}

// value runs a query that returns one text.
func value(t *testing.T, target, query string) string {
	t.Helper()
	conn := connect(t, target)
	var answer string
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func connect(t *testing.T, target string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// wantClosed checks that nothing listens at the address of a URL.
func wantClosed(t *testing.T, target string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", host(t, target), time.Second)
	if err == nil {
		_ = conn.Close()
		t.Errorf("something still listens on %s", host(t, target))
	}
}

func host(t *testing.T, target string) string {
	t.Helper()
	parsed, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

func wantLoopback(t *testing.T, target string) {
	t.Helper()
	if !strings.HasPrefix(host(t, target), "127.0.0.1:") {
		t.Errorf("the server is on %s, not on loopback", host(t, target))
	}
}

// noServer returns an address that refuses connections.
func noServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
