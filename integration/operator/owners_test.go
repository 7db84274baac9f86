package operator_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/dburl"
)

// shared is a database with roles that log in beside the superuser: shop, which
// may make schemas, and eve.
type shared struct {
	url, shop, eve string
	admin          *pgxpool.Pool
}

const password = "sesame"

func newShared(t *testing.T) *shared {
	t.Helper()
	d := &shared{url: pgtest.EmptyDatabase(t)}
	d.admin = pgtest.Pool(t, d.url)
	d.shop, d.eve = d.role(t, "shop"), d.role(t, "eve")
	pgtest.Exec(t, d.admin, "GRANT CREATE ON DATABASE "+d.name()+" TO "+d.shop)
	for _, sql := range []string{
		"CREATE TABLE public.caught (who text)",
		"GRANT INSERT ON public.caught TO PUBLIC",
		"CREATE TABLE public.session (sid text, sess json, expire timestamp)", // to import
		`CREATE FUNCTION public.spring(v bytea) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
			'BEGIN RETURN true; END'`,
		`CREATE FUNCTION public.seen() RETURNS boolean LANGUAGE plpgsql AS
			'BEGIN INSERT INTO public.caught VALUES (session_user); RETURN true; END'`,
		`CREATE FUNCTION public.sprung() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN INSERT INTO public.caught VALUES (session_user); RETURN NULL; END'`,
		"ALTER FUNCTION public.spring(bytea) OWNER TO " + d.eve,
		"ALTER FUNCTION public.sprung() OWNER TO " + d.eve,
	} {
		pgtest.Exec(t, d.admin, sql)
	}
	return d
}

func (d *shared) name() string { return d.admin.Config().ConnConfig.Database }

// role makes a role that logs in, and drops it with the database.
func (d *shared) role(t *testing.T, name string) string {
	t.Helper()
	name = d.name() + "_" + name
	pgtest.Exec(t, d.admin, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
	t.Cleanup(func() {
		server := pgtest.Pool(t, pgtest.ServerURL(t))
		pgtest.Exec(t, server, "DROP DATABASE IF EXISTS "+d.name()+" WITH (FORCE)")
		pgtest.Exec(t, server, "DROP ROLE "+name)
	})
	return name
}

// as returns the environment of a role; "" is the superuser.
func (d *shared) as(t *testing.T, role string) environment {
	t.Helper()
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal("the URL is not valid")
	}
	if role != "" {
		u.User = url.UserPassword(role, password)
	}
	return environment{"DATABASE_URL": u.String(), "PGOPTIONS": ""}
}

// fill makes a session of ada, as a superuser whose statement runs no trigger.
func (d *shared) fill(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		"DELETE FROM public.caught",
		`INSERT INTO pgsession.sessions (id, user_id, login_id, authenticated_at, expires_at,
				absolute_expires_at)
			SELECT sha256(random()::text::bytea), 'ada', gen_random_uuid(), now(),
				now() + interval '1 day', now() + interval '1 day'`,
		"DELETE FROM public.caught",
	} {
		pgtest.Exec(t, d.admin, sql)
	}
}

var everyCommand = []string{
	"sessions -all", "sessions -user ada", "stats", "stats -exact", "export -user ada",
	"erase -user ada -yes", "revoke -user ada", "revoke -before 1s -yes", "revoke -all -yes",
	"migrate import express",
}

// wantRefused checks that a command runs no code of shop, which owns the
// schema, and names a role to log in as.
func (d *shared) wantRefused(t *testing.T, e environment, logIn string, commands ...string) {
	t.Helper()
	d.fill(t)
	problem := "schema pgsession belongs to role " + d.shop +
		", whose code could run with your rights"
	remedy := "log in as role " + logIn
	clean := strings.NewReplacer(`"`, "")
	for _, command := range commands {
		r := e.run(t, strings.Fields(command)...)
		if said := clean.Replace(r.stderr); r.status != 1 || r.stdout != "" ||
			!strings.Contains(said, problem+": "+remedy+"\n") {
			t.Errorf("%s: status %d\n%s\n%s\nwant %s: %s", command, r.status, r.stdout, r.stderr,
				problem, remedy)
		}
	}
	found := examine(t, e)
	for i, f := range found {
		found[i].Detail, found[i].Remedy = clean.Replace(f.Detail), clean.Replace(f.Remedy)
	}
	wantFinding(t, found, "owners", "wrong", problem, remedy+"; for good, pgsession ops roles")
	for table, want := range map[string]int{"public.caught": 0, "pgsession.sessions": 1} {
		if n := pgtest.One[int](t, d.admin, "SELECT count(*) FROM "+table); n != want {
			t.Errorf("%d rows of %s, want %d", n, table, want)
		}
	}
	pgtest.Exec(t, d.admin, "DELETE FROM pgsession.sessions")
}

// An owner with fewer rights than the operator's may have left code in its
// tables, which would run with the operator's.
func TestNoCommandRunsALesserRolesCode(t *testing.T) {
	t.Parallel()
	d := newShared(t)
	d.as(t, d.shop).run(t, "migrate", "up").wants(t, 0, `applied 00001`, "")
	pgtest.Exec(t, d.admin, `CREATE TRIGGER odd AFTER DELETE ON pgsession.sessions
		FOR EACH STATEMENT EXECUTE FUNCTION public.sprung()`)
	pgtest.Exec(t, d.admin, `CREATE TRIGGER odd AFTER INSERT ON pgsession.marks
		FOR EACH STATEMENT EXECUTE FUNCTION public.sprung()`)
	super := d.as(t, "")
	d.wantRefused(t, super, d.shop, everyCommand...)
	// Code can leave the role that a session has taken on.
	super["PGOPTIONS"] = "-c role=" + d.shop
	d.wantRefused(t, super, d.shop, "revoke -user ada")

	// A role that can become a superuser, and one that can become any other.
	dba, root, creator := d.role(t, "dba"), d.role(t, "root"), d.role(t, "creator")
	pgtest.Exec(t, d.admin, "ALTER ROLE "+dba+" NOINHERIT")
	pgtest.Exec(t, d.admin, "ALTER ROLE "+root+" SUPERUSER NOCREATEROLE")
	pgtest.Exec(t, d.admin, "GRANT "+root+" TO "+dba)
	pgtest.Exec(t, d.admin, "ALTER ROLE "+creator+" CREATEROLE")
	d.wantRefused(t, d.as(t, dba), d.shop, "revoke -user ada")
	d.wantRefused(t, d.as(t, creator), d.shop, "revoke -user ada")
	// A member of the owner that is a member of another role too.
	till, both := d.role(t, "till"), d.role(t, "both")
	pgtest.Exec(t, d.admin, "GRANT "+d.shop+" TO "+both)
	d.as(t, both).run(t, "stats").wants(t, 0, `^alive`, "")
	pgtest.Exec(t, d.admin, "GRANT "+till+" TO "+both)
	d.wantRefused(t, d.as(t, both), d.shop, "revoke -user ada")
	super["PGOPTIONS"] = ""
	d.wantRefused(t, super, d.shop, "stats")
	// An owner that can't log in has members that can.
	pgtest.Exec(t, d.admin, "ALTER ROLE "+d.shop+" NOLOGIN")
	d.as(t, both).run(t, "stats").wants(t, 0, `^alive`, "")
	pgtest.Exec(t, d.admin, "GRANT "+d.shop+" TO "+d.eve)
	d.wantRefused(t, super, both, "revoke -user ada") // the first by name
	// The alarms of the doctor read the tables.
	pgtest.Exec(t, d.admin, "ALTER TABLE pgsession.marks RENAME TO others")
	pgtest.Exec(t, d.admin,
		"CREATE VIEW pgsession.marks AS SELECT * FROM pgsession.others WHERE public.seen()")
	pgtest.Exec(t, d.admin, `INSERT INTO pgsession.others (id, key)
		SELECT substr(h, 1, 16), h FROM sha256('') AS h`)
	d.wantRefused(t, super, both, "stats")
}

// The roles of an application work as before: its own, which owns nothing, the
// owner, and two members of the owner that take turns.
func TestTheRolesOfAnApplicationAreNotRefused(t *testing.T) {
	t.Parallel()
	d := newShared(t)
	d.as(t, d.shop).run(t, "migrate", "up").wants(t, 0, `applied 00001`, "")
	app, blue, green := d.role(t, "app"), d.role(t, "blue"), d.role(t, "green")
	for _, sql := range []string{
		"GRANT USAGE ON SCHEMA pgsession TO " + app,
		"GRANT ALL ON ALL TABLES IN SCHEMA pgsession TO " + app,
		"GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgsession TO " + app,
		"GRANT pg_monitor TO " + app,
		"GRANT " + d.shop + " TO " + blue, "GRANT " + d.shop + " TO " + green,
	} {
		pgtest.Exec(t, d.admin, sql)
	}
	for _, role := range []string{app, d.shop, blue, green} {
		d.fill(t)
		e := d.as(t, role)
		e.run(t, "sessions", "-user", "ada").wants(t, 0, ` ada `, "")
		e.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 1`, "")
		for _, f := range examine(t, e) {
			if f.Check == "owners" {
				t.Errorf("%s: %+v", role, f)
			}
		}
	}
}

// A member of the owner that is a superuser, or can become one, gains nothing.
func TestASuperuserMayBeAMemberOfTheOwner(t *testing.T) {
	t.Parallel()
	d := newShared(t)
	d.as(t, d.shop).run(t, "migrate", "up").wants(t, 0, `applied 00001`, "")
	root, dba := d.role(t, "root"), d.role(t, "dba")
	for _, sql := range []string{
		"ALTER ROLE " + d.shop + " NOLOGIN", "GRANT " + d.shop + " TO " + root,
		"ALTER ROLE " + root + " SUPERUSER", "GRANT " + root + " TO " + dba,
	} {
		pgtest.Exec(t, d.admin, sql)
	}
	d.as(t, "").run(t, "stats").wants(t, 0, `^alive`, "")
}

// The tables of a superuser may use, and lead to, what another role owns.
func TestNoCommandRunsCodeThatTheTablesLeadTo(t *testing.T) {
	t.Parallel()
	d := newShared(t)
	d.as(t, "").run(t, "migrate", "up").wants(t, 0, `applied 00001`, "")
	pgtest.Exec(t, d.admin, "CREATE DOMAIN public.kind AS integer CHECK (public.spring(''))")
	pgtest.Exec(t, d.admin, "ALTER DOMAIN public.kind OWNER TO "+d.eve)
	const spring = "function public.spring(pg_catalog.bytea)"
	for _, c := range []struct{ plant, object, back string }{
		{
			`CREATE TRIGGER odd AFTER DELETE ON pgsession.sessions
				FOR EACH STATEMENT EXECUTE FUNCTION public.sprung()`,
			"function public.sprung()", "DROP TRIGGER odd ON pgsession.sessions",
		},
		{
			"ALTER TABLE pgsession.marks ADD COLUMN odd boolean DEFAULT public.spring('')",
			spring, "ALTER TABLE pgsession.marks DROP COLUMN odd",
		},
		{
			"ALTER TABLE pgsession.marks ADD CONSTRAINT odd CHECK (public.spring(key))",
			spring, "ALTER TABLE pgsession.marks DROP CONSTRAINT odd",
		},
		{
			"CREATE INDEX odd ON pgsession.marks (public.spring(key))", spring,
			"DROP INDEX pgsession.odd",
		},
		{
			"CREATE POLICY odd ON pgsession.sessions USING (public.spring(id))", spring,
			"DROP POLICY odd ON pgsession.sessions",
		},
		{
			"CREATE RULE odd AS ON DELETE TO pgsession.sessions DO ALSO SELECT public.spring('')",
			spring, "DROP RULE odd ON pgsession.sessions",
		},
		{
			"CREATE STATISTICS public.odd ON (public.spring(id)) FROM pgsession.sessions", spring,
			"DROP STATISTICS public.odd",
		},
		{
			"CREATE VIEW pgsession.peek AS SELECT public.spring('')", spring,
			"DROP VIEW pgsession.peek",
		},
		{
			"ALTER TABLE pgsession.marks ADD COLUMN odd public.kind", "type public.kind",
			"ALTER TABLE pgsession.marks DROP COLUMN odd",
		},
		{
			"ALTER FUNCTION pgsession.prune_batch(integer) OWNER TO " + d.eve,
			"function pgsession.prune_batch(integer)",
			"ALTER FUNCTION pgsession.prune_batch(integer) OWNER TO CURRENT_USER",
		},
		{
			"ALTER SCHEMA pgsession OWNER TO " + d.eve, "schema pgsession",
			"ALTER SCHEMA pgsession OWNER TO CURRENT_USER",
		},
		{
			"ALTER TABLE pgsession.locks OWNER TO " + d.eve, "table pgsession.locks",
			"ALTER TABLE pgsession.locks OWNER TO CURRENT_USER",
		},
		// An AFTER trigger on carts runs in the statement that ends a session.
		{
			`CREATE TABLE public.carts (s bytea REFERENCES pgsession.sessions ON DELETE CASCADE);
				ALTER TABLE public.carts OWNER TO ` + d.eve,
			"table public.carts", "DROP TABLE public.carts",
		},
		{
			`CREATE TABLE public.carts (s bytea REFERENCES pgsession.sessions ON DELETE CASCADE);
				CREATE TRIGGER odd AFTER DELETE ON public.carts
				FOR EACH STATEMENT EXECUTE FUNCTION public.sprung()`,
			"function public.sprung()", "DROP TABLE public.carts",
		},
		{
			`CREATE TABLE pgsession.own (n integer);
				CREATE TABLE public.more () INHERITS (pgsession.own);
				ALTER TABLE public.more OWNER TO ` + d.eve,
			"table public.more", "DROP TABLE pgsession.own CASCADE",
		},
	} {
		for sql := range strings.SplitSeq(c.plant, ";\n") {
			pgtest.Exec(t, d.admin, sql)
		}
		e := d.as(t, "")
		for _, command := range []string{"revoke -user ada", "stats"} {
			r := e.run(t, strings.Fields(command)...)
			if said := strings.ReplaceAll(r.stderr, `"`, ""); r.status != 1 ||
				!strings.Contains(said, c.object+" belongs to role "+d.eve+", whose code") {
				t.Errorf("%s after %s: %+v", command, c.plant, r)
			}
		}
		pgtest.Exec(t, d.admin, c.back)
	}
	// What reads the tables does not run in a statement on them.
	pgtest.Exec(t, d.admin,
		"CREATE VIEW public.mine AS SELECT public.spring(id) FROM pgsession.sessions")
	pgtest.Exec(t, d.admin, "ALTER VIEW public.mine OWNER TO "+d.eve)
	d.as(t, "").run(t, "stats").wants(t, 0, `^alive`, "")
}

// The owner of a database sets the path of those who connect, and the check of
// target_session_attrs of pgx names no schema.
func TestThePathOfTheDatabaseAndTheTarget(t *testing.T) {
	t.Parallel()
	d := newShared(t)
	super := d.as(t, "")
	super.run(t, "migrate", "up").wants(t, 0, `applied 00001`, "")
	u, err := url.Parse(super["DATABASE_URL"])
	if err != nil {
		t.Fatal("the URL is not valid")
	}
	for _, attrs := range []string{"primary", "prefer-standby"} {
		query := u.Query()
		query.Set("target_session_attrs", attrs)
		u.RawQuery = query.Encode()
		super["DATABASE_URL"] = u.String()
		super.run(t, "stats").wants(t, 0, `^alive`, "")
		super.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 0`, "")
		// No transaction stays open behind the check.
		conn, err := pgtest.Pool(t, u.String(), dburl.CheckTargetWithBuiltIns).Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status := conn.Conn().PgConn().TxStatus(); status != 'I' {
			t.Errorf("%s: the connection has the status %c", attrs, status)
		}
		conn.Release()
	}
	pgtest.Exec(t, d.admin, `CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql
		AS $$INSERT INTO public.caught VALUES (session_user); SELECT false$$`)
	pgtest.Exec(t, d.admin, "ALTER DATABASE "+d.name()+" SET search_path = public, pg_catalog")
	for _, command := range []string{"stats", "doctor", "revoke -user ada"} {
		if r := super.run(t, strings.Fields(command)...); r.status == 0 {
			t.Errorf("%s: %s", command, r.stdout)
		}
	}
	if n := pgtest.One[int](t, d.admin, "SELECT pg_catalog.count(*) FROM public.caught"); n != 0 {
		t.Errorf("code of the database's owner ran %d times", n)
	}
}
