package outage_test

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Open fails at once if waiting can't help, with the reason and without the
// password.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	direct := pgtest.Database(t)
	app := pgtest.Application(t, direct)
	gone := pgtest.NewCluster(t, nil)
	bouncer, err := servers.PgBouncer(t.Context(), servers.Options{Logf: t.Logf}, gone.URL,
		map[string]string{"query_wait_timeout": "1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Close() })
	gone.Stop()
	for name, c := range map[string]struct{ url, says string }{
		"no TLS": {
			with(t, app, func(_ *url.URL, q url.Values) { q.Set("sslmode", "require") }),
			"server refused TLS connection: turn ssl on there",
		},
		"wrong password": {
			with(t, app, func(u *url.URL, _ url.Values) {
				u.User = url.UserPassword(u.User.Username(), "Canary-7355608")
			}),
			"SQLSTATE 28P01",
		},
		"no such user": {
			with(t, app, func(u *url.URL, _ url.Values) {
				u.User = url.UserPassword("nobody", "Canary-7355608")
			}),
			"nobody",
		},
		"no such database": {
			with(t, app, func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }), "nowhere",
		},
		"no such host": {
			with(t, app, func(u *url.URL, _ url.Values) { u.Host = "pg.invalid:5432" }),
			"lookup pg.invalid",
		},
		"unknown parameter": {
			with(t, app, func(_ *url.URL, q url.Values) { q.Set("pool_max_cons", "5") }),
			"pool_max_cons",
		},
		"socket missing":               {"host=" + t.TempDir() + " user=me", "no such file"},
		"PgBouncer without its server": {bouncer.URL, "SQLSTATE 08P01"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := sessionstore.Open(t.Context(), config(c.url))
			if err == nil {
				_ = m.Close()
				t.Fatalf("Open succeeds, over %s", m.Store().Name())
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Canary") {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// serve accepts connections, and hands each to do.
func serve(t *testing.T, do func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go do(conn)
		}
	}()
	return listener.Addr().String()
}

// Where Postgres may start later, Open begins an emergency. Until this process
// has reached Postgres it is not ready.
func TestOpenWithoutPostgres(t *testing.T) {
	t.Parallel()
	startingUp := func(conn net.Conn) {
		backend := pgproto3.NewBackend(conn, conn)
		for {
			message, err := backend.ReceiveStartupMessage()
			if err != nil {
				return
			}
			if _, tls := message.(*pgproto3.SSLRequest); !tls {
				break
			}
			_, _ = conn.Write([]byte("N"))
		}
		backend.Send(&pgproto3.ErrorResponse{
			Severity: "FATAL", Code: "57P03", Message: "the database system is starting up",
		})
		_ = backend.Flush()
		_ = conn.Close()
	}
	for name, address := range map[string]string{
		"refused":         "127.0.0.1:1",
		"dropped packets": serve(t, func(net.Conn) {}),
		"starting up":     serve(t, startingUp),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, config("postgres://me:Canary-7355608@"+address+"/db"))
			if m.Store().Name() != "memory" {
				t.Errorf("the store is %s", m.Store().Name())
			}
			status, said := health(m)
			if status != 503 || !strings.Contains(said, `"emergency_since"`) {
				t.Errorf("health: %d, %s", status, said)
			}
		})
	}
}

// After the first contact an emergency is ready, and its health reports it.
func TestReadiness(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	c.Stop()
	m := open(t, config(c.URL))
	if status, said := health(m); status != 503 {
		t.Errorf("before the first contact: %d, %s", status, said)
	}
	c.Restart()
	testkit.Eventually(t, "ready", func() bool {
		status, said := health(m)
		return status == 200 && strings.Contains(said, `"ok"`)
	})
	c.Stop()
	emergency(t, m)
	testkit.Eventually(t, "health says so", func() bool {
		status, said := health(m)
		return status == 200 && strings.Contains(said, `"emergency"`)
	})
}

// Open refuses a role that can't work with a complete schema.
func TestARoleThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		says []string
	}{
		"row-level security": {
			"ALTER TABLE pgsession.sessions ENABLE ROW LEVEL SECURITY",
			[]string{"row-level security", "pgsession.sessions", "BYPASSRLS"},
		},
		"read-only": {
			"ALTER ROLE %s SET default_transaction_read_only = on",
			[]string{"transactions are read-only", "default_transaction_read_only"},
		},
		"a missing right": {
			"REVOKE INSERT ON pgsession.sessions FROM %s",
			[]string{"GRANT INSERT ON pgsession.sessions TO"},
		},
		"two faults": {"REVOKE SELECT ON pgsession.prune_state FROM %[1]s; ALTER TABLE pgsession.sessions ENABLE ROW LEVEL SECURITY", []string{"GRANT SELECT", "row-level"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := pgtest.Database(t)
			app := pgtest.Application(t, direct)
			admin := pgtest.Pool(t, direct)
			u, _ := url.Parse(app)
			pgtest.Exec(t, admin, strings.ReplaceAll(strings.ReplaceAll(c.sql, "%[1]s", "%s"), "%s",
				u.User.Username()))
			cfg := config(app)
			cfg.StoreTimeout = testkit.Patience
			_, err := sessionstore.Open(t.Context(), cfg)
			if err == nil {
				t.Fatal("Open succeeds")
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v, want %q", err, says)
				}
			}
			if strings.Contains(err.Error(), "GRANT") != strings.Contains(c.sql, "REVOKE") {
				t.Errorf("a grant is asked for where none is missing: %v", err)
			}
		})
	}
}

// A row-level policy that comes later is no missing right.
func TestAPolicyIsNoMissingRight(t *testing.T) {
	t.Parallel()
	direct := pgtest.Database(t)
	admin := pgtest.Pool(t, direct)
	m := open(t, config(pgtest.Application(t, direct)))
	pgtest.Exec(t, admin, "ALTER TABLE pgsession.sessions ENABLE ROW LEVEL SECURITY")
	_, err := m.Store().Create(t.Context(), store.Draft{ID: store.ID{2}})
	if err == nil || strings.Contains(err.Error(), "GRANT") || strings.Contains(err.Error(),
		"grant it") || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("%v", err)
	}
}

func TestAnotherEncoding(t *testing.T) {
	t.Parallel()
	server := pgtest.ServerURL(t)
	admin := pgtest.Pool(t, server)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		empty, _ := url.Parse(pgtest.EmptyDatabase(t))
		name := strings.TrimPrefix(empty.Path, "/")
		pgtest.Exec(t, admin, "DROP DATABASE "+name)
		pgtest.Exec(t, admin, "CREATE DATABASE "+name+" ENCODING '"+encoding+
			"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
		databaseURL := with(t, server, func(u *url.URL, _ url.Values) { u.Path = "/" + name })
		pool := pgtest.Pool(t, databaseURL)
		_, up := db.Up(t.Context(), pool, db.Options{})
		_, err := sessionstore.Open(t.Context(), config(databaseURL))
		validate := db.Validate(t.Context(), pool, db.Options{})
		for how, err := range map[string]error{"up": up, "Open": err, "validate": validate} {
			if err == nil ||
				!strings.Contains(err.Error(), "encoding "+encoding+", must be UTF8") ||
				!strings.Contains(err.Error(), "CREATE DATABASE") {
				t.Errorf("%s: %v", how, err)
			}
		}
		pool.Close()
	}
}

// A pool that was made without ConfigurePool gets an error that names the wrong
// setting.
func TestASettingThatCannotBePinned(t *testing.T) {
	t.Parallel()
	direct := pgtest.Database(t)
	for _, c := range []struct{ setting, mode, says string }{
		{"client_encoding=LATIN1", "exec", "client_encoding is LATIN1, must be UTF8"},
		{"client_encoding=LATIN1", "cache_statement", "client_encoding is LATIN1, must be UTF8"},
		{
			"standard_conforming_strings=off", "simple_protocol",
			"standard_conforming_strings is off, must be on",
		},
	} {
		pool := pgtest.Pool(t, pgtest.Application(t, direct), func(pc *pgxpool.Config) {
			name, value, _ := strings.Cut(c.setting, "=")
			pc.ConnConfig.RuntimeParams[name] = value
		})
		parsed, err := pgxpool.ParseConfig("postgres://h/d?default_query_exec_mode=" + c.mode)
		if err != nil {
			t.Fatal(err)
		}
		pc := pool.Config()
		pc.ConnConfig.DefaultQueryExecMode = parsed.ConnConfig.DefaultQueryExecMode
		pool, err = pgxpool.NewWithConfig(t.Context(), pc)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		if _, err := sessionstore.New(t.Context(), pool, config("")); err == nil ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s in %s: %v, want %q", c.setting, c.mode, err, c.says)
		}
	}
}
