package migrate_test

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// commands are those that an administrator runs. None may run code of another
// role.
func commands(t *testing.T, pool *pgxpool.Pool) map[string]error {
	t.Helper()
	_, status := db.Status(t.Context(), pool, db.Options{})
	_, _, version := db.Version(t.Context(), pool, db.Options{})
	_, up := db.Up(t.Context(), pool, db.Options{})
	_, down := db.Down(t.Context(), pool, db.Options{})
	return map[string]error{"status": status, "version": version, "up": up, "down": down}
}

// spring is a function that records the role that ran it.
const spring = `
	CREATE TABLE public.caught (who text);
	GRANT ALL ON public.caught TO PUBLIC;
	CREATE FUNCTION public.spring() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.caught VALUES (current_user); RETURN 1; END$$;
	CREATE FUNCTION public.sprung() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.spring(); RETURN NEW; END$$`

// A superuser has restored a dump, so that it owns everything in it. The
// version table may then be a view, or have code of its own.
func TestVersionTableThatRunsCodeIsRefused(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]string{
		"a view": `DROP TABLE pgsession.goose_db_version;
			CREATE VIEW pgsession.goose_db_version AS SELECT 1 AS id, public.spring() AS version_id, true AS is_applied, now()::timestamp AS tstamp`,
		"a trigger": `CREATE TRIGGER t BEFORE DELETE OR INSERT ON pgsession.goose_db_version FOR EACH ROW EXECUTE FUNCTION public.sprung()`,
		"a rule": `CREATE RULE r AS ON INSERT TO pgsession.goose_db_version
			DO ALSO SELECT public.spring()`,
		"a default": `ALTER TABLE pgsession.goose_db_version ALTER COLUMN tstamp SET DEFAULT to_timestamp(public.spring())`,
		"a default that runs text": `ALTER TABLE pgsession.goose_db_version ALTER COLUMN tstamp
			SET DEFAULT (query_to_xml('SELECT public.spring()', true, true, '')::text)::timestamp`,
		"a constraint": `ALTER TABLE pgsession.goose_db_version
			ADD CHECK (public.spring() > 0) NOT VALID`,
		"a policy": `ALTER TABLE pgsession.goose_db_version ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
			CREATE POLICY p ON pgsession.goose_db_version USING (public.spring() > 0)`,
		"an index": `CREATE FUNCTION public.pure(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN public.spring(); END$$;
			CREATE INDEX i ON pgsession.goose_db_version (public.pure(version_id)); TRUNCATE public.caught`,
		"a child":  `CREATE TABLE public.child () INHERITS (pgsession.goose_db_version)`,
		"a domain": `CREATE DOMAIN public.d AS bigint CHECK (public.spring() > 0); ALTER TABLE pgsession.goose_db_version ALTER COLUMN version_id TYPE public.d; TRUNCATE public.caught`,
		"a generated column": `CREATE FUNCTION public.pure(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN public.spring(); END$$;
			ALTER TABLE pgsession.goose_db_version ADD COLUMN g bigint GENERATED ALWAYS AS (public.pure(version_id)) STORED; TRUNCATE public.caught`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.up(t)
			d.exec(t, spring)
			d.exec(t, plant)
			for command, err := range commands(t, d.pool) {
				if err == nil || !strings.Contains(err.Error(), "was not created by a migration") {
					t.Errorf("%s: %v", command, err)
				}
			}
			if n := d.number(t, `SELECT count(*) FROM public.caught`); n != 0 {
				t.Errorf("the code ran %d times", n)
			}
			if n := d.number(t,
				`SELECT count(to_regclass('pgsession.sessions'))`); n != 1 {
				t.Error("down did something")
			}
		})
	}
}

// mallory makes a role that logs in, and a pool for it.
func mallory(t *testing.T, rights string) (name string, in func(*database) *pgxpool.Pool) {
	t.Helper()
	name = newRole(t)
	secret := rand.Text()
	onServer(t, "ALTER ROLE "+name+" LOGIN "+rights+" PASSWORD '"+secret+"'")
	return name, func(d *database) *pgxpool.Pool {
		t.Helper()
		u, err := url.Parse(d.url)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(name, secret)
		return newPool(t, u.String())
	}
}

// A role may CREATE in the database and in public, and nothing else. It can't
// make a superuser's migration run its code.
func TestAttackOnAPrivilegedMigrator(t *testing.T) {
	t.Parallel()
	name, login := mallory(t, "")
	d := newDatabase(t)
	d.exec(t, `GRANT CREATE ON DATABASE `+d.name+` TO `+name)
	d.exec(t, `GRANT CREATE ON SCHEMA public TO `+name)
	d.exec(t, spring)
	evil := login(d)
	for _, sql := range []string{
		`CREATE SCHEMA postgres`, // a superuser's name: $user comes before public
		`GRANT USAGE ON SCHEMA postgres TO PUBLIC`,
		`CREATE FUNCTION public.max(name) RETURNS text LANGUAGE sql AS 'SELECT public.spring()::text'`,
		`CREATE FUNCTION public.pg_try_advisory_lock(text) RETURNS boolean LANGUAGE sql AS 'SELECT public.spring() > 0'`,
		`CREATE FUNCTION public.pg_advisory_unlock(text) RETURNS boolean LANGUAGE sql AS 'SELECT public.spring() > 0'`,
		`CREATE FUNCTION public.pg_column_size(json) RETURNS integer LANGUAGE sql AS 'SELECT public.spring()::integer'`,
		`CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT public.spring()::text'`,
		`CREATE FUNCTION public.joined(name, text) RETURNS text LANGUAGE sql AS 'SELECT public.spring()::text'`,
		`CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = name, RIGHTARG = text)`,
	} {
		if _, err := evil.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for command, err := range commands(t, d.pool) {
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	d.up(t)
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
	d.exec(t, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('a'), now(), now())`)
	d.number(t, `SELECT count(*) FROM pgsession.sessions_by_state`)
	if n := d.number(t, `SELECT count(*) FROM public.caught`); n != 0 {
		t.Errorf("code of mallory ran %d times", n)
	}

	// The same role migrated alone: what it owns may hold its code.
	d = newDatabase(t)
	d.exec(t, `GRANT CREATE ON DATABASE `+d.name+` TO `+name)
	d.exec(t, `GRANT CREATE, USAGE ON SCHEMA public TO `+name)
	if _, err := db.Up(t.Context(), login(d), db.Options{}); err != nil {
		t.Fatal(err)
	}
	for command, err := range commands(t, d.pool) {
		if err == nil || !strings.Contains(err.Error(), "belongs to role") {
			t.Errorf("%s of what mallory owns: %v", command, err)
		}
	}
	d.exec(t, `ALTER TABLE pgsession.goose_db_version OWNER TO CURRENT_USER`)
	if _, err := db.Down(t.Context(), d.pool, db.Options{}); err == nil ||
		!strings.Contains(err.Error(), "schema pgsession belongs to role") {
		t.Errorf("down of a schema of mallory: %v", err)
	}
}

// A pooler that splits transactions loses the search_path of a migration.
func TestMigrationThatLosesItsPathIsRefused(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(t, `CREATE FUNCTION public.lose() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'public', true); END$$`)
	d.exec(t, `CREATE EVENT TRIGGER lose ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION public.lose()`)
	_, err := db.Up(t.Context(), d.pool, db.Options{})
	wantError(t, err, "lost its search_path", "not through a pooler")
	if n := d.number(t, `SELECT count(to_regclass('pgsession.sessions'))`); n != 0 {
		t.Error("it was applied nevertheless")
	}
}

// pgx checks target_session_attrs before any statement of ours runs.
func TestAttackByThePathOfTheDatabase(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(t, spring)
	d.exec(t, `CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT public.spring() < 0'`)
	d.exec(t, `ALTER DATABASE `+d.name+` SET search_path = public, pg_catalog`)
	separator := "?"
	if strings.Contains(d.url, "?") {
		separator = "&"
	}
	for _, attrs := range []string{"primary", "read-write", "any"} {
		for _, command := range []string{"status", "up", "validate", "version", "down"} {
			args := []string{command}
			if command == "down" {
				args = append(args, "-yes")
			}
			r := migrate(t, d.url+separator+"target_session_attrs="+attrs, args...)
			if r.status != 0 {
				t.Errorf("%s with %s: %s", command, attrs, r.stderr)
			}
		}
	}
	if n := d.number(t, `SELECT pg_catalog.count(*) FROM public.caught`); n != 0 {
		t.Errorf("code of the database's owner ran %d times", n)
	}
}
