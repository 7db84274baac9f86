package ops_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// file returns a file of db/ops for a schema, as `migrate ops` prints it.
func file(t *testing.T, name, schemaName string) string {
	t.Helper()
	sql, err := db.Ops(name, db.Options{Schema: schemaName})
	if err != nil {
		t.Fatal(err)
	}
	return sql
}

// in rewrites SQL of these tests for another schema.
func in(schemaName, sql string) string {
	return strings.ReplaceAll(sql, "pgsession", schemaName)
}

func migratedAs(t *testing.T, pool *pgxpool.Pool, schemaName string) {
	t.Helper()
	if _, err := db.Up(t.Context(), pool, db.Options{Schema: schemaName}); err != nil {
		t.Fatal(err)
	}
}

// Two installations side by side: the roles of each have their usual rights
// there, and none in the other.
func TestTwoInstallationsInOneDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyDatabase(t)
	admin := pgtest.Pool(t, url)
	pgtest.Exec(t, admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	names := [2]string{
		"one_" + strings.ToLower(rand.Text()[:12]), "other_" + strings.ToLower(rand.Text()[:12]),
	}
	var offices [2]*office
	for i, name := range names {
		migratedAs(t, admin, name)
		offices[i] = officeOf(t, admin, pgtest.NewRolesIn(t, url, name))
		pgtest.Exec(t, admin, in(name, "INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at) VALUES (sha256('a'), now() + interval '1 h', now() + interval '1 h')"))
	}
	for _, name := range names { // again, over the other's grants
		must(t, admin, file(t, "roles", name))
	}
	for i, name := range names {
		for letter, pool := range offices[i].byLetter() {
			for _, c := range matrix {
				judge(t, pool, letter, in(name, c.sql), strings.Contains(c.may, letter))
				// Every role may call it.
				if strings.Contains(c.sql, "pgsession") &&
					!strings.Contains(c.sql, "pg_relation_size") {
					judge(t, pool, letter, in(names[1-i], c.sql), false)
				}
			}
		}
	}
	const roles = `SELECT count(*) FROM pg_roles
		WHERE starts_with(rolname, $1) OR starts_with(rolname, $2)`
	if n := pgtest.One[int](t, admin, roles, names[0]+"_", names[1]+"_"); n != 8 {
		t.Errorf("there are %d roles, want 4 for each", n)
	}
}

// The files work for every schema. None of them may name an object of the
// default schema, nor accept a name that SQL reads as something else.
func TestTheFilesForAnotherSchema(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"roles", "pg_cron", "pg_cron_elsewhere", "pg_cron_unschedule", "alarms", "citus", "support",
	} {
		if file(t, name, "") != pgtest.Ops(t, name+".sql") ||
			file(t, name, "pgsession") != file(t, name, "") {
			t.Errorf("%s is not as it is written for the default schema", name)
		}
		other := file(t, name, "shop")
		left := strings.ReplaceAll(other, "github.com/reporadar/pgsession", "")
		if strings.Contains(left, "pgsession") || !strings.Contains(other, "shop") {
			t.Errorf("%s, for another schema, mentions the default one:\n%s", name, other)
		}
		for _, hostile := range []string{
			"a.b", `"x"`, "x; DROP SCHEMA public", "x'", "x$$", "Upper", "pg_x", "select", "public",
			"é", strings.Repeat("x", 49),
		} {
			if sql, err := db.Ops(name, db.Options{Schema: hostile}); err == nil || sql != "" {
				t.Errorf("%s: %q is taken for the name of a schema", name, hostile)
			}
		}
	}
}

// LIKE can't distinguish the names of these schemas. Each pruner has its own
// jobs only.
//
// Slow: the shortest schedule of pg_cron is a minute.
func TestSlowJobsOfTwoInstallations(t *testing.T) {
	t.Parallel()
	server, _ := cron(t, "on")
	pool := pgtest.Pool(t, server)
	must(t, pool, "SET LOCAL search_path = public; CREATE EXTENSION pg_cron")
	names := []string{"shop_a", "shopxa"}
	for _, name := range names {
		migratedAs(t, pool, name)
		must(t, pool, file(t, "pg_cron", name)) // without roles: all belong to the superuser
	}
	// A schema may be named after the shop, and so may the shop's own jobs.
	must(t, pool, "SELECT cron.schedule('shop_a reindex', '0 0 1 1 *', 'SELECT 1')")
	wantJobs := func(want string) {
		t.Helper()
		if got := pgtest.One[string](t, pool, jobs); got != want {
			t.Errorf("the jobs: %s\nwant: %s", got, want)
		}
	}
	wantJobs("shop_a prune as postgres in pgsession, shop_a reindex as postgres in pgsession, shop_a trim as postgres in pgsession, shopxa prune as postgres in pgsession, shopxa trim as postgres in pgsession")
	const record = "INSERT INTO cron.job_run_details (jobid, runid, username, status) SELECT jobid, nextval('cron.runid_seq'), username, 'succeeded' FROM cron.job, generate_series(1, 10007) WHERE jobname = $1"
	pgtest.Exec(t, pool, record, "shop_a prune")
	pgtest.Exec(t, pool, record, "shopxa prune")
	must(t, pool,
		pgtest.One[string](t, pool, "SELECT command FROM cron.job WHERE jobname = 'shop_a trim'"))
	const runs = "SELECT count(*) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE starts_with(jobname, $1)"
	mine, theirs := pgtest.One[int](t, pool, runs, "shop_a "),
		pgtest.One[int](t, pool, runs, "shopxa ")
	if mine < 10_000 || mine > 10_006 || theirs < 10_007 {
		t.Errorf("after a trim of the first, %d of its runs are left, and %d of the other's", mine,
			theirs)
	}
	must(t, pool, file(t, "pg_cron_unschedule", "shop_a"))
	wantJobs("shop_a reindex as postgres in pgsession, shopxa prune as postgres in pgsession, shopxa trim as postgres in pgsession")

	for range 2 {
		for _, name := range names {
			must(t, pool, file(t, "roles", name))
			must(t, pool, file(t, "pg_cron", name))
		}
	}
	wantJobs("shop_a prune as shop_a_pruner in pgsession, shop_a reindex as postgres in pgsession, shop_a trim as shop_a_pruner in pgsession, shopxa prune as shopxa_pruner in pgsession, shopxa trim as shopxa_pruner in pgsession")
	for _, name := range names {
		pgtest.Exec(t, pool, in(name, pgtest.Fill), 100)
	}
	testkit.Within(t, nextMinute, "both jobs have run", func() bool {
		for _, name := range names {
			if pgtest.One[int](t, pool, in(name, pgtest.Expired)) > 0 ||
				pgtest.One[int](t, pool, succeeded, name+" prune") == 0 {
				return false
			}
		}
		return true
	})
	for _, name := range names {
		if n := pgtest.One[int](t, pool, in(name, pgtest.Alive)); n != 100 {
			t.Errorf("%s: %d sessions are alive, want 100", name, n)
		}
	}
	if said := pgtest.One[string](t, pool, failed); said != "" {
		t.Errorf("failed: %s", said)
	}

	must(t, pool, file(t, "pg_cron_unschedule", "shop_a"))
	wantJobs("shop_a reindex as postgres in pgsession, shopxa prune as shopxa_pruner in pgsession, shopxa trim as shopxa_pruner in pgsession")
	elsewhere := pgtest.Pool(t, server, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["options"] = "-c shop_a.database=pgsession"
	})
	must(t, elsewhere, file(t, "pg_cron_elsewhere", "shop_a"))
	wantJobs("shop_a prune pgsession as shop_a_pruner in pgsession, shop_a reindex as postgres in pgsession, shop_a trim as shop_a_pruner in pgsession, shopxa prune as shopxa_pruner in pgsession, shopxa trim as shopxa_pruner in pgsession")
}
