package servers_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

const databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"

// Slow: it starts a server, as one more way of providing them.
func TestSlowNamedPostgres(t *testing.T) {
	withoutDocker(t)
	users := postgres(t, servers.Options{})
	if _, err := connect(t, users.URL).Exec(t.Context(),
		"CREATE TABLE precious AS SELECT 1 AS row"); err != nil {
		t.Fatal(err)
	}
	before := value(t, users.URL, databases)

	// The variable, and whether it counts in test mode only.
	t.Run("the demo uses it as it is", func(t *testing.T) {
		t.Setenv("DATABASE_URL", users.URL)
		t.Setenv("TEST_DATABASE_URL", "postgres://"+noServer(t)+"/unused")
		server := postgres(t, servers.Options{})
		if server.URL != users.URL {
			t.Errorf("another URL: %s", server.How)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
	})

	keywords := func() string {
		at, port, _ := net.SplitHostPort(host(t, users.URL))
		_, rest, _ := strings.Cut(users.URL, "postgres:")
		secret, _, _ := strings.Cut(strings.TrimPrefix(rest, "//postgres:"), "@")
		return "host=" + at + " port=" + port + " user=postgres password=" + secret +
			" dbname=pgsession sslmode=disable"
	}()
	for name, environment := range map[string]map[string]string{
		"tests get a new database on it": {
			"TEST_DATABASE_URL": users.URL, "DATABASE_URL": "postgres://" + noServer(t) + "/unused",
		},
		"tests get one where only the demo's is": {"DATABASE_URL": users.URL},
		"the name is in a parameter": {
			"DATABASE_URL": users.URL + "&database=pgsession",
		},
		"keywords and values": {"DATABASE_URL": keywords},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, target := range environment {
				t.Setenv(variable, target)
			}
			server := postgres(t, servers.Options{Test: true})

			database := value(t, server.URL, "SELECT current_database()::text")
			if !strings.HasPrefix(database, "pgsession_test_") {
				t.Errorf("tests run in %s", database)
			}
			if got := value(t, server.URL,
				"SELECT count(*)::text FROM pg_tables WHERE tablename = 'precious'"); got != "0" {
				t.Error("tests see the user's table")
			}
			connect(t, server.URL) // a test that leaks a connection
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			if after := value(t, users.URL, databases); after != before {
				t.Errorf("databases before: %s; after: %s", before, after)
			}
			if got := value(t, users.URL, "SELECT row::text FROM precious"); got != "1" {
				t.Errorf("the user's row is %s", got)
			}
		})
	}
}

func TestNamedServerThatDoesNotAnswer(t *testing.T) {
	withoutDocker(t)
	address := noServer(t)

	for name, c := range map[string]struct {
		variable, target string
		provide          func(context.Context, servers.Options) (*servers.Server, error)
		want             string
	}{
		"Postgres": {
			"TEST_DATABASE_URL", "postgres://me:s3cret@" + address + "/app", servers.Postgres,
			address,
		},
		"Postgres, keywords": {
			"DATABASE_URL", "user=me password=s3cret host=127.0.0.1 port=" +
				strings.TrimPrefix(address, "127.0.0.1:"), servers.Postgres, address,
		},
		"not a Postgres URL": {
			"DATABASE_URL", "postgres://me:s3cret@127.0.0.1:port/app", servers.Postgres,
			"DATABASE_URL is not",
		},
		"something else than a DB": {
			"DATABASE_URL", "s3cret", servers.Postgres, "DATABASE_URL is not",
		},
		"Redis": {
			"REDIS_URL", "redis://me:s3cret@" + address + "/0", servers.Redis, address,
		},
		"not a Redis URL": {
			"TEST_REDIS_URL", "http://me:s3cret@" + address, servers.Redis, "TEST_REDIS_URL is not",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(c.variable, c.target)
			_, err := c.provide(t.Context(), servers.Options{Test: true, Logf: t.Logf})
			if err == nil {
				t.Fatal("a server that does not answer was passed over")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q is not in: %v", c.want, err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in: %v", err)
			}
		})
	}
}
