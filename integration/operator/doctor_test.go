package operator_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
)

// finding is one of doctor -json.
type finding struct{ Check, State, Detail, Remedy string }

// examine runs the doctor and returns its findings that are not ok.
func examine(t *testing.T, e environment, args ...string) (found []finding) {
	t.Helper()
	r := e.run(t, append([]string{"doctor", "-json"}, args...)...)
	var out struct {
		Healthy  bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatalf("%v: status %d\n%s\n%s", err, r.status, r.stdout, r.stderr)
	}
	if (r.status == 0) != out.Healthy || r.status != 0 && r.status != 3 {
		t.Errorf("status %d, healthy %v", r.status, out.Healthy)
	}
	for _, f := range out.Findings {
		if f.State != "ok" {
			found = append(found, f)
		}
	}
	return found
}

// wantFinding checks that a finding is there, with its remedy.
func wantFinding(t *testing.T, found []finding, check, state, detail, remedy string) {
	t.Helper()
	for _, f := range found {
		if f.Check == check && f.State == state && strings.Contains(f.Detail, detail) &&
			strings.Contains(f.Remedy, remedy) {
			return
		}
	}
	t.Errorf("no finding %s, %s: %s -> %s in:\n%+v", check, state, detail, remedy, found)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	wrongs := func(found []finding) (n int) {
		for _, f := range found {
			if f.State == "wrong" && f.Check != "settings" { // a test's server may lose data
				n++
			}
		}
		return n
	}
	found := examine(t, s.env)
	if wrongs(found) > 0 {
		t.Errorf("a good installation: %+v", found)
	}
	wantFinding(t, found, "environment", "note", "SESSION_SECRET: is not set", "this command")
	wantFinding(t, found, "alarms", "note", "does not see", "pg_monitor")

	pgtest.Exec(t, admin, "REVOKE DELETE ON pgsession.sessions FROM "+s.roles.App)
	wantFinding(t, examine(t, s.env), "rights", "wrong", "lacks rights",
		"pgsession ops roles | psql \"$DATABASE_URL\" as a superuser, or as the role that deploys, or GRANT DELETE ON pgsession.sessions TO ")
	pgtest.Exec(t, admin, "GRANT DELETE ON pgsession.sessions TO "+s.roles.App)

	pgtest.Exec(t, admin, "DROP INDEX pgsession.sessions_tags_idx")
	pgtest.Exec(t, admin, `INSERT INTO pgsession.marks (id, key, revoked_at)
		VALUES (substr(sha256('m'), 1, 16), sha256('k'), now() + interval '1 hour')`)
	found = examine(t, s.env)
	wantFinding(t, found, "schema", "wrong", "index sessions_tags_idx is missing",
		"pgsession migrate up")
	wantFinding(t, examine(t, environment{"DATABASE_URL": s.url}), "schema", "wrong",
		"index sessions_tags_idx is missing", "by what `pgsession migrate print up` prints")
	wantFinding(t, found, "revoke from the future", "wrong", "a revoke has the time",
		"set the clock")

	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET synchronous_commit = off")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET default_transaction_read_only = on")
	large, err := url.Parse(s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	query := large.Query()
	query.Set("pool_max_conns", "5000")
	large.RawQuery = query.Encode()
	found = examine(t, s.env, "-database-url", large.String())
	wantFinding(t, found, "settings", "wrong", "synchronous_commit is off", "set it on")
	wantFinding(t, found, "settings", "wrong", "one instance may take 5000", "pool_max_conns")
	wantFinding(t, found, "rights", "wrong", "transactions are read-only",
		"default_transaction_read_only")

	super := environment{"DATABASE_URL": pgtest.EmptyDatabase(t)}
	found = examine(t, super)
	wantFinding(t, found, "schema", "wrong", "schema pgsession is missing", "pgsession migrate up")
	wantFinding(t, found, "connection", "note", "is a superuser", "pgsession ops roles")
	found = examine(t, super, "-schema", "shop")
	wantFinding(t, found, "schema", "wrong", "schema shop is missing",
		"pgsession migrate up -schema shop; or set SESSION_SCHEMA")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" NOLOGIN")
	wantFinding(t, examine(t, s.env), "connection", "wrong", "28000", "ALTER ROLE … LOGIN")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" LOGIN")

	found = examine(t, environment{"DATABASE_URL": "postgres://me:sesame@127.0.0.1:1/x"})
	wantFinding(t, found, "connection", "wrong", "127.0.0.1:1", "DATABASE_URL")
	wantFinding(t, examine(t, environment{}), "environment", "wrong", "no database", "set it")
	s.env.run(t, "doctor").wants(t, 3, `(?m)^wrong  schema: .*\n       -> pgsession migrate up`, "")
}

func TestDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := newSite(t)
	s.env["USE_REDIS_SESSIONS"], s.env["REDIS_URL"] = "true", redis.URL
	found := examine(t, s.env)
	wantFinding(t, found, "environment", "wrong", "SESSION_ENCRYPTION_KEY", "set it")
	wantFinding(t, found, "alarms", "note", "does not see", "pg_monitor") // the rest goes on
	key := strings.Repeat("0123456789abcdef", 4)
	s.env["SESSION_ENCRYPTION_KEY"] = key
	s.env.run(t, "doctor").wants(t, 3, `(?m)^ok     redis: it takes`, "") // fsync is off
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	wantFinding(t, examine(t, s.env), "redis", "wrong", "OOM", "INFO memory")
	redis.Kill()
	wantFinding(t, examine(t, s.env), "redis", "wrong", "refused", "Postgres serves")
	r := s.env.run(t, "doctor")
	r.wants(t, 3, `(?m)^wrong  redis: `, "") // no line of go-redis's own
	r.wantNoSecret(t, key, redis.URL)
}

// A schema that is complete fails all the same behind what others have made.
func TestDoctorFindsObstacles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	pgtest.Exec(t, admin, `CREATE TABLE pgsession.own (n integer UNIQUE CHECK (n > 0) REFERENCES
		pgsession.own (n))`) // of the application
	for _, f := range examine(t, s.env) {
		if f.Check == "obstacles" {
			t.Errorf("a good installation: %+v", f)
		}
	}
	owner := pgtest.One[string](t, admin, `SELECT pg_get_userbyid(relowner)::text FROM pg_class
		WHERE oid = 'pgsession.sessions'::regclass`)
	pgtest.Exec(t, admin, `
		CREATE TABLE public.carts (session bytea REFERENCES pgsession.sessions);
		CREATE TABLE public.seen (session bytea REFERENCES pgsession.sessions ON DELETE CASCADE);
		ALTER TABLE pgsession.sessions ADD CONSTRAINT never CHECK (false) NOT VALID;
		ALTER TABLE pgsession.sessions ADD CONSTRAINT mine CHECK (version < 1000000);
		ALTER FUNCTION pgsession.prune_batch(integer) OWNER TO `+s.roles.App+`;
		REVOKE DELETE ON pgsession.sessions FROM `+owner+`;
		CREATE SCHEMA pgsession_support;
		CREATE VIEW pgsession_support.sessions AS SELECT 1 AS n;
		CREATE VIEW pgsession_support.events AS SELECT 1 AS n`)
	found := examine(t, s.env)
	const check = "obstacles"
	wantFinding(t, found, check, "wrong", "lacks its view logged_in", "ops support")
	wantFinding(t, found, check, "wrong", "foreign key carts_session_fkey of table",
		"DROP CONSTRAINT carts_session_fkey")
	wantFinding(t, found, check, "wrong", "constraint never of table sessions",
		"ALTER TABLE pgsession.sessions DROP CONSTRAINT never")
	wantFinding(t, found, check, "note", "constraint mine of table sessions", "unless you know it")
	wantFinding(t, found, check, "wrong", "lacks DELETE",
		"GRANT ALL ON pgsession.sessions TO "+owner)
	wantFinding(t, found, check, "wrong", "owns prune_batch", "ALTER ROUTINE")
	for _, f := range found {
		if strings.Contains(f.Detail, "seen_session_fkey") {
			t.Errorf("a foreign key that deletes: %+v", f)
		}
	}
}

// The doctor has the path of an application, and says what it did not look at.
func TestDoctorHasThePathOfTheRole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	wantFinding(t, examine(t, s.env), "schema", "note", "bodies of functions were not compared",
		"as the owner")
	for _, f := range examine(t, environment{"DATABASE_URL": s.url}) {
		if f.Check == "schema" {
			t.Errorf("the owner sees all: %+v", f)
		}
	}
	database := pgtest.One[string](t, admin, "SELECT quote_ident(current_database())")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" IN DATABASE "+database+
		" SET search_path = public, pg_catalog")
	wantFinding(t, examine(t, s.env), "rights", "wrong", "search_path", "put it first")
	s.env.run(t, "migrate", "validate").wants(t, 0, `^the schema is what`,
		`bodies of functions .* not compared.*PGOPTIONS`)
	environment{"DATABASE_URL": s.url}.run(t, "migrate", "validate").wants(t, 0,
		`^the schema is what`, "")
}

// Postgres refuses updates and deletes that a publication can't describe, and
// roles.sql looks for publications only before it hands the tables over.
func TestDoctorFindsPublications(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.login(t, "ada")
	admin := pgtest.Pool(t, s.url)
	for _, c := range []struct {
		plant                 string
		fails                 bool // each delete
		state, detail, remedy string
		back                  string
	}{
		{
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY NOTHING", false, "note",
			"table sessions has REPLICA IDENTITY NOTHING, which no migration gives it: updates and",
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY FULL", false, "note",
			"table sessions has REPLICA IDENTITY FULL, which", "DEFAULT, unless a subscriber",
			"ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`ALTER TABLE pgsession.sessions REPLICA IDENTITY NOTHING;
				CREATE PUBLICATION odd FOR TABLE pgsession.sessions`, true, "wrong",
			"each update and delete fails, as publication odd has it", "REPLICA IDENTITY DEFAULT",
			"DROP PUBLICATION odd; ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`ALTER TABLE pgsession.sessions REPLICA IDENTITY NOTHING;
				CREATE PUBLICATION odd FOR ALL TABLES`, true, "wrong",
			"each update and delete fails, as publication odd has it", "REPLICA IDENTITY DEFAULT",
			"DROP PUBLICATION odd; ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`CREATE UNIQUE INDEX odd ON pgsession.sessions (id, created_at);
				ALTER TABLE pgsession.sessions REPLICA IDENTITY USING INDEX odd;
				DROP INDEX pgsession.odd;
				CREATE PUBLICATION odd FOR TABLES IN SCHEMA pgsession`, true, "wrong",
			"USING INDEX, which no migration gives it: each update and delete fails", "DEFAULT",
			"DROP PUBLICATION odd; ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`ALTER TABLE pgsession.sessions REPLICA IDENTITY NOTHING;
				CREATE PUBLICATION odd FOR TABLE pgsession.sessions WITH (publish = 'insert')`,
			false, "note", "updates and deletes fail when a publication has it", "DEFAULT",
			"DROP PUBLICATION odd; ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			"CREATE PUBLICATION odd FOR TABLE pgsession.sessions (version)", true, "wrong",
			"publication odd has not the whole key of table sessions",
			"ALTER PUBLICATION odd DROP TABLE pgsession.sessions", "DROP PUBLICATION odd",
		},
		{
			"CREATE PUBLICATION odd FOR TABLE pgsession.sessions WHERE (version > 3)",
			true, "wrong", "or a filter by other columns", "without columns and WHERE",
			"DROP PUBLICATION odd",
		},
		{
			`ALTER TABLE pgsession.sessions REPLICA IDENTITY FULL;
				CREATE PUBLICATION odd FOR TABLE pgsession.sessions (id)`, true, "wrong",
			"publication odd has not the whole key", "ALTER PUBLICATION odd DROP TABLE",
			"DROP PUBLICATION odd; ALTER TABLE pgsession.sessions REPLICA IDENTITY DEFAULT",
		},
		{
			`CREATE PUBLICATION odd FOR TABLE pgsession.sessions;
				ALTER PUBLICATION odd OWNER TO ` + s.roles.App, false, "wrong",
			"publication odd of role " + s.roles.App + " has table sessions, which role " +
				s.roles.Owner + " owns",
			"ALTER PUBLICATION odd DROP TABLE pgsession.sessions, or ALTER PUBLICATION odd OWNER TO " +
				s.roles.Owner, "DROP PUBLICATION odd",
		},
	} {
		pgtest.Exec(t, admin, "GRANT CREATE ON DATABASE "+
			admin.Config().ConnConfig.Database+" TO "+s.roles.App)
		pgtest.Exec(t, admin, c.plant, pgx.QueryExecModeSimpleProtocol)
		wantFinding(t, examine(t, s.env), "obstacles", c.state, c.detail, c.remedy)
		if _, err := admin.Exec(t.Context(), `DO $$BEGIN
			DELETE FROM pgsession.sessions;
			IF NOT FOUND THEN RAISE EXCEPTION 'no row'; END IF;
			RAISE SQLSTATE '99999'; END$$`); (code(err) != "99999") != c.fails {
			t.Errorf("after %s a delete returns %v", c.plant, err)
		}
		pgtest.Exec(t, admin, c.back, pgx.QueryExecModeSimpleProtocol)
	}
	// These describe each change, and belong to the owner or to a superuser.
	pgtest.Exec(t, admin, `CREATE PUBLICATION mine FOR TABLE pgsession.sessions (id, data), pgsession.marks
			WHERE (id > '');
		ALTER PUBLICATION mine OWNER TO `+s.roles.Owner+`;
		CREATE PUBLICATION added FOR TABLE pgsession.events (kind, at) WITH (publish = 'insert');
		CREATE PUBLICATION all_tables FOR ALL TABLES`, pgx.QueryExecModeSimpleProtocol)
	for _, f := range examine(t, s.env) {
		if f.Check == "obstacles" {
			t.Errorf("good publications: %+v", f)
		}
	}
}

// code returns the SQLSTATE of an error; "" for any other.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
