package ops_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// No index of ours is in the order of a locale: an upgrade of glibc or ICU
// would make it miss rows. A text parameter finds what such an index finds.
func TestNoIndexDependsOnALocale(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	const dependent = `
		SELECT coalesce(string_agg(i.indexrelid::regclass || ' by ' || k.collname, ', '), '')
		FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_collation AS k ON k.oid = ANY (i.indcollation::oid[])
		WHERE c.relnamespace = 'pgsession'::regnamespace AND k.collname <> 'C'`
	if got := pgtest.One[string](t, pool, dependent); got != "" {
		t.Errorf("in the order of a locale: %s", got)
	}
	if got := pgtest.One[string](t, pool, "SELECT k.collname FROM pg_attribute AS a JOIN pg_collation AS k ON k.oid = a.attcollation WHERE a.attrelid = 'pgsession.sessions'::regclass AND a.attname = 'user_id'"); got != "C" {
		t.Errorf("user_id has the collation %s", got)
	}
	pgtest.Exec(t, pool, backlog, 10, 10, 20_000)
	pgtest.Exec(t, pool, "ANALYZE pgsession.sessions")
	one := pgtest.Pool(t, url, func(c *pgxpool.Config) { c.MaxConns = 1 })
	pgtest.Exec(t, one, "SET plan_cache_mode = force_generic_plan; PREPARE by_user(text) AS SELECT s.id FROM pgsession.sessions AS s WHERE s.user_id = $1", pgx.QueryExecModeSimpleProtocol)
	rows, err := one.Query(t.Context(), "EXPLAIN EXECUTE by_user('user 7')",
		pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "sessions_user_id_idx") ||
		!strings.Contains(plan, "Index Cond: (user_id = $1)") {
		t.Errorf("the plan:\n%s", plan)
	}
}

// The library that sorts is upgraded: the alarm names what to rebuild.
func TestAlarmAboutACollation(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	alarms := func() (got string) {
		rows, err := pool.Query(t.Context(), pgtest.Ops(t, "alarms.sql"),
			pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		var alarm, detail, advice string
		if _, err := pgx.ForEachRow(rows, []any{&alarm, &detail, &advice}, func() error {
			if alarm == "collation" {
				got += detail + ": " + advice + "\n"
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := alarms(); got != "" {
		t.Errorf("without a reason: %s", got)
	}
	pgtest.Exec(t, pool, `CREATE COLLATION public.sorted (provider = icu, locale = 'de');
		CREATE TABLE pgsession.notes (note text COLLATE public.sorted);
		CREATE INDEX notes_note_idx ON pgsession.notes (note);
		UPDATE pg_collation SET collversion = '1' WHERE collname = 'sorted'`, pgx.QueryExecModeSimpleProtocol)
	if got := alarms(); !strings.Contains(got,
		"index pgsession.notes_note_idx was built with version 1 of the collation sorted") ||
		!strings.Contains(got, "REINDEX INDEX pgsession.notes_note_idx, then ALTER COLLATION ") {
		t.Errorf("of an index: %q", got)
	}
	if pgtest.One[*string](t, pool, "SELECT pg_collation_actual_version(100)") == nil {
		return // Postgres records no version of this database's collation
	}
	pgtest.Exec(t, pool,
		"UPDATE pg_database SET datcollversion = '1' WHERE datname = current_database()")
	if got := alarms(); !strings.Contains(got, "was made with version 1 of its collation") {
		t.Errorf("of the database: %q", got)
	}
}
