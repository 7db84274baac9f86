package ops_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// desk is an installation with db/ops/support.sql, and an application on it.
type desk struct {
	*sessionstore.Manager

	schema                       string
	admin, support, auditor, app *pgxpool.Pool
}

// newDesk makes an installation in a schema of its own, since roles belong to
// the whole server.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{schema: "desk_" + strings.ToLower(rand.Text()[:12])}
	url := pgtest.EmptyDatabase(t)
	server := pgtest.Pool(t, pgtest.ServerURL(t))
	t.Cleanup(func() { // after the database is gone
		for _, role := range []string{"_support", "_auditor"} {
			pgtest.Exec(t, server, "DROP ROLE IF EXISTS "+d.schema+role)
		}
	})
	d.admin = pgtest.Pool(t, url)
	migratedAs(t, d.admin, d.schema)
	roles := pgtest.NewRolesIn(t, url, d.schema)
	must(t, d.admin, file(t, "support", d.schema))
	as := func(role string) *pgxpool.Pool {
		return pgtest.Pool(t, url, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["role"] = role
			c.ConnConfig.RuntimeParams["search_path"] = "public"
			c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		})
	}
	d.support, d.auditor = as(d.schema+"_support"), as(d.schema+"_auditor")
	d.app = as(roles.App)
	m, err := sessionstore.New(t.Context(), pgtest.Pool(t, roles.URL(t, roles.App)),
		sessionstore.Config{
			Schema:   d.schema,
			Secrets:  []sessionstore.Secret{"the secret of an application 0123"},
			Observer: func(context.Context, sessionstore.Event) {},
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	d.Manager = m
	return d
}

// call calls a procedure as support does, and returns how many sessions ended.
func (d *desk) call(t *testing.T, sql string, args ...any) int {
	t.Helper()
	return pgtest.One[int](t, d.support, in(d.schema, sql), args...)
}

// login begins a session and returns its handle. Right after a revoke a login
// is refused as long as their order is in doubt.
func (d *desk) login(t *testing.T, user string) (handle string) {
	t.Helper()
	testkit.Eventually(t, "the user logs in", func() bool {
		_, info, err := d.Issue(t.Context(), user)
		if err != nil && !errors.Is(err, sessionstore.ErrRevoked) {
			t.Fatal(err)
		}
		handle = string(info.Handle)
		return err == nil
	})
	return handle
}

// Support finds sessions by the handle that the library shows, and ends them.
func TestSupport(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two, eves := d.login(t, "ada"), d.login(t, "ada"), d.login(t, "eve")
	const ofUser = `SELECT array_agg(handle ORDER BY created_at)
		FROM pgsession_support.sessions WHERE user_id = $1`
	got := pgtest.One[[]string](t, d.support, in(d.schema, ofUser), "ada")
	if !slices.Equal(got, []string{one, two}) {
		t.Errorf("the handles %q, want %q", got, []string{one, two})
	}
	const owner = "SELECT user_id FROM pgsession_support.sessions WHERE handle = $1"
	if got := pgtest.One[string](t, d.support, in(d.schema, owner), eves); got != "eve" {
		t.Errorf("the handle is that of %q", got)
	}
	const users = `SELECT string_agg(concat(user_id, sessions), ' ' ORDER BY user_id)
		FROM pgsession_support.logged_in`
	if got := pgtest.One[string](t, d.support, in(d.schema, users)); got != "ada2 eve1" {
		t.Errorf("logged in: %s", got)
	}

	if n := d.call(t, "CALL pgsession_support.revoke_handle($1)", one); n != 1 {
		t.Errorf("%d sessions ended by handle", n)
	}
	const ending = `SELECT count(*) FROM pgsession.endings WHERE reason = 'ended'`
	if n := pgtest.One[int](t, d.admin, in(d.schema, ending)); n != 1 {
		t.Errorf("%d endings, want one as of the library", n)
	}
	if n := d.call(t, "CALL pgsession_support.revoke_user('ada')"); n != 1 {
		t.Errorf("%d sessions of the user ended", n)
	}
	if n := d.call(t, "CALL pgsession_support.revoke_user('ada')"); n != 0 {
		t.Errorf("%d sessions of the user ended again", n)
	}
	pgtest.Exec(t, d.admin, in(d.schema,
		"UPDATE pgsession.sessions SET created_at = created_at - interval '2 hours'"))
	d.login(t, "eve")
	pgtest.Exec(t, d.admin, in(d.schema, `INSERT INTO pgsession.sessions (id, created_at, expires_at,
		absolute_expires_at) VALUES (sha256('visitor'), now() - interval '2 h', now() + interval '1 h', now() + interval '1 h')`))
	if n := d.call(t,
		"CALL pgsession_support.revoke_before(now() - interval '1 hour')"); n != 2 {
		t.Errorf("%d old sessions ended, want the user's and the visitor's", n)
	}
	if n := d.call(t, "CALL pgsession_support.revoke_all()"); n != 1 {
		t.Errorf("%d sessions of all ended", n)
	}
	const all = `SELECT string_agg(concat_ws(' ', kind, user_id, handle, reason, count), '; '
		ORDER BY id) FROM pgsession_support.events`
	if got, want := pgtest.One[string](t, d.auditor, in(d.schema, all)),
		"sessions revoked ada "+one+" handle; "+
			"sessions revoked ada user; sessions revoked ada user 1; "+
			"sessions revoked ada user; sessions revoked ada user 0; "+
			"sessions revoked before; sessions revoked before 2; "+
			"sessions revoked all; sessions revoked all 1"; got != want {
		t.Errorf("the events: %s\nwant: %s", got, want)
	}
}

// The auditor sees from where a login came, after its session is gone.
func TestTheAuditorSeesTheClientOfALogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	pgtest.Exec(t, d.app, in(d.schema, `INSERT INTO pgsession.events (kind, user_id, ip, user_agent)
		VALUES ('session login', 'ada', '192.0.2.7', 'Test/1')`))
	const where = `SELECT concat_ws(' ', host(ip), user_agent)
		FROM pgsession_support.events WHERE user_id = 'ada'`
	if got := pgtest.One[string](t, d.auditor, in(d.schema, where)); got != "192.0.2.7 Test/1" {
		t.Errorf("the login came from %q", got)
	}
}

// A visitor's session has a handle, and ends by it.
func TestSupportEndsAVisitorsSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	pgtest.Exec(t, d.admin, in(d.schema, `INSERT INTO pgsession.sessions (id, expires_at,
		absolute_expires_at, pending_user_id, pending_since)
		VALUES (sha256('v'), now() + interval '1 h', now() + interval '1 h', NULL, NULL),
			(sha256('p'), now() + interval '1 h', now() + interval '1 h', 'ada', now())`))
	for range 2 {
		handle := pgtest.One[string](t, d.support, in(d.schema,
			"SELECT handle FROM pgsession_support.sessions LIMIT 1"))
		if n := d.call(t, "CALL pgsession_support.revoke_handle($1)", handle); n != 1 {
			t.Errorf("%d sessions ended by handle", n)
		}
		const reason = "SELECT reason FROM pgsession_support.events WHERE handle = $1"
		if got := pgtest.One[string](t, d.auditor, in(d.schema, reason), handle); got != "handle" {
			t.Errorf("the event has the reason %q", got)
		}
	}
}

// A session whose created_at is ahead of the clock ends too, as by the library.
func TestSupportEndsSessionsAheadOfTheClock(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const ahead = `INSERT INTO pgsession.sessions (id, user_id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(i::text::bytea), CASE WHEN i < 4 THEN 'ada' END, now() + i * interval '1 h',
			now() + interval '1 day', now() + interval '1 day' FROM generate_series(0, 5) AS i`
	pgtest.Exec(t, d.admin, in(d.schema, ahead))
	if n := d.call(t, "CALL pgsession_support.revoke_before(now())"); n > 1 {
		t.Errorf("%d sessions of before ended, want at most the first", n)
	}
	const left = "SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada'"
	for _, c := range []struct{ revoke, left string }{
		{"CALL pgsession_support.revoke_user('ada')", left},
		{"CALL pgsession_support.revoke_all()", "SELECT count(*) FROM pgsession.sessions"},
	} {
		d.call(t, c.revoke)
		if n := pgtest.One[int](t, d.admin, in(d.schema, c.left)); n != 0 {
			t.Errorf("%d sessions are left after %s", n, c.revoke)
		}
	}
}

// More sessions than one batch end, and leave no state behind.
func TestSupportEndsInBatches(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const many = `INSERT INTO pgsession.sessions (id, user_id, expires_at, absolute_expires_at)
		SELECT sha256(i::text::bytea), 'ada', now() + interval '1 day', now() + interval '1 day'
		FROM generate_series(1, 2500) AS i`
	for _, revoke := range []string{
		"CALL pgsession_support.revoke_user('ada')", "CALL pgsession_support.revoke_all()",
	} {
		pgtest.Exec(t, d.admin, in(d.schema, many))
		if n := d.call(t, revoke); n != 2500 {
			t.Errorf("%s ended %d sessions", revoke, n)
		}
	}
	if n := pgtest.One[int](t, d.admin,
		in(d.schema, "SELECT count(*) FROM pgsession_support.underway")); n != 0 {
		t.Errorf("%d revokes are still under way", n)
	}
}

// Support may call what begins a recorded revoke or continues it, and neither
// reads an id nor ends a session without an event.
func TestSupportReadsNoIDAndEndsNothingUnrecorded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.login(t, "ada")
	const may = `SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'pgsession_support'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')`
	const want = "begin_revoke revoke_all revoke_before revoke_handle revoke_user run_revoke step"
	support := d.schema + "_support"
	if got := pgtest.One[string](t, d.admin, in(d.schema, may), support); got != want {
		t.Errorf("support may call %s\nwant %s", got, want)
	}
	if got := pgtest.One[*string](t, d.admin, in(d.schema, may), d.schema+"_auditor"); got != nil {
		t.Errorf("an auditor may call %s", *got)
	}
	const bytes = `SELECT string_agg(p.proname, ' ') FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'pgsession_support'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
			AND p.prorettype || coalesce(p.proallargtypes, p.proargtypes::oid[]) && ARRAY['bytea', 'bytea[]']::regtype[]::oid[]`
	if got := pgtest.One[*string](t, d.admin, in(d.schema, bytes), support); got != nil {
		t.Errorf("support passes ids to %s", *got)
	}
	for _, sql := range []string{
		"SELECT * FROM pgsession_support.underway",
		"INSERT INTO pgsession_support.underway (why, until, marked) VALUES ('all', now(), now())",
		"INSERT INTO pgsession.events (kind, actor) VALUES ('sessions revoked', 'ceo')",
	} {
		if err := try(t.Context(), d.support, in(d.schema, sql)); code(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}

	// The steps by hand: none ends a session before its event.
	conn, err := d.support.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const step = "SELECT ended FROM pgsession_support.step()"
	if _, err := conn.Exec(t.Context(), in(d.schema, step)); code(err) != "55000" {
		t.Errorf("a step without a revoke: %v", err)
	}
	for _, sql := range []string{
		"SELECT pgsession_support.begin_revoke('nothing', 'ada', NULL)",
		"SELECT pgsession_support.begin_revoke(NULL, 'ada', NULL)",
		"SELECT pgsession_support.begin_revoke('before', NULL, 'infinity')",
	} {
		if _, err := conn.Exec(t.Context(), in(d.schema, sql)); code(err) != "22023" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{
		"SELECT pgsession_support.begin_revoke('user', 'ada', NULL)", step,
	} {
		if _, err := conn.Exec(t.Context(), in(d.schema, sql)); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	const all = `SELECT string_agg(concat_ws(' ', user_id, reason, actor), '; ')
		FROM pgsession_support.events`
	if got, want := pgtest.One[string](t, d.auditor, in(d.schema, all)),
		"ada user "+d.support.Config().ConnConfig.User; got != want {
		t.Errorf("the events: %s, want %s", got, want)
	}
}

// A type of the caller's search_path runs its CHECK as the caller.
func TestSupportUsesNoTypeOfTheCaller(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.login(t, "ada")
	pgtest.Exec(t, d.admin, "CREATE SCHEMA traps; GRANT USAGE ON SCHEMA traps TO PUBLIC")
	typeTraps(t, d.admin, "traps")
	conn, err := d.support.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	must := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), in(d.schema, sql)); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	must("SET search_path = traps, pg_catalog")
	for _, sql := range []string{
		"CALL pgsession_support.revoke_user('ada')", "CALL pgsession_support.revoke_all()",
		"CALL pgsession_support.revoke_before('2020-01-01')",
		"SELECT * FROM pgsession_support.sessions", "SELECT * FROM pgsession_support.logged_in",
	} {
		must(sql)
	}
	const careless = "DO 'DECLARE r record; BEGIN SELECT 1 AS n INTO r; END'"
	if _, err := conn.Exec(t.Context(), careless); err == nil {
		t.Error("the trap for the type record is not sprung")
	}
}

// A revoke by SQL reaches logins that are under way, as one of the library.
func TestSupportReachesALoginUnderWay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, revoke := range []string{
		"CALL pgsession_support.revoke_user('ada')", "CALL pgsession_support.revoke_all()",
		"CALL pgsession_support.revoke_before(now() - interval '1 hour')",
	} {
		began := time.Now()
		d.call(t, revoke)
		if _, _, err := d.Issue(
			t.Context(), "ada", sessionstore.ProvedAt(began),
		); err == nil {
			t.Errorf("after %s a login of before is good", revoke)
		}
		d.login(t, "ada")
	}

	// In the middle of logins: none that began before the CALL is left.
	var mu sync.Mutex
	began := map[string]time.Time{} // by handle
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				at := time.Now()
				if _, info, err := d.Issue(t.Context(), "ada"); err == nil {
					mu.Lock()
					began[string(info.Handle)] = at
					mu.Unlock()
				}
			}
		})
	}
	for range 5 {
		start := time.Now()
		d.call(t, "CALL pgsession_support.revoke_user('ada')")
		alive := pgtest.One[[]string](t, d.support, in(d.schema,
			"SELECT coalesce(array_agg(handle), '{}') FROM pgsession_support.sessions"))
		mu.Lock()
		for _, handle := range alive {
			if at, ok := began[handle]; ok && at.Before(start) {
				t.Errorf("a session is alive whose login began %v before the CALL", start.Sub(at))
			}
		}
		mu.Unlock()
	}
	stop()
	wg.Wait()
}

// Wrong input says what is right, and ends nothing.
func TestSupportWithWrongInput(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.login(t, "ada")
	for sql, want := range map[string]string{
		"CALL pgsession_support.revoke_user('')":                         "1 to 256 bytes",
		"CALL pgsession_support.revoke_user(NULL)":                       "1 to 256 bytes",
		"CALL pgsession_support.revoke_user(repeat('x', 257))":           "1 to 256 bytes",
		"CALL pgsession_support.revoke_handle('short')":                  "22 letters",
		"CALL pgsession_support.revoke_handle(NULL)":                     "22 letters",
		"CALL pgsession_support.revoke_handle(repeat('A', 22))":          "no live session",
		"CALL pgsession_support.revoke_before(NULL)":                     "in the past",
		"CALL pgsession_support.revoke_before('infinity')":               "in the past",
		"CALL pgsession_support.revoke_before('-infinity')":              "in the past",
		"CALL pgsession_support.revoke_before(now() + interval '1 day')": "in the past",
	} {
		err := try(t.Context(), d.support, in(d.schema, sql))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
	// Within a transaction its mark would come too late.
	tx, err := d.support.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), in(d.schema, "CALL pgsession_support.revoke_user('ada')"))
	if code(err) != "2D000" {
		t.Errorf("within a transaction: %v", err)
	}
	if n := pgtest.One[int](t, d.admin, in(d.schema,
		"SELECT count(*) FROM pgsession.sessions")); n != 1 {
		t.Errorf("%d sessions are left, want 1", n)
	}
}

// A row that is locked is waited for and named, with what has ended so far.
func TestSupportBehindALockedRow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 3 {
		d.login(t, "ada")
	}
	tx, err := d.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		in(d.schema, "SELECT id FROM pgsession.sessions LIMIT 1 FOR UPDATE")); err != nil {
		t.Fatal(err)
	}
	conn, err := d.support.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = '2s'"); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), in(d.schema, "CALL pgsession_support.revoke_all()"))
	if err == nil || !strings.Contains(err.Error(), "2 sessions ended, then: ") {
		t.Errorf("with a locked row: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := d.call(t, "CALL pgsession_support.revoke_all()"); n != 1 {
		t.Errorf("%d sessions ended afterwards, want the one that was locked", n)
	}
}

// Each role has its rights in the schema of support, and the application none.
func TestRightsOfSupport(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	pools := map[string]*pgxpool.Pool{
		"support": d.support, "auditor": d.auditor, "app": d.app,
		"monitor": pgtest.Pool(t, d.admin.Config().ConnString(), func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["role"] = d.schema + "_monitor"
			c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		}),
	}
	for sql, may := range map[string]string{
		"SELECT * FROM pgsession_support.sessions":                             "support",
		"SELECT * FROM pgsession_support.logged_in":                            "support",
		"SELECT * FROM pgsession_support.events":                               "auditor",
		"CALL pgsession_support.revoke_user('bob')":                            "support",
		"CALL pgsession_support.revoke_before(now())":                          "support",
		"CALL pgsession_support.revoke_all()":                                  "support",
		"SELECT data FROM pgsession.sessions":                                  "app",
		"SELECT kind FROM pgsession.events":                                    "app",
		"DELETE FROM pgsession_support.sessions":                               "",
		"UPDATE pgsession_support.events SET actor = NULL":                     "",
		"INSERT INTO pgsession_support.events (kind) VALUES ('session login')": "",
		"CREATE TABLE pgsession_support.mine (a int)":                          "",
	} {
		for name, pool := range pools {
			err := try(t.Context(), pool, in(d.schema, sql))
			allowed := name == may
			if allowed && err != nil || !allowed && code(err) != "42501" && code(err) != "25006" &&
				code(err) != "55000" {
				t.Errorf("%s as %s: %v", sql, name, err)
			}
		}
	}
	// It can be run again, also after roles.sql, and it undoes itself.
	must(t, d.admin, file(t, "roles", d.schema))
	must(t, d.admin, file(t, "support", d.schema))
	d.call(t, "CALL pgsession_support.revoke_user('bob')")
	must(t, d.admin, in(d.schema, "DROP SCHEMA pgsession_support CASCADE"))
}

// Without the roles it does nothing.
func TestSupportNeedsTheRoles(t *testing.T) {
	t.Parallel()
	_, admin := database(t)
	fails(t, admin, pgtest.Ops(t, "support.sql"), "run roles.sql first")
}
