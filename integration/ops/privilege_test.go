package ops_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// A role that can act as the owner changes the owner's code. A superuser that
// migrates as the owner, or runs pg_cron's jobs, would run that code.
func TestRolesRefuseAnOwnerThatOthersCanActAs(t *testing.T) {
	t.Parallel()
	o := staff(t)
	other := o.App + "_other"
	pgtest.Exec(t, o.admin, "CREATE ROLE "+other+" LOGIN")
	t.Cleanup(func() { pgtest.Exec(t, pgtest.Pool(t, pgtest.ServerURL(t)), "DROP ROLE "+other) })
	file := o.Rename(pgtest.Ops(t, "roles.sql"))
	for _, c := range []struct{ change, back, want string }{
		{"ALTER ROLE %[1]s LOGIN", "ALTER ROLE %[1]s NOLOGIN", "can log in: ALTER ROLE"},
		{
			"ALTER ROLE %[1]s SUPERUSER", "ALTER ROLE %[1]s NOSUPERUSER",
			"is a superuser: ALTER ROLE",
		},
		{"GRANT %[1]s TO %[2]s", "REVOKE %[1]s FROM %[2]s", "has the member " + other + ": REVOKE"},
	} {
		must(t, o.admin, fmt.Sprintf(c.change+"; SELECT '%[2]s'", o.Owner, other))
		fails(t, o.admin, file, c.want)
		must(t, o.admin, fmt.Sprintf(c.back+"; SELECT '%[2]s'", o.Owner, other))
		must(t, o.admin, file)
	}
	for _, role := range []string{o.App, o.Pruner, o.Monitor} {
		must(t, o.admin, "ALTER ROLE "+role+" SUPERUSER")
		fails(t, o.admin, file, "role "+role+" exists and is a superuser: ALTER ROLE "+role)
		must(t, o.admin, "ALTER ROLE "+role+" NOSUPERUSER")
	}
}

// The search_path of the four roles is pinned in the database of the sessions.
// The application may have another one, for tables of its own.
func TestRolesPinThePath(t *testing.T) {
	t.Parallel()
	o := staff(t)
	path := func(pool *pgxpool.Pool) string {
		t.Helper()
		pool.Reset() // a connection keeps its role's settings
		return pgtest.One[string](t, pool, "SHOW search_path")
	}
	for name, pool := range map[string]*pgxpool.Pool{
		o.App: o.app, o.Pruner: o.pruner, o.Monitor: o.monitor,
	} {
		if got := path(pool); got != "pg_catalog, pg_temp" {
			t.Errorf("the path of %s is %s", name, got)
		}
	}
	// The owner never logs in: SET ROLE applies no settings.
	const pinned = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_db_role_setting WHERE setrole = $1::regrole::oid AND setdatabase <> 0::oid AND setconfig = ARRAY['search_path=pg_catalog, pg_temp']"
	if n := pgtest.One[int](t, o.admin, pinned, o.Owner); n != 1 {
		t.Error("the path of the owner is not pinned")
	}
	database := o.admin.Config().ConnConfig.Database
	for _, role := range []string{o.App, o.Pruner} {
		pgtest.Exec(t, o.admin,
			"ALTER ROLE "+role+" IN DATABASE "+database+" SET search_path = pg_catalog, shop")
	}
	must(t, o.admin, o.Rename(pgtest.Ops(t, "roles.sql")))
	if got := path(o.app); got != "pg_catalog, shop" {
		t.Errorf("the application has lost its path: %s", got)
	}
	if got := path(o.pruner); got != "pg_catalog, pg_temp" {
		t.Errorf("the pruner has the path %s", got)
	}
}

// An open transaction of a role that logs in ends: that of a pruner would stop
// every prune.
func TestRolesEndATransactionThatIsLeftOpen(t *testing.T) {
	t.Parallel()
	o := staff(t)
	for name, pool := range map[string]*pgxpool.Pool{
		o.App: o.app, o.Pruner: o.pruner, o.Monitor: o.monitor,
	} {
		pool.Reset() // a connection keeps its role's settings
		const setting = "SHOW idle_in_transaction_session_timeout"
		if got := pgtest.One[string](t, pool, setting); got != "30s" {
			t.Errorf("%s may leave a transaction open for %s", name, got)
		}
	}
}

// A job runs the code of the procedure's owner with the rights of the job.
func TestCronRefusesToRunALesserRolesCodeAsASuperuser(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Pool(t, url, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["pgsession.database"] = c.ConnConfig.Database
	})
	roles := pgtest.NewRoles(t, url) // of another installation: no job is for its pruner
	fakeCron(t, admin, roles)
	inside, elsewhere := pgtest.Ops(t, "pg_cron.sql"), pgtest.Ops(t, "pg_cron_elsewhere.sql")
	// The roles of roles.sql do not exist under those names here.
	rename := strings.NewReplacer("'pgsession_pruner'", "'"+roles.Pruner+"_absent'")
	inside, elsewhere = rename.Replace(inside), rename.Replace(elsewhere)

	fails(t, admin, inside, "so nothing was scheduled: run roles.sql first")
	fails(t, admin, elsewhere, "a superuser, so nothing was scheduled: run roles.sql in database")
	if n := pgtest.One[int](t, admin, "SELECT pg_catalog.count(*) FROM cron.job"); n != 0 {
		t.Errorf("%d jobs", n)
	}
	pgtest.Exec(t, admin, "ALTER SCHEMA pgsession OWNER TO CURRENT_USER")
	pgtest.Exec(t, admin, "ALTER PROCEDURE pgsession.prune OWNER TO CURRENT_USER")
	fails(t, admin, inside, "so nothing was scheduled") // the procedure calls the function
	pgtest.Exec(t, admin, "REASSIGN OWNED BY "+roles.Owner+" TO CURRENT_USER")
	must(t, admin, inside)
	if n := pgtest.One[int](t, admin, "SELECT pg_catalog.count(*) FROM cron.job"); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
}
