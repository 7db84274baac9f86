package ops_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// office is a database with the roles of roles.sql, and a pool for each.
type office struct {
	*pgtest.Roles
	admin, owner, app, pruner, monitor *pgxpool.Pool
}

func staff(t *testing.T) *office {
	t.Helper()
	url, admin := database(t)
	return officeOf(t, admin, pgtest.NewRoles(t, url))
}

func officeOf(t *testing.T, admin *pgxpool.Pool, r *pgtest.Roles) *office {
	t.Helper()
	return &office{
		r, admin, r.Pool(t, r.Owner), r.Pool(t, r.App), r.Pool(t, r.Pruner), r.Pool(t, r.Monitor),
	}
}

// byLetter returns the pools by the letters of the matrix.
func (o *office) byLetter() map[string]*pgxpool.Pool {
	return map[string]*pgxpool.Pool{"o": o.owner, "a": o.app, "p": o.pruner, "m": o.monitor}
}

// matrix lists statements with the roles that may run them, by the letters o,
// a, p and m. For every other role a statement fails with a missing right, and
// for no other reason.
var matrix = []struct{ may, sql string }{
	// What the application needs.
	{"oa", "SELECT * FROM pgsession.sessions"},
	{"oa", "SELECT id, data FROM pgsession.sessions WHERE id = sha256('a') FOR NO KEY UPDATE"},
	{"oa", "SELECT id FROM pgsession.sessions FOR UPDATE SKIP LOCKED"},
	{"oa", "INSERT INTO pgsession.sessions (id, version, created_at, expires_at, absolute_expires_at) VALUES (sha256('b'), 2, now(), now(), now())"},
	{"oa", "UPDATE pgsession.sessions SET version = version + 1, last_seen_at = now(), expires_at = now(), authenticated_at = now()"},
	{
		"oa", "UPDATE pgsession.sessions SET user_id = 'alice', ip = '::1', user_agent = 'x', data = '{}'",
	},
	{"oa", "UPDATE pgsession.sessions SET absolute_expires_at = now() + interval '1 year'"},
	{"oa", "DELETE FROM pgsession.sessions WHERE id = sha256('a')"},
	{
		"oa",
		"INSERT INTO pgsession.marks (id, key) VALUES (substr(sha256('m'), 1, 16), sha256('k'))",
	},
	{"oa", "SELECT id, key, revoked_at FROM pgsession.marks"},
	{"oa", "INSERT INTO pgsession.endings (id, reason) VALUES (sha256('e'), 'ended') ON CONFLICT (id) DO NOTHING"},
	{"oa", "SELECT id, reason, ended_at FROM pgsession.endings"},
	{"oa", "SELECT n FROM pgsession.locks ORDER BY n FOR UPDATE"},
	{"oa", "SELECT n FROM pgsession.locks WHERE n = 7 FOR KEY SHARE"},
	{"oa", "INSERT INTO pgsession.events (kind, user_id) VALUES ('session login', 'a')"},
	{"oa", "SELECT tx, id, at, kind, detail FROM pgsession.events"},
	{"oa", "SELECT last_prune_at, pruned_total FROM pgsession.prune_state"},
	// Postgres allows it to every role that may DELETE.
	{"oa", "LOCK TABLE pgsession.sessions IN ACCESS EXCLUSIVE MODE"},
	{"oap", "SELECT pgsession.prune_batch(1)"},
	{"op", "CALL pgsession.prune()"},
	{"om", "SELECT * FROM pgsession.stats"},
	{"om", "SELECT * FROM pgsession.sessions_by_state"},
	{"oapm", "SELECT pg_relation_size('pgsession.sessions'::regclass)"},

	// What only the owner may.
	{"o", "UPDATE pgsession.sessions SET id = sha256('c') WHERE id = sha256('b')"},
	{"o", "UPDATE pgsession.sessions SET created_at = now()"},
	{"o", "INSERT INTO pgsession.marks (id, key, revoked_at) VALUES (substr(sha256('m'), 1, 16), sha256('k'), now() + interval '1 hour')"},
	{"oam", "SELECT max(revoked_at) FROM pgsession.marks WHERE false"},
	{"o", "UPDATE pgsession.marks SET revoked_at = now()"},
	{"o", "DELETE FROM pgsession.marks"},
	{"o", "INSERT INTO pgsession.endings (id, reason, ended_at) VALUES (sha256('e'), 'ended', now() + interval '1 hour')"},
	{"o", "INSERT INTO pgsession.endings (n, id, reason) OVERRIDING SYSTEM VALUE VALUES (1, sha256('e'), 'ended')"},
	{"o", "UPDATE pgsession.endings SET reason = 'ended'"},
	{"o", "DELETE FROM pgsession.endings"},
	{"o", "DELETE FROM pgsession.locks WHERE false"},
	{"oa", "INSERT INTO pgsession.locks (n) VALUES (7) ON CONFLICT (n) DO NOTHING"},
	{"o", "SELECT nextval('pgsession.endings_n_seq')"},
	{"o", "INSERT INTO pgsession.events (kind, at) VALUES ('session login', now())"},
	{"o", "INSERT INTO pgsession.events (kind, tx) VALUES ('session login', '3')"},
	{"o", "UPDATE pgsession.events SET kind = 'session login'"},
	{"o", "DELETE FROM pgsession.events"},
	{"o", "TRUNCATE pgsession.events"},
	{"o", "UPDATE pgsession.prune_state SET keep_events = '2 days'"},
	{"o", "UPDATE pgsession.prune_state SET pruned_total = 0"},
	{"o", "INSERT INTO pgsession.prune_state DEFAULT VALUES ON CONFLICT DO NOTHING"},
	{"o", "DELETE FROM pgsession.prune_state WHERE NOT only_row"},
	{"o", "SELECT FROM pgsession.prune_state FOR UPDATE"},
	{"o", "TRUNCATE pgsession.sessions"},
	{"o", "TRUNCATE pgsession.prune_state"},
	{"o", "LOCK TABLE pgsession.prune_state IN EXCLUSIVE MODE"},
	{"o", "CREATE TABLE pgsession.mine (a int)"},
	{"o", "CREATE FUNCTION pgsession.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
	{"o", "CREATE VIEW pgsession.mine AS SELECT 1 AS a"},
	{"o", "CREATE TRIGGER mine BEFORE INSERT ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
	{"o", "CREATE INDEX mine ON pgsession.sessions (last_seen_at)"},
	{"o", "CREATE RULE mine AS ON INSERT TO pgsession.sessions DO ALSO SELECT 1"},
	{"o", "ALTER TABLE pgsession.sessions ADD COLUMN mine int"},
	{"o", "ALTER TABLE pgsession.sessions SET (fillfactor = 100)"},
	{"o", "ALTER TABLE pgsession.sessions DISABLE TRIGGER ALL"},
	{"o", "ALTER FUNCTION pgsession.prune_batch(integer) RESET search_path"},
	{"o", "ALTER FUNCTION pgsession.prune_batch(integer) SECURITY INVOKER"},
	{"o", "DROP PROCEDURE pgsession.prune"},
	{"o", "DROP VIEW pgsession.stats"},
	{"o", "DROP TABLE pgsession.sessions CASCADE"},
	{"o", "DROP SCHEMA pgsession CASCADE"},
	{"o", "COMMENT ON TABLE pgsession.sessions IS 'mine'"},
	{"o", "ALTER TABLE pgsession.sessions ENABLE ROW LEVEL SECURITY"},
	{"o", "SELECT * FROM pgsession.goose_db_version"},
	{"o", "INSERT INTO pgsession.goose_db_version (version_id, is_applied) VALUES (99, true)"},
	{"o", "DELETE FROM pgsession.goose_db_version"},
	{"o", "TRUNCATE pgsession.goose_db_version"},
	{"o", "DROP TABLE pgsession.goose_db_version"},

	// What not even the owner may.
	{"", "CREATE TABLE public.mine (a int)"},
	{"", "CREATE SCHEMA mine"},
	{"", "CREATE ROLE mine"},
	{"", "COPY (SELECT 1) TO PROGRAM 'true'"},
	{"", "SELECT pg_read_file('PG_VERSION')"},
	{"", "SET session_replication_role = 'replica'"},
}

// Every statement as every role, each rolled back.
func TestEveryRoleMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	o := staff(t)
	// What servers before version 15 allow every role.
	pgtest.Exec(t, o.admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	pgtest.Exec(t, o.admin, "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('a'), now() + interval '1 h', now() + interval '1 h')")
	for letter, pool := range o.byLetter() {
		for _, c := range matrix {
			judge(t, pool, letter, c.sql, strings.Contains(c.may, letter))
		}
	}
}

// judge runs a statement as a role that may, or may not, run it.
func judge(t *testing.T, pool *pgxpool.Pool, letter, sql string, may bool) {
	t.Helper()
	switch err := try(t.Context(), pool, sql); {
	case may && err != nil:
		t.Errorf("%s can not: %s: %v", letter, sql, err)
	case !may && err == nil:
		t.Errorf("%s can: %s", letter, sql)
	case !may && code(err) != "42501" && code(err) != "25006": // the monitor reads only
		t.Errorf("%s is refused for another reason: %s: %v", letter, sql, err)
	}
}

// try runs a statement in a transaction that is rolled back. It runs a CALL
// that commits outside of one.
func try(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	if strings.HasPrefix(sql, "CALL") {
		_, err := pool.Exec(ctx, sql)
		return err
	}
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(ctx, sql)
	return err
}

// The exact list of grants. A grant too many fails here, even if no statement
// above uses it.
func TestEveryGrantIsKnown(t *testing.T) {
	t.Parallel()
	o := staff(t)
	rows, err := o.admin.Query(t.Context(), `
		WITH n AS (SELECT oid, nspacl, nspowner FROM pg_namespace WHERE nspname = 'pgsession'), granted AS (
			SELECT 'schema' AS object, a.* FROM n, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS a
			UNION ALL
			SELECT c.relname, a.* FROM pg_class AS c JOIN n ON n.oid = c.relnamespace,
				aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
			UNION ALL
			SELECT c.relname || '.' || t.attname, a.* FROM pg_class AS c JOIN n ON n.oid = c.relnamespace
				JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a
			UNION ALL
			SELECT p.proname, a.* FROM pg_proc AS p JOIN n ON n.oid = p.pronamespace,
				aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
		)
		SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END || ' ' || privilege_type || ' ' || object
			|| CASE WHEN is_grantable THEN ' and may pass it on' ELSE '' END
		FROM granted WHERE pg_get_userbyid(grantee) <> $1`, o.Owner)
	if err != nil {
		t.Fatal(err)
	}
	granted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for role, rights := range map[string][]string{
		o.App: {
			"USAGE schema", "SELECT sessions", "INSERT sessions", "DELETE sessions",
			"SELECT prune_state", "EXECUTE idle_deadline", "EXECUTE prune_batch",
			"EXECUTE count_expired", "EXECUTE methods_now",
			"SELECT marks", "INSERT marks.id", "INSERT marks.key",
			"SELECT endings", "INSERT endings.id", "INSERT endings.reason",
			"SELECT locks", "INSERT locks.n", "UPDATE locks.n",
			"SELECT user_sessions", "INSERT user_sessions", "DELETE user_sessions",
			"UPDATE user_sessions.written_at", "UPDATE user_sessions.expires_at",
			"SELECT events", "INSERT events.kind", "INSERT events.user_id", "INSERT events.session",
			"INSERT events.login_id", "INSERT events.level", "INSERT events.ip",
			"INSERT events.user_agent", "INSERT events.methods",
			"INSERT events.reason", "INSERT events.actor", "INSERT events.detail",
			"INSERT events.count",
			"UPDATE sessions.version", "UPDATE sessions.last_seen_at", "UPDATE sessions.expires_at",
			"UPDATE sessions.absolute_expires_at", "UPDATE sessions.authenticated_at",
			"UPDATE sessions.user_id", "UPDATE sessions.ip", "UPDATE sessions.user_agent",
			"UPDATE sessions.data", "UPDATE sessions.pending_since", "UPDATE sessions.login_id",
			"UPDATE sessions.pending_user_id", "UPDATE sessions.methods", "UPDATE sessions.tags",
		},
		o.Pruner: {"USAGE schema", "EXECUTE prune_batch", "EXECUTE prune"},
		o.Monitor: {
			"USAGE schema", "SELECT stats", "SELECT sessions_by_state",
			"SELECT sessions.expires_at", "SELECT prune_state.reached_at",
			"SELECT marks.revoked_at", "SELECT events.at", "EXECUTE count_expired",
			"EXECUTE table_stats", "EXECUTE count_by_state",
		},
	} {
		for _, right := range rights {
			want = append(want, role+" "+right)
		}
	}
	for _, g := range granted {
		if !slices.Contains(want, g) {
			t.Errorf("one too many: %s", g)
		}
	}
	for _, w := range want {
		if !slices.Contains(granted, w) {
			t.Errorf("missing: %s", w)
		}
	}
	const powers = `SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)
		AND NOT rolsuper AND NOT rolcreaterole AND NOT rolcreatedb AND NOT rolreplication AND NOT rolbypassrls AND rolcanlogin = (rolname <> $2)`
	if n := pgtest.One[int](t, o.admin, powers,
		[]string{o.Owner, o.App, o.Pruner, o.Monitor}, o.Owner); n != 4 {
		t.Errorf("%d of 4 roles have no powers of their own", n)
	}
	const foreign = `SELECT count(*) FROM pg_class WHERE relnamespace = 'pgsession'::regnamespace AND relowner <> $1::regrole`
	if n := pgtest.One[int](t, o.admin, foreign, o.Owner); n != 0 {
		t.Errorf("%d relations do not belong to the owner", n)
	}
}

// roles.sql can be run again, and takes back grants that were made by hand.
func TestRolesCanBeMadeAgain(t *testing.T) {
	t.Parallel()
	o := staff(t)
	pgtest.Exec(t, o.admin, "GRANT UPDATE ON pgsession.sessions TO "+o.Pruner)
	pgtest.Exec(t, o.admin, "GRANT SELECT (data) ON pgsession.sessions TO "+o.Monitor)
	pgtest.Exec(t, o.admin, "GRANT EXECUTE ON FUNCTION pgsession.prune_batch TO PUBLIC")
	for range 2 {
		if err := run(t.Context(), o.admin, o.Rename(pgtest.Ops(t, "roles.sql"))); err != nil {
			t.Fatal(err)
		}
	}
	for pool, sql := range map[*pgxpool.Pool]string{
		o.pruner:  "UPDATE pgsession.sessions SET version = 1",
		o.monitor: "SELECT data FROM pgsession.sessions",
	} {
		if err := try(t.Context(), pool, sql); code(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if err := try(t.Context(), o.monitor, "SELECT pgsession.prune_batch(1)"); code(err) != "42501" {
		t.Errorf("everybody may still prune: %v", err)
	}
}

func TestRolesWantTheSchemaFirst(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.EmptyDatabase(t))
	err := run(t.Context(), pool,
		strings.ReplaceAll(pgtest.Ops(t, "roles.sql"), "pgsession_", "pgsession_never_"))
	if err == nil || !strings.Contains(err.Error(), "run `migrate up` first") {
		t.Errorf("%v", err)
	}
	n := pgtest.One[int](t, pool,
		"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pgsession_never_%'")
	if n != 0 {
		t.Errorf("%d roles were made nevertheless", n)
	}
}

// A role without SUPERUSER, as on managed services: it owns the database and
// may make roles.
func TestRolesWithoutASuperuser(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.EmptyDatabase(t)
	admin := pgtest.Pool(t, databaseURL)
	name := admin.Config().ConnConfig.Database
	pgtest.Exec(t, admin, "CREATE ROLE "+name+"_admin CREATEROLE")
	pgtest.Exec(t, admin, fmt.Sprintf("ALTER DATABASE %s OWNER TO %[1]s_admin", name))
	pgtest.Exec(t, admin, "GRANT CREATE ON SCHEMA public TO "+name+"_admin")
	as := func(role string) *pgxpool.Pool {
		return pgtest.Pool(t, databaseURL, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["role"] = role
		})
	}
	migrator := as(name + "_admin")
	if _, err := db.Up(t.Context(), migrator, db.Options{}); err != nil {
		t.Fatal(err)
	}
	rename := strings.NewReplacer("pgsession_owner", name+"_owner", "pgsession_app", name+"_app",
		"pgsession_pruner", name+"_pruner", "pgsession_monitor", name+"_monitor",
		"pgsession_support", name+"_support", "pgsession_auditor", name+"_auditor")
	sql := rename.Replace(pgtest.Ops(t, "roles.sql"))
	t.Cleanup(func() {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, pgtest.ServerURL(t))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		_, _ = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		for _, role := range []string{
			"app", "pruner", "monitor", "support", "auditor", "owner", "admin",
		} {
			if _, err := conn.Exec(ctx, "DROP ROLE IF EXISTS "+name+"_"+role); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		if err := run(t.Context(), migrator, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(t.Context(), as(name+"_app"), "SELECT * FROM pgsession.sessions"); err != nil {
		t.Errorf("the application: %v", err)
	}
	// The same role, logged in as itself, makes what support has.
	itself, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	itself.User = url.UserPassword(name+"_admin", "sesame")
	pgtest.Exec(t, admin, "ALTER ROLE "+name+"_admin LOGIN PASSWORD 'sesame'")
	creator := pgtest.Pool(t, itself.String())
	for range 2 {
		must(t, creator, rename.Replace(pgtest.Ops(t, "support.sql")))
	}
	revoke := "CALL " + name + "_support.revoke_user('ada')"
	if err := try(t.Context(), as(name+"_support"), revoke); err != nil {
		t.Errorf("support: %v", err)
	}
	must(t, creator, "DROP SCHEMA "+name+"_support CASCADE") // it holds the tables
	pgtest.Exec(t, admin, "ALTER ROLE "+name+"_admin NOLOGIN")
	// The owner runs the next migrations: the last one is undone and redone.
	owner := as(name + "_owner")
	if _, err := db.Down(t.Context(), owner, db.Options{}); err != nil {
		t.Fatalf("down as the owner: %v", err)
	}
	// for the first migration alone
	pgtest.Exec(t, admin, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %[1]s_owner", name))
	if _, err := db.Up(t.Context(), owner, db.Options{}); err != nil {
		t.Fatalf("up as the owner: %v", err)
	}
	if err := try(t.Context(), as(name+"_pruner"), "CALL pgsession.prune()"); code(err) != "42501" {
		t.Errorf("what a migration made is for everybody: %v", err)
	}
	if err := run(t.Context(), migrator, sql); err != nil {
		t.Fatal(err)
	}
	if err := try(t.Context(), as(name+"_pruner"), "CALL pgsession.prune()"); err != nil {
		t.Errorf("the pruner: %v", err)
	}
}

// One role has migrated so far, and a superuser makes the four. From then on
// the superuser migrates, with the owner's role and without it.
func TestRolesAfterAnotherRoleMigrated(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyDatabase(t)
	admin := pgtest.Pool(t, url)
	name := admin.Config().ConnConfig.Database
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), pgtest.ServerURL(t))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		_, _ = conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		if _, err := conn.Exec(context.Background(), "DROP ROLE "+name+"_shop"); err != nil {
			t.Error(err)
		}
	})
	pgtest.Exec(t, admin, "CREATE ROLE "+name+"_shop")
	pgtest.Exec(t, admin, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %[1]s_shop", name))
	pgtest.Exec(t, admin, "GRANT CREATE ON SCHEMA public TO "+name+"_shop")
	as := func(role string) *pgxpool.Pool {
		return pgtest.Pool(t, url, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["role"] = role
		})
	}
	if _, err := db.Up(t.Context(), as(name+"_shop"), db.Options{}); err != nil {
		t.Fatal(err)
	}
	roles := pgtest.NewRoles(t, url)
	for _, pool := range []*pgxpool.Pool{as(roles.Owner), admin} {
		if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
			t.Errorf("up: %v", err)
		}
	}
	if _, err := db.Down(t.Context(), as(roles.Owner), db.Options{}); err != nil {
		t.Errorf("down: %v", err)
	}
	if _, err := db.Up(t.Context(), admin, db.Options{}); err != nil {
		t.Errorf("up after down: %v", err)
	}
}
