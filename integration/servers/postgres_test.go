package servers_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

func TestThrowawayCluster(t *testing.T) {
	withoutDocker(t)
	server := postgres(t,
		servers.Options{Settings: map[string]string{"fsync": "on", "work_mem": "5MB"}})

	wantLoopback(t, server.URL)
	for setting, want := range map[string]string{
		"listen_addresses":   "127.0.0.1",
		"max_connections":    "200",
		"synchronous_commit": "on",
		"full_page_writes":   "off",
		"fsync":              "on",
		"work_mem":           "5MB",
		"server_encoding":    "UTF8",
	} {
		if got := value(t, server.URL, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	if got := value(t, server.URL, "SELECT current_database()::text"); got != "pgsession" {
		t.Errorf("the database is %s", got)
	}
	if strings.Contains(server.How, "postgres://") {
		t.Errorf("How holds the URL: %s", server.How)
	}

	folder := filepath.Dir(value(t, server.URL, "SHOW data_directory"))
	connect(t, server.URL) // a client that stays connected does not keep the server up
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, server.URL)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there", folder)
	}
	if err := server.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestThrowawayClusterWantsThePassword(t *testing.T) {
	withoutDocker(t)
	server := postgres(t, servers.Options{})

	t.Setenv("DATABASE_URL", "postgres://postgres:guess@"+host(t, server.URL)+"/pgsession")
	_, err := servers.Postgres(t.Context(), servers.Options{})
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("with a guessed password: %v", err)
	}
}

// Slow: npm downloads and unpacks a Postgres.
func TestSlowPostgresVersions(t *testing.T) {
	for _, version := range []string{"17", "18"} {
		t.Run(version, func(t *testing.T) {
			withoutDocker(t)
			// A requested version comes before a named server.
			t.Setenv("DATABASE_URL", "postgres://"+noServer(t)+"/other")
			server := postgres(t, servers.Options{PostgresVersion: version})

			wantLoopback(t, server.URL)
			got := value(t, server.URL, "SHOW server_version")
			if !strings.HasPrefix(got, version+".") {
				t.Errorf("this is Postgres %s", got)
			}
		})
	}
}

// The local programs serve the versions that npm is not asked for.
//
// Slow: it starts two servers, as one more way of providing them.
func TestSlowPostgresVersionOfTheMachine(t *testing.T) {
	withoutDocker(t)
	version, _, _ := strings.Cut(value(t, postgres(t, servers.Options{}).URL,
		"SHOW server_version"), ".")

	server := postgres(t, servers.Options{PostgresVersion: version})
	if got := value(t, server.URL, "SHOW server_version"); !strings.HasPrefix(got, version+".") {
		t.Errorf("asked for Postgres %s, got %s", version, got)
	}
}

func TestPostgresVersionIsANumber(t *testing.T) {
	_, err := servers.Postgres(t.Context(), servers.Options{PostgresVersion: "17; true"})
	if err == nil || !strings.HasPrefix(err.Error(), "servers: PostgresVersion:") {
		t.Errorf("the error is %v", err)
	}
}

func TestAMachineWithNothing(t *testing.T) {
	withoutDocker(t)
	t.Setenv("PATH", "")

	for what, provide := range map[string]func(servers.Options) error{
		"DATABASE_URL": func(o servers.Options) error {
			_, err := servers.Postgres(t.Context(), o)
			return err
		},
		"REDIS_URL": func(o servers.Options) error {
			_, err := servers.Redis(t.Context(), o)
			return err
		},
	} {
		err := provide(servers.Bare(servers.Options{RequireRedis: true}))
		if err == nil {
			t.Fatalf("%s: a server came from nowhere", what)
		}
		for _, part := range []string{
			"no Docker engine answers", "on this machine", "set " + what,
		} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a paragraph: %v", err)
		}
	}
}

// The error of a failed start quotes Postgres, and the start leaves nothing
// behind.
//
// Slow: npm downloads and unpacks a Postgres.
func TestSlowAStartThatFails(t *testing.T) {
	withoutDocker(t)

	const version = "18"
	postgres(t, servers.Options{PostgresVersion: version}) // npm has fetched it now
	t.Setenv("PATH", "")                                   // no other way is left

	folder := ownFolder(t)
	var logged strings.Builder
	o := servers.Options{
		PostgresVersion: version,
		Settings:        map[string]string{"shared_preload_libraries": "no_such_library"},
		Logf: func(format string, args ...any) {
			for _, arg := range args {
				if err, ok := arg.(error); ok {
					logged.WriteString(err.Error())
				}
			}
		},
	}
	_, err := servers.Postgres(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), `could not access file "no_such_library"`) {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(logged.String(), "no_such_library") {
		t.Errorf("Logf got %q", logged.String())
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q (%v)", left, err)
	}
}

// ownFolder makes the parent of all later temporary folders, which the server's
// account may enter too.
func ownFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "pgsession-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	return folder
}

func TestClustersThatMayBeLostLieInMemory(t *testing.T) {
	if servers.InMemory() == "" {
		t.Skip("this machine has too little memory to spare, or none at a known place")
	}
	withoutDocker(t)
	t.Setenv("TMPDIR", "")
	for fsync, want := range map[string]bool{"off": true, "on": false} {
		server := postgres(t, servers.Options{Settings: map[string]string{"fsync": fsync}})
		folder := value(t, server.URL, "SHOW data_directory")
		if got := strings.HasPrefix(folder, servers.InMemory()+"/"); got != want {
			t.Errorf("fsync %s: the data is in %s", fsync, folder)
		}
	}
}
