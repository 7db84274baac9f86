package citus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Both files can be run again, in either order. The roles have on the shards
// what they have on the table, and no more.
func rights(t *testing.T, c *cluster) {
	roles := c.roles.Rename(pgtest.Ops(t, "roles.sql"))
	pgtest.Exec(t, c.admin, roles, pgx.QueryExecModeSimpleProtocol)
	store, _ := c.store(t)
	sessions(t, store, "ada", 1)
	pgtest.Exec(t, c.admin, "DELETE FROM pgsession.user_sessions")
	c.nodes[0].Distribute()
	c.entered(t) // as after a restore of the sessions alone

	for role, refused := range map[string][]string{
		c.roles.App: {
			"UPDATE pgsession.sessions SET created_at = now()",
			"TRUNCATE pgsession.sessions, pgsession.marks",
			"UPDATE pgsession.prune_state SET pruned_total = 0",
		},
		c.roles.Pruner: {
			"SELECT count(*) FROM pgsession.sessions", "DELETE FROM pgsession.sessions",
		},
		c.roles.Monitor: {
			"SELECT id FROM pgsession.sessions",
			"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada'",
			"SELECT pgsession.prune_batch(1)",
		},
	} {
		pool := c.roles.Pool(t, role)
		for _, sql := range refused {
			_, err := pool.Exec(t.Context(), sql)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "42501" && pg.Code != "25006" {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}
	// An owner that can't log in to the nodes could not prune: citus.sql
	// refuses it first.
	pgtest.Exec(t, c.admin, "ALTER ROLE "+c.roles.Owner+" NOLOGIN")
	_, err := c.admin.Exec(t.Context(), pgtest.Ops(t, "citus.sql"), pgx.QueryExecModeSimpleProtocol)
	if err == nil || !strings.Contains(err.Error(), "can not log in to the nodes") {
		t.Errorf("%v", err)
	}
	pgtest.Exec(t, c.admin, "ALTER ROLE "+c.roles.Owner+" LOGIN")
}

// The monitor reads the views and the alarms, and both are about the shards.
func monitors(t *testing.T, c *cluster) {
	pgtest.Exec(t, c.admin, "GRANT pg_monitor TO "+c.roles.Monitor)
	monitor := c.roles.Pool(t, c.roles.Monitor)
	store, _ := c.store(t)
	sessions(t, store, "ada", 3)
	pgtest.Exec(t, c.admin, pgtest.Fill, 20)
	const states = "SELECT string_agg(state || ' ' || sessions, ', ' ORDER BY state)" +
		" FROM pgsession.sessions_by_state"
	expect(t, "by state", pgtest.One[string](t, monitor, states),
		"anonymous 20, authenticated 3, expired 20, pending 0")

	const stats = `SELECT table_bytes > 0 AND index_bytes > 0 AND expired = 20
		AND oldest_expired_at < now() AND pruned_total = 0 FROM pgsession.stats`
	expect(t, "stats", pgtest.One[bool](t, monitor, stats), true)
	expect(t, "bytes of the tables", pgtest.One[int](t, monitor,
		"SELECT table_bytes FROM pgsession.stats"), pgtest.One[int](t, c.admin,
		"SELECT citus_table_size('pgsession.sessions')"))
	pgtest.Exec(t, c.admin, "DELETE FROM pgsession.sessions WHERE user_id = 'ada'")
	// A connection of a node reports its changes seconds after making them.
	testkit.Eventually(t, "the rows of the shards are counted", func() bool {
		pgtest.Exec(t, c.admin, "ANALYZE pgsession.sessions")
		return pgtest.One[bool](t, monitor,
			"SELECT live_rows = 40 AND dead_rows >= 3 FROM pgsession.stats")
	})
	testkit.Eventually(t, "the vacuum of the shards is seen", func() bool {
		pgtest.Exec(t, c.admin, "VACUUM pgsession.sessions")
		return pgtest.One[bool](t, monitor,
			"SELECT dead_rows = 0 AND last_vacuum_at IS NOT NULL FROM pgsession.stats")
	})

	pgtest.Exec(t, c.admin, "DELETE FROM pgsession.sessions WHERE expires_at <= now()")
	alarms := pgtest.Ops(t, "alarms.sql")
	count := func() int {
		rows, err := monitor.Query(t.Context(), alarms)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; rows.Next(); n++ {
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	expect(t, "alarms when all is well", count(), 0)
	pgtest.Exec(t, c.admin, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at)
		VALUES (sha256('late'), now() - interval '61 minutes', now())`)
	expect(t, "alarms of a session that nothing prunes", count(), 1)
}

// citus.sql for a schema of another name distributes that schema's table.
func worksInAnotherSchema(t *testing.T, c *cluster) {
	opts := db.Options{Schema: "shop"}
	if _, err := db.Up(t.Context(), c.admin, opts); err != nil {
		t.Fatal(err)
	}
	defer pgtest.Exec(t, c.admin, "DROP SCHEMA shop CASCADE",
		pgx.QueryExecModeSimpleProtocol)
	sql, err := db.Ops("citus", opts)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, c.admin, sql, pgx.QueryExecModeSimpleProtocol)
	expect(t, "distributed tables of shop", pgtest.One[int](t, c.admin, `SELECT count(*)
		FROM pg_dist_partition WHERE logicalrelid = 'shop.sessions'::regclass`), 1)
	inner, err := postgres.NewIn(c.admin, "shop", daily, testkit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := sessions(t, inner, "ada", 3)
	next := testkit.NewID()
	if _, err := inner.Rotate(t.Context(), ids[0], next, store.Change{}); err != nil {
		t.Error(err)
	}
	_, r, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"})
	if err != nil || r.Count != len(ids) {
		t.Errorf("revoked %d: %v", r.Count, err)
	}
}

// An application that connects to a worker would prune and lock beside the
// others: its start fails.
func refusesAWorker(t *testing.T, c *cluster) {
	store := postgres.New(c.nodes[1].Pool(), daily, testkit.Patience)
	err := store.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "prune_state") {
		t.Errorf("%v, want that prune_state is missing", err)
	}
}

// The coordinator's own table is empty: the estimate comes from the shards.
func estimates(t *testing.T, c *cluster) {
	store, sent := c.store(t)
	const rows = 60_000
	pgtest.Exec(t, c.admin, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at, data)
		SELECT sha256(convert_to('s' || i, 'UTF8')), now() + CASE WHEN i <= 500 THEN -1 ELSE 1 END * interval '1 hour', now() + interval '1 day', jsonb_build_object('v', repeat('x', 400))
		FROM generate_series(1, $1::int) AS i`, rows)
	pgtest.Exec(t, c.admin, "ANALYZE pgsession.sessions")
	s, err := store.Stats(t.Context(), false)
	if err != nil || s.Exact || s.Expired != 500 || s.Total < rows*9/10 || s.Total > rows*11/10 ||
		s.Active != s.Total-s.Expired {
		t.Errorf("of a big table: %+v, %v", s, err)
	}
	pgtest.Exec(t, c.admin, "TRUNCATE pgsession.sessions, pgsession.marks")
	sessions(t, store, "ada", 3)
	if s, err = store.Stats(t.Context(), false); err != nil || !s.Exact || s.Total != 3 ||
		s.Active != 3 {
		t.Errorf("of a small table: %+v, %v", s, err)
	}
	expect(t, "ExpiryEstimate was sent", sent.Count("ExpiryEstimate"), 0)
}
