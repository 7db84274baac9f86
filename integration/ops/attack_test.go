package ops_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// traps puts traps into a schema, under the names that the prune's code uses.
// Each records that it was called, and as which role. The clock among them
// makes every session look expired.
func traps(t *testing.T, pool *pgxpool.Pool, schema string) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE IF NOT EXISTS public.caught (what text, who text DEFAULT current_user)`,
		`GRANT INSERT ON public.caught TO PUBLIC`,
		`CREATE FUNCTION ` + schema + `.now() RETURNS timestamptz LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('now'); RETURN pg_catalog.now() + interval '10 years'; END$$`,
		`CREATE FUNCTION ` + schema + `.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('clock'); RETURN pg_catalog.now(); END$$`,
		`CREATE FUNCTION ` + schema + `.make_interval(years int DEFAULT 0, months int DEFAULT 0, weeks int DEFAULT 0, days int DEFAULT 0, hours int DEFAULT 0, mins int DEFAULT 0, secs float8 DEFAULT 0)
			RETURNS interval LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.caught VALUES ('interval'); RETURN interval '1 h'; END$$`,
		`CREATE FUNCTION ` + schema + `.later(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('time operator'); RETURN true; END$$`,
		`CREATE FUNCTION ` + schema + `.number(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('number operator'); RETURN false; END$$`,
		`CREATE FUNCTION ` + schema + `.mixed(bigint, integer) RETURNS boolean LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('mixed operator'); RETURN false; END$$`,
		`CREATE FUNCTION ` + schema + `.small(integer, integer) RETURNS boolean LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('small operator'); RETURN false; END$$`,
		`CREATE FUNCTION ` + schema + `.same(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('bytea operator'); RETURN true; END$$`,
		`CREATE FUNCTION ` + schema + `.sum(bigint, integer) RETURNS bigint LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('sum'); RETURN 0; END$$`,
		`CREATE FUNCTION ` + schema + `.sum(timestamptz, interval) RETURNS timestamptz LANGUAGE plpgsql AS
			$$BEGIN INSERT INTO public.caught VALUES ('sum'); RETURN $1; END$$`,
		`CREATE OPERATOR ` + schema + `.<= (FUNCTION = ` + schema +
			`.later, LEFTARG = timestamptz, RIGHTARG = timestamptz)`,
		`CREATE OPERATOR ` + schema + `.>= (FUNCTION = ` + schema +
			`.later, LEFTARG = timestamptz, RIGHTARG = timestamptz)`,
		`CREATE OPERATOR ` + schema + `.= (FUNCTION = ` + schema +
			`.same, LEFTARG = bytea, RIGHTARG = bytea)`,
		`CREATE OPERATOR ` + schema + `.+ (FUNCTION = ` + schema +
			`.sum, LEFTARG = bigint, RIGHTARG = integer)`,
		`CREATE OPERATOR ` + schema + `.+ (FUNCTION = ` + schema +
			`.sum, LEFTARG = timestamptz, RIGHTARG = interval)`,
		`CREATE DOMAIN ` + schema + `.timestamptz AS pg_catalog.timestamptz CHECK (` + schema +
			`.later(VALUE, VALUE))`,
		`GRANT USAGE ON SCHEMA ` + schema + ` TO PUBLIC`,
	} {
		pgtest.Exec(t, pool, sql)
	}
	for _, operator := range []string{"<", ">", "<=", ">="} {
		for f, types := range map[string]string{
			"number": "LEFTARG = bigint, RIGHTARG = bigint",
			"mixed":  "LEFTARG = bigint, RIGHTARG = integer",
			"small":  "LEFTARG = integer, RIGHTARG = integer",
		} {
			pgtest.Exec(t, pool,
				"CREATE OPERATOR "+schema+"."+operator+" (FUNCTION = "+schema+"."+f+", "+types+")")
		}
	}
}

// typeTraps makes a type for each built-in one, by its name. Its CHECK fails.
func typeTraps(t *testing.T, pool *pgxpool.Pool, schema string) {
	t.Helper()
	const sql = `DO $do$
		DECLARE
			name text;
		BEGIN
			CREATE FUNCTION %[1]s.type_trap(pg_catalog.anyelement) RETURNS pg_catalog.bool LANGUAGE plpgsql
				AS 'BEGIN RAISE EXCEPTION ''hijacked: a type''; END';
			FOR name IN
				SELECT t.typname FROM pg_catalog.pg_type AS t WHERE t.typnamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid
					AND t.typtype IN ('b', 'p') AND NOT t.typname ~ '^_'
			LOOP
				EXECUTE pg_catalog.format('CREATE DOMAIN %[1]s.%%I AS pg_catalog.text CHECK (%[1]s.type_trap(VALUE))', name);
			END LOOP;
		END
		$do$`
	pgtest.Exec(t, pool, fmt.Sprintf(sql, schema))
}

// The pruner, or an attacker with its password, puts a schema of traps before
// pg_catalog. It also makes temporary tables, which names without a schema find
// first. The prune runs with the rights of its owner.
func TestAttackByTheCallersSearchPath(t *testing.T) {
	t.Parallel()
	o := staff(t)
	pgtest.Exec(t, o.admin, pgtest.Fill, 3)
	const more = "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) SELECT sha256(convert_to($1 || i, 'UTF8')), now() - interval '1 s', now() FROM generate_series(1, 7) AS i"
	pgtest.Exec(t, o.admin, "CREATE SCHEMA traps")
	traps(t, o.admin, "traps")
	// the job of a careless administrator
	superuser := pgtest.Pool(t, o.admin.Config().ConnString())
	for who, pool := range map[string]*pgxpool.Pool{
		"the pruner": o.pruner, "the application": o.app, "a superuser": superuser,
	} {
		pgtest.Exec(t, o.admin, more, who) // so that the procedure loops several times
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"CREATE TEMP TABLE sessions (id bytea, expires_at timestamptz)",
			"CREATE TEMP TABLE prune_state (last_prune_at timestamptz, pruned_total bigint)",
			"INSERT INTO pg_temp.sessions VALUES ('x', '-infinity')",
			"INSERT INTO pg_temp.prune_state VALUES (NULL, 0)",
			"SET search_path = pg_temp, traps, pg_catalog, pgsession",
			"SELECT pgsession.prune_batch(2)",
			"CALL pgsession.prune(100, 10, 2)",
		} {
			_, err := conn.Exec(t.Context(), sql)
			if err != nil &&
				!(who == "the application" && code(err) == "42501" && sql[:4] == "CALL") {
				t.Errorf("%s: %s: %v", who, sql, err)
			}
		}
		var left int
		if err := conn.QueryRow(t.Context(),
			"SELECT pg_catalog.count(*) FROM pg_temp.sessions").Scan(&left); err != nil ||
			left != 1 {
			t.Errorf("%s: the table of the attacker was pruned: %d rows left, %v", who, left, err)
		}
		_ = conn.Conn().Close(context.Background())
		conn.Release()
		if n := pgtest.One[int](t, o.admin, pgtest.Expired); n != 0 && who != "the application" {
			t.Errorf("%s: %d expired sessions are left", who, n)
		}
	}
	if n := pgtest.One[int](t, o.admin, pgtest.Alive); n != 3 {
		t.Errorf("%d sessions are alive, want 3", n)
	}
	caught := pgtest.One[string](t, o.admin,
		"SELECT coalesce(string_agg(DISTINCT what || ' as ' || who, ', '), '') FROM public.caught")
	if caught != "" {
		t.Errorf("the prune used what the caller put before it: %s", caught)
	}
}

// Code that looks names up runs into the traps: otherwise the test above could
// see nothing.
func TestTheTrapsWork(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	pgtest.Exec(t, pool, "CREATE SCHEMA traps")
	traps(t, pool, "traps")
	for _, sql := range []string{
		"SELECT now() <= now(), clock_timestamp() >= now()",
		"SELECT 1::bigint < 1::bigint, 1::bigint > 1, 1 < 2, 1::bigint + 1",
		"SELECT make_interval(secs => 1), now() + interval '1 s', 'x'::bytea = 'y'::bytea",
	} {
		_, err := pool.Exec(t.Context(), "SET LOCAL search_path = traps, pg_catalog; "+sql,
			pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if n := pgtest.One[int](t, pool, "SELECT count(DISTINCT what) FROM public.caught"); n != 9 {
		t.Errorf("%d of 9 traps were sprung", n)
	}
}

// The catalog records the settings on which the tests above rely.
func TestThePruneIsPinned(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	for _, function := range []string{
		"prune_batch", "count_expired", "table_stats", "count_by_state",
	} {
		const f = "SELECT prosecdef AND 'search_path=pg_catalog, pg_temp' = ANY (proconfig) FROM pg_proc WHERE proname = $1 AND pronamespace = 'pgsession'::regnamespace"
		if !pgtest.One[bool](t, pool, f, function) {
			t.Errorf("%s must be SECURITY DEFINER with a pinned search_path", function)
		}
	}
	const p = "SELECT NOT prosecdef AND proconfig IS NULL FROM pg_proc WHERE proname = 'prune' AND pronamespace = 'pgsession'::regnamespace"
	if !pgtest.One[bool](t, pool, p) {
		t.Error("prune can't commit if it is SECURITY DEFINER or has settings of its own")
	}
	const public = "SELECT count(*) FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a WHERE pronamespace = 'pgsession'::regnamespace AND a.grantee = 0"
	if n := pgtest.One[int](t, pool, public); n != 0 {
		t.Errorf("%d routines are for everybody", n)
	}
}
