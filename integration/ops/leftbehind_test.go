package ops_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// formerly is a database whose sessions another role has migrated.
type formerly struct {
	url, shop, eve string
	admin, as      *pgxpool.Pool
	roles          *strings.Replacer
}

func migratedByAnother(t *testing.T) *formerly {
	t.Helper()
	url := pgtest.EmptyDatabase(t)
	admin := pgtest.Pool(t, url)
	name := admin.Config().ConnConfig.Database
	f := &formerly{url: url, admin: admin, shop: name + "_shop", eve: name + "_eve"}
	f.roles = strings.NewReplacer("pgsession_owner", name+"_owner", "pgsession_app", name+"_app",
		"pgsession_pruner", name+"_pruner", "pgsession_monitor", name+"_monitor")
	t.Cleanup(func() {
		server := pgtest.Pool(t, pgtest.ServerURL(t))
		pgtest.Exec(t, server, "DROP DATABASE "+name+" WITH (FORCE)")
		for _, role := range []string{"shop", "eve", "app", "pruner", "monitor", "owner"} {
			pgtest.Exec(t, server, "DROP ROLE IF EXISTS "+name+"_"+role)
		}
	})
	must(t, admin, fmt.Sprintf(`CREATE ROLE %[1]s; CREATE ROLE %[2]s;
		GRANT CREATE ON DATABASE %[3]s TO %[1]s; GRANT CREATE ON SCHEMA public TO %[1]s`, f.shop, f.eve, name))
	f.as = f.pool(t, f.shop)
	if _, err := db.Up(t.Context(), f.as, db.Options{}); err != nil {
		t.Fatal(err)
	}
	return f
}

// trusting is roles.sql of a superuser who trusts the role that migrated.
func (f *formerly) trusting(t *testing.T) string {
	t.Helper()
	return "SET pgsession.trusted_owner = '" + f.shop + "," + f.eve + "';\n" +
		f.roles.Replace(pgtest.Ops(t, "roles.sql"))
}

func (f *formerly) pool(t *testing.T, role string) *pgxpool.Pool {
	t.Helper()
	return pgtest.Pool(t, f.url, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["role"] = role
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	})
}

// No list of what a former owner can leave behind is complete, so a superuser
// says that they trust them.
func TestRolesTakeASchemaOverFromATrustedRoleOnly(t *testing.T) {
	t.Parallel()
	f := migratedByAnother(t)
	file := f.roles.Replace(pgtest.Ops(t, "roles.sql"))
	refused := func(who string) {
		t.Helper()
		fails(t, pgtest.Pool(t, f.url), file, "schema pgsession has objects of "+who)
	}
	refused(f.shop)
	must(t, f.as, "GRANT USAGE, CREATE ON SCHEMA pgsession TO "+f.eve)
	for kind, rest := range map[string]string{
		"TABLE pgsession.t": "(a int)", "TYPE pgsession.e": "AS ENUM ()",
		"FUNCTION pgsession.f()": "RETURNS int LANGUAGE sql AS 'SELECT 1'",
	} {
		eve := f.pool(t, f.eve)
		must(t, eve, "CREATE "+kind+" "+rest)
		fails(t, pgtest.Pool(t, f.url), "SET pgsession.trusted_owner = '"+f.shop+"';\n"+file,
			"schema pgsession has objects of "+f.eve)
		must(t, eve, "DROP "+kind)
	}
	must(t, pgtest.Pool(t, f.url), "SET pgsession.trusted_owner = '"+f.shop+"';\n"+file)
	must(t, pgtest.Pool(t, f.url), file) // no other role owns anything now
}

// The role that migrated before has granted rights to another. roles.sql leaves
// none of them: not by default privileges, and not by a grant that was passed
// on.
func TestRolesTakeBackWhatOthersWereGranted(t *testing.T) {
	t.Parallel()
	f := migratedByAnother(t)
	must(t, f.as, strings.ReplaceAll(`
		GRANT USAGE, CREATE ON SCHEMA pgsession TO eve WITH GRANT OPTION;
		GRANT SELECT, TRIGGER, REFERENCES, TRUNCATE ON pgsession.sessions TO eve WITH GRANT OPTION;
		GRANT SELECT (user_id), UPDATE (data) ON pgsession.sessions TO eve;
		GRANT INSERT (revoked_at) ON pgsession.marks TO eve;
		GRANT ALL ON pgsession.stats TO eve;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgsession TO eve;
		GRANT UPDATE (id) ON pgsession.sessions TO PUBLIC;
		ALTER DEFAULT PRIVILEGES IN SCHEMA pgsession GRANT ALL ON TABLES TO eve;
		ALTER DEFAULT PRIVILEGES IN SCHEMA pgsession GRANT EXECUTE ON FUNCTIONS TO eve`, "eve", f.eve))
	must(t, f.pool(t, f.eve),
		"GRANT SELECT ON pgsession.sessions TO PUBLIC; GRANT USAGE ON SCHEMA pgsession TO PUBLIC")
	for range 2 {
		must(t, f.admin, f.trusting(t))
	}
	const left = `
		WITH n AS (SELECT oid, nspacl FROM pg_namespace WHERE nspname = 'pgsession'), granted AS (
			SELECT 'schema' AS object, a.* FROM n, aclexplode(nspacl) AS a
			UNION ALL SELECT c.relname, a.* FROM n, pg_class AS c, aclexplode(c.relacl) AS a WHERE c.relnamespace = n.oid
			UNION ALL SELECT c.relname || '.' || t.attname, a.* FROM n, pg_class AS c, pg_attribute AS t, aclexplode(t.attacl) AS a
				WHERE c.relnamespace = n.oid AND t.attrelid = c.oid
			UNION ALL SELECT p.proname, a.* FROM n, pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE p.pronamespace = n.oid
			UNION ALL SELECT 'a default', a.* FROM n, pg_default_acl AS d, aclexplode(d.defaclacl) AS a WHERE d.defaclnamespace = n.oid
		)
		SELECT coalesce(string_agg(concat_ws(' ', grantee::regrole, privilege_type, object), '; '), '') FROM granted
		WHERE grantee = 0 OR grantee IN ($1::regrole, $2::regrole)`
	if got := pgtest.One[string](t, f.admin, left, f.eve, f.shop); got != "" {
		t.Errorf("left: %s", got)
	}
	for pool, sql := range map[*pgxpool.Pool]string{
		f.pool(t, f.eve):  "SELECT user_id FROM pgsession.sessions",
		f.pool(t, f.shop): "SELECT pgsession.prune_batch(1)",
	} {
		if err := try(t.Context(), pool, sql); code(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Code that the previous owner has left would run as the owner, or as the
// application.
func TestRolesRefuseToHandOverWhatNoMigrationMade(t *testing.T) {
	t.Parallel()
	f := migratedByAnother(t)
	// To restore a body, the migrations run again.
	again := func() {
		t.Helper()
		if _, err := db.Down(t.Context(), f.as, db.Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Up(t.Context(), f.as, db.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	file := f.trusting(t)
	must(t, f.as, `CREATE FUNCTION public.lie() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE FUNCTION public.look(bytea) RETURNS bytea IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'`)
	for _, c := range []struct{ plant, want, back string }{
		{
			"CREATE FUNCTION pgsession.door(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE q; END'",
			"routine pgsession.door(text)", "DROP FUNCTION pgsession.door(text)",
		},
		{
			"CREATE FUNCTION pgsession.prune_batch(max_rows bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::bigint'",
			"routine pgsession.prune_batch(bigint)", "DROP FUNCTION pgsession.prune_batch(bigint)",
		},
		{
			"CREATE OR REPLACE FUNCTION pgsession.prune_batch(max_rows integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN 0; END'",
			"routine pgsession.prune_batch(integer)", "",
		},
		{
			"ALTER FUNCTION pgsession.count_expired(integer) SET search_path = public",
			"routine pgsession.count_expired(integer)", "",
		},
		{
			"ALTER PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) SECURITY DEFINER",
			"routine pgsession.prune(", "",
		},
		{
			"CREATE OR REPLACE FUNCTION pgsession.idle_deadline(idle interval, resolution interval) RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT 'infinity'::timestamptz$$",
			"routine pgsession.idle_deadline(", "",
		},
		{
			"ALTER FUNCTION pgsession.prune_batch(integer) STABLE",
			"routine pgsession.prune_batch(integer)", "",
		},
		{
			"CREATE TRIGGER keep BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.lie()",
			"trigger keep on pgsession.sessions", "DROP TRIGGER keep ON pgsession.sessions",
		},
		{
			"CREATE RULE keep AS ON DELETE TO pgsession.marks DO INSTEAD NOTHING",
			"rule keep on pgsession.marks", "DROP RULE keep ON pgsession.marks",
		},
		{
			"CREATE POLICY few ON pgsession.sessions USING (false)",
			"policy few on pgsession.sessions", "DROP POLICY few ON pgsession.sessions",
		},
		{
			"CREATE VIEW pgsession.peek AS SELECT * FROM pgsession.sessions",
			"view or foreign table pgsession.peek", "DROP VIEW pgsession.peek",
		},
		{
			"CREATE MATERIALIZED VIEW pgsession.peek AS SELECT * FROM pgsession.sessions",
			"view or foreign table pgsession.peek", "DROP MATERIALIZED VIEW pgsession.peek",
		},
		{
			"CREATE INDEX odd ON pgsession.sessions (public.look(id))",
			"function public.look(pg_catalog.bytea) that pgsession.odd uses",
			"DROP INDEX pgsession.odd",
		},
		{
			"ALTER TABLE pgsession.sessions ADD COLUMN odd bytea DEFAULT public.look('')",
			"function public.look(pg_catalog.bytea) that a default of pgsession.sessions uses",
			"ALTER TABLE pgsession.sessions DROP COLUMN odd",
		},
		{
			"ALTER TABLE pgsession.sessions ADD CONSTRAINT odd CHECK (public.look(id) IS NOT NULL)",
			"function public.look(pg_catalog.bytea) that constraint odd uses",
			"ALTER TABLE pgsession.sessions DROP CONSTRAINT odd",
		},
		{
			`ALTER TABLE pgsession.marks ALTER revoked_at SET DEFAULT now()
				+ octet_length(query_to_xml('SELECT 1', false, false, '')::text::bytea) * interval '0 s'`,
			"function query_to_xml that a default of pgsession.marks calls", "",
		},
		{
			"ALTER TABLE pgsession.prune_state ADD CONSTRAINT odd CHECK (query_to_xml('SELECT 1', false, false, '') IS NOT NULL)",
			"function query_to_xml that constraint odd calls",
			"ALTER TABLE pgsession.prune_state DROP CONSTRAINT odd",
		},
		{
			`CREATE OPERATOR pgsession.### (FUNCTION = pg_catalog.lo_unlink, RIGHTARG = oid);
				ALTER TABLE pgsession.marks ADD CONSTRAINT odd CHECK ((OPERATOR(pgsession.###) 0::oid) > 0)`,
			"function lo_unlink that constraint odd calls",
			"ALTER TABLE pgsession.marks DROP CONSTRAINT odd; DROP OPERATOR pgsession.### (NONE, oid)",
		},
		{
			`CREATE OR REPLACE VIEW pgsession.sessions_by_state AS SELECT 'x'::text AS state,
				octet_length(query_to_xml('SELECT 1', false, false, '')::text)::bigint AS sessions`,
			"function query_to_xml that pgsession.sessions_by_state calls", "",
		},
		{
			`CREATE VIEW public.odd AS SELECT 'x'::text AS state, 1::bigint AS sessions;
				CREATE OR REPLACE VIEW pgsession.sessions_by_state AS SELECT o.state, o.sessions FROM public.odd AS o`,
			"view public.odd that pgsession.sessions_by_state uses", "",
		},
		{
			`CREATE OR REPLACE PROCEDURE pgsession.prune(IN max_rows bigint DEFAULT octet_length(query_to_xml('SELECT 1', false, false, '')::text),
				IN max_seconds bigint DEFAULT 1, IN batch_rows bigint DEFAULT 1, INOUT deleted bigint DEFAULT 0) LANGUAGE plpgsql AS 'BEGIN END'`,
			"function query_to_xml that an argument of pgsession.prune", "",
		},
		{
			"CREATE DOMAIN pgsession.odd AS integer DEFAULT length(public.look('')); ALTER TABLE pgsession.marks ADD COLUMN odd pgsession.odd",
			"type pgsession.odd",
			"ALTER TABLE pgsession.marks DROP COLUMN odd; DROP DOMAIN pgsession.odd",
		},
		{
			"CREATE DOMAIN public.kind AS integer DEFAULT length(public.look('')); ALTER TABLE pgsession.marks ADD COLUMN odd public.kind",
			"domain public.kind of column pgsession.marks.odd",
			"ALTER TABLE pgsession.marks DROP COLUMN odd; DROP DOMAIN public.kind",
		},
		{
			"CREATE STATISTICS public.odd ON (query_to_xml('SELECT 1', false, false, '')::text) FROM pgsession.sessions",
			"statistics public.odd", "DROP STATISTICS public.odd",
		},
		{
			"CREATE PUBLICATION odd FOR TABLE pgsession.sessions (version)",
			"publication odd of pgsession.sessions", "DROP PUBLICATION odd",
		},
		{
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY NOTHING",
			"replica identity of pgsession.sessions",
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`CREATE UNIQUE INDEX odd ON pgsession.sessions (id, created_at);
				ALTER TABLE pgsession.sessions REPLICA IDENTITY USING INDEX odd`,
			"replica identity of pgsession.sessions",
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT; DROP INDEX pgsession.odd",
		},
		{
			"CREATE TABLE public.more () INHERITS (pgsession.sessions)",
			"table public.more that inherits from pgsession.sessions", "DROP TABLE public.more",
		},
		{
			"CREATE TABLE public.held (id bytea REFERENCES pgsession.sessions)",
			"foreign key held_id_fkey of public.held", "DROP TABLE public.held",
		},
	} {
		must(t, f.as, c.plant)
		fails(t, f.admin, file, c.want)
		if c.back == "" {
			again()
		} else {
			must(t, f.as, c.back)
		}
	}
	if n := pgtest.One[int](t, f.admin, "SELECT count(*) FROM pg_class WHERE relnamespace = 'pgsession'::regnamespace AND relowner <> $1::regrole", f.shop); n != 0 {
		t.Errorf("%d objects were handed over nevertheless", n)
	}
	// What a superuser publishes, or wants to.
	must(t, f.admin, "CREATE PUBLICATION good FOR TABLE pgsession.sessions; "+
		"ALTER TABLE pgsession.marks REPLICA IDENTITY FULL")
	must(t, f.admin, file)
	// An object that the owner makes afterwards is its own.
	must(t, f.admin, f.roles.Replace(`SET ROLE pgsession_owner;
		CREATE DOMAIN pgsession.own AS text CHECK (query_to_xml('SELECT 1', false, false, '') IS NOT NULL);
		ALTER TABLE pgsession.marks ADD COLUMN own pgsession.own;
		CREATE STATISTICS pgsession.own ON (query_to_xml('SELECT 1', false, false, '')::text) FROM pgsession.sessions;
		ALTER TABLE pgsession.endings REPLICA IDENTITY NOTHING; RESET ROLE`))
	must(t, f.admin, "CREATE TRIGGER audit AFTER DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.lie()")
	must(t, f.admin, file)
}
