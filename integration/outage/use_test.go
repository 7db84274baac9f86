package outage_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// An application that holds every connection is no outage.
func TestAPoolInUseIsNoOutage(t *testing.T) {
	t.Parallel()
	pc, err := pgxpool.ParseConfig(set(t, pgtest.Application(t, pgtest.Database(t)),
		"pool_max_conns", "2"))
	if err != nil {
		t.Fatal(err)
	}
	postgres.ConfigurePool(pc)
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	m, err := sessionstore.New(t.Context(), pool, config(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	testkit.Eventually(t, "Postgres is in use",
		func() bool { return m.Store().Name() == "postgres" })
	for range pc.MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Release)
	}
	noEmergency(t, m, "all connections of the pool are in use")
}

// Nor are other clients that hold every connection of the server.
func TestAServerInUseIsNoOutage(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t,
		map[string]string{"max_connections": "8", "superuser_reserved_connections": "0"})
	m := open(t, config(c.With("pool_max_conns", "2", "pool_max_conn_lifetime", "1ms")))
	hog, err := pgxpool.New(t.Context(), c.With("pool_max_conns", "8"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hog.Close)
	held := 0
	testkit.Eventually(t, "no connection is left", func() bool {
		if conn, err := hog.Acquire(t.Context()); err == nil {
			t.Cleanup(conn.Release)
			held++
		}
		return held >= 8
	})
	noEmergency(t, m, "SQLSTATE 53300")
}

// A server that stops replying is an outage at once, although the connections
// that hang stay in the pool for a quarter of a minute.
func TestAServerThatStopsReplying(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	m := open(t,
		config(c.With("pool_max_conns", "2", "pool_min_conns", "2", "application_name", "ours")))
	pool := c.Pool()
	testkit.Eventually(t, "the pool is full", func() bool {
		return pgtest.One[int](t, pool,
			"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'") == 2
	})
	thaw := c.Freeze()
	frozen := time.Now()
	stop := make(chan struct{})
	defer close(stop)
	for range 4 { // all connections are in use
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = load(m)
				}
			}
		}()
	}
	emergency(t, m)
	if took := time.Since(frozen); took > 12*time.Second {
		t.Errorf("it began after %v", took)
	} else {
		t.Logf("it began after %v", took.Round(time.Millisecond))
	}
	thaw()
	testkit.Eventually(t, "its end", func() bool { return m.Store().Name() == "postgres" })
}

// PgBouncer loses its server after the first contact.
func TestPgBouncerLosesItsServer(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	bouncer, err := servers.PgBouncer(t.Context(), servers.Options{Logf: t.Logf}, c.URL,
		map[string]string{"server_login_retry": "1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Close() })
	m := open(t, config(set(t, bouncer.URL, "default_query_exec_mode", "exec")))
	if m.Store().Name() != "postgres" {
		t.Fatal("the server is not in use")
	}
	c.Stop()
	emergency(t, m)
	c.Restart()
	testkit.Eventually(t, "its end", func() bool { return m.Store().Name() == "postgres" })
}

// A server that closes idle connections is no outage. No call fails, not even a
// save: it had no effect.
func TestIdleConnectionsThatTheServerCloses(t *testing.T) {
	t.Parallel()
	direct := pgtest.Database(t)
	admin, application := pgtest.Pool(t, direct), pgtest.Application(t, direct)
	pgtest.Exec(t, admin,
		"ALTER DATABASE "+admin.Config().ConnConfig.Database+" SET idle_session_timeout = '500ms'")
	var m *sessionstore.Manager
	testkit.Eventually(t, "it opens before its connection is closed", func() bool {
		var err error
		m, err = sessionstore.Open(t.Context(), config(set(t, application, "pool_max_conns", "4")))
		return err == nil
	})
	t.Cleanup(func() { _ = m.Close() })
	id := store.ID{3}
	if _, err := m.Store().Create(t.Context(), store.Draft{ID: id}); err != nil {
		t.Fatal(err)
	}
	const there = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	for i := range 5 {
		testkit.Eventually(t, "the server has closed the connection", func() bool {
			return pgtest.One[int](t, admin, there) == 0
		})
		change := store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage("1")}}
		rec, err := m.Store().Save(t.Context(), id, change)
		if err != nil || rec.Version != int64(i)+2 {
			t.Fatalf("save %d: version %d, %v", i, rec.Version, err)
		}
	}
	if n := m.Count(sessionstore.EventEmergencyBegan); n != 0 {
		t.Errorf("%d emergencies", n)
	}
}
