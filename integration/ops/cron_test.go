package ops_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

// The shortest schedule of pg_cron 1.4 is a minute.
const nextMinute = 3 * time.Minute

// cron starts a server with pg_cron in one of its modes: it connects as a
// client does, or starts background workers.
func cron(t *testing.T, workers string) (server string, secret string) {
	t.Helper()
	s, err := servers.Cron(t.Context(), servers.Options{
		Logf: t.Logf, Settings: map[string]string{"cron.use_background_workers": workers},
	})
	if errors.Is(err, servers.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	secret, _ = u.User.Password()
	return s.URL, secret
}

func migrated(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if err := run(t.Context(), pool, sql); err != nil {
		t.Fatal(err)
	}
}

// fails runs a file that has to fail with one sentence.
func fails(t *testing.T, pool *pgxpool.Pool, sql, want string) {
	t.Helper()
	err := run(t.Context(), pool, sql)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one sentence with %q", err, want)
	}
}

const (
	jobs      = "SELECT coalesce(string_agg(jobname || ' as ' || username || ' in ' || database, ', ' ORDER BY jobname), '') FROM cron.job"
	succeeded = "SELECT count(*) FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid) WHERE d.status = 'succeeded' AND d.start_time IS NOT NULL AND j.jobname LIKE $1"
	failed    = "SELECT coalesce(string_agg(DISTINCT d.return_message, '; '), '') FROM cron.job_run_details AS d WHERE d.status = 'failed'"
)

// modes are those in which pg_cron runs jobs, and the values of its setting.
var modes = map[string]string{"over connections": "off", "in background workers": "on"}

// A job in the database of the sessions. The test waits for a minute, and does
// little beside the others.
func TestAJobRunsAndDeletes(t *testing.T) {
	t.Parallel()
	runsAndDeletes(t, testkit.Only(t, modes, "over connections"))
}

// The same in the other mode of pg_cron.
//
// Slow: the shortest schedule of pg_cron is a minute.
func TestSlowAJobRunsAndDeletes(t *testing.T) {
	t.Parallel()
	runsAndDeletes(t, testkit.Without(t, modes, "over connections"))
}

func runsAndDeletes(t *testing.T, modes map[string]string) {
	for mode, workers := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server, secret := cron(t, workers)
			pool := pgtest.Pool(t, server)
			schedule, unschedule := pgtest.Ops(t, "pg_cron.sql"),
				pgtest.Ops(t, "pg_cron_unschedule.sql")
			if got := pgtest.One[string](t, pool,
				"SHOW cron.use_background_workers"); got != workers {
				t.Fatalf("the mode is %s", got)
			}

			fails(t, pool, schedule,
				"pg_cron is not in database pgsession, so nothing was scheduled")
			fails(t, pool, unschedule, "pg_cron is not in database pgsession")
			must(t, pool, "SET LOCAL search_path = public; CREATE EXTENSION pg_cron")
			fails(t, pool, schedule, "run `migrate up` first")
			migrated(t, pool)

			// Without roles the jobs belong to the role that runs the file.
			must(t, pool, schedule)
			got := pgtest.One[string](t, pool, jobs)
			if got != "pgsession prune as postgres in pgsession,"+
				" pgsession trim as postgres in pgsession" {
				t.Fatalf("the jobs: %s", got)
			}
			must(t, pool, pgtest.Ops(t, "roles.sql"))
			must(t, pool, "ALTER ROLE pgsession_pruner PASSWORD '"+secret+"'")
			for range 2 {
				must(t, pool, schedule)
				if got := pgtest.One[string](t, pool, jobs); got != "pgsession prune as pgsession_pruner in pgsession, pgsession trim as pgsession_pruner in pgsession" {
					t.Fatalf("the jobs: %s", got)
				}
			}

			// A record of 10,007 runs, and one of another job. The trim's own
			// schedule is once an hour.
			must(t, pool, "SELECT cron.schedule('another team''s', '0 0 1 1 *', 'SELECT 1')")
			const record = "INSERT INTO cron.job_run_details (jobid, runid, username, status) SELECT jobid, nextval('cron.runid_seq'), username, 'succeeded' FROM cron.job, generate_series(1, $2) WHERE jobname = $1"
			pgtest.Exec(t, pool, record, "another team's", 1)
			pgtest.Exec(t, pool, record, "pgsession prune", 10_007)
			must(t, pool, "SET LOCAL ROLE pgsession_pruner; SELECT cron.schedule('pgsession trim', '* * * * *', (SELECT command FROM cron.job WHERE jobname = 'pgsession trim'))")
			pgtest.Exec(t, pool, pgtest.Fill, 2500)

			testkit.Within(t, nextMinute, "the job has run", func() bool {
				return pgtest.One[int](t, pool, pgtest.Expired) == 0 &&
					pgtest.One[int](t, pool, succeeded, "pgsession prune") > 0
			})
			if n := pgtest.One[int](t, pool, pgtest.Alive); n != 2500 {
				t.Errorf("%d sessions are alive, want 2500", n)
			}
			if n := pgtest.One[int](t, pool, pgtest.Pruned); n != 2500 {
				t.Errorf("the record of the prune says %d", n)
			}
			const runs = "SELECT count(*) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname LIKE 'pgsession %'"
			testkit.Within(t, nextMinute, "the other job has run, too", func() bool {
				n := pgtest.One[int](t, pool, runs) // 10,000, and those since the trim
				return n >= 10_000 && n <= 10_006 &&
					pgtest.One[int](t, pool, succeeded, "pgsession trim") > 0
			})
			if n := pgtest.One[int](t, pool, "SELECT count(*) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname = 'another team''s'"); n != 1 {
				t.Error("the record of another team's job was trimmed")
			}
			if said := pgtest.One[string](t, pool, failed); said != "" {
				t.Errorf("failed: %s", said)
			}

			for range 2 {
				must(t, pool, unschedule)
				got := pgtest.One[string](t, pool, jobs)
				if got != "another team's as postgres in pgsession" {
					t.Errorf("after unscheduling: %s", got)
				}
			}
			pgtest.Exec(t, pool, "ALTER ROLE pgsession_pruner NOLOGIN")
			fails(t, pool, schedule, "role pgsession_pruner can not log in")
		})
	}
}

// As on managed services, pg_cron lives in another database.
//
// Slow: the shortest schedule of pg_cron is a minute.
func TestSlowAJobRunsInAnotherDatabase(t *testing.T) {
	for mode, workers := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server, secret := cron(t, workers)
			pool := pgtest.Pool(t, server) // of the database with pg_cron
			pgtest.Exec(t, pool, "CREATE DATABASE shop")
			u, err := url.Parse(server)
			if err != nil {
				t.Fatal(err)
			}
			u.Path = "/shop"
			shop := pgtest.Pool(t, u.String())
			migrated(t, shop)
			elsewhere := pgtest.Ops(t, "pg_cron_elsewhere.sql")
			in := func(database string) *pgxpool.Pool {
				return pgtest.Pool(t, server, func(c *pgxpool.Config) {
					c.ConnConfig.RuntimeParams["options"] = "-c pgsession.database=" + database
				})
			}

			fails(t, pool, elsewhere,
				"pg_cron is not in database pgsession, so nothing was scheduled")
			must(t, pool, "SET LOCAL search_path = public; CREATE EXTENSION pg_cron")
			fails(t, pool, elsewhere, "pgsession.database does not say where the sessions are")
			fails(t, in("nowhere"), elsewhere, "there is no database nowhere")
			if got := pgtest.One[string](t, pool, jobs); got != "" {
				t.Errorf("scheduled nevertheless: %s", got)
			}
			fails(t, in("shop"), elsewhere, "run roles.sql in database shop first")
			must(t, shop, pgtest.Ops(t, "roles.sql"))
			must(t, pool, "ALTER ROLE pgsession_pruner PASSWORD '"+secret+"'")
			for range 2 {
				must(t, in("shop"), elsewhere)
				if got := pgtest.One[string](t, pool, jobs); got != "pgsession prune shop as pgsession_pruner in shop, pgsession trim as pgsession_pruner in pgsession" {
					t.Fatalf("the jobs: %s", got)
				}
			}
			pgtest.Exec(t, shop, pgtest.Fill, 2500)
			testkit.Within(t, nextMinute, "the job has run", func() bool {
				return pgtest.One[int](t, shop, pgtest.Expired) == 0 &&
					pgtest.One[int](t, pool, succeeded, "pgsession prune shop") > 0
			})
			if said := pgtest.One[string](t, pool, failed); said != "" {
				t.Errorf("failed: %s", said)
			}
			must(t, pool, pgtest.Ops(t, "pg_cron_unschedule.sql"))
			if got := pgtest.One[string](t, pool, jobs); got != "" {
				t.Errorf("after unscheduling: %s", got)
			}
		})
	}
}

// As on managed services, the role that runs the file is no superuser.
func TestSchedulingWithoutASuperuser(t *testing.T) {
	t.Parallel()
	server, _ := cron(t, "on")
	pool := pgtest.Pool(t, server)
	must(t, pool, "SET LOCAL search_path = public; CREATE EXTENSION pg_cron")
	migrated(t, pool)
	for _, sql := range []string{
		"CREATE ROLE dba LOGIN", "GRANT USAGE ON SCHEMA cron TO dba WITH GRANT OPTION",
		"GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO dba",
	} {
		must(t, pool, sql)
	}
	must(t, pool, pgtest.Ops(t, "roles.sql"))
	as := func(role string) *pgxpool.Pool {
		return pgtest.Pool(t, server, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["role"] = role
			c.ConnConfig.RuntimeParams["options"] = "-c pgsession.database=pgsession"
			c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		})
	}
	fails(t, as("dba"), pgtest.Ops(t, "pg_cron.sql"), "GRANT pgsession_pruner TO dba")
	must(t, pool, "GRANT pgsession_pruner TO dba")
	for range 2 {
		must(t, as("dba"), pgtest.Ops(t, "pg_cron.sql"))
		if got := pgtest.One[string](t, pool, jobs); got != "pgsession prune as pgsession_pruner in pgsession, pgsession trim as pgsession_pruner in pgsession" {
			t.Errorf("the jobs: %s", got)
		}
	}
	must(t, as("dba"), pgtest.Ops(t, "pg_cron_unschedule.sql"))
	must(t, as("dba"), pgtest.Ops(t, "pg_cron_elsewhere.sql"))
	if got := pgtest.One[string](t,
		pool,
		jobs); got !=
		"pgsession prune pgsession as dba in pgsession, pgsession trim as dba in pgsession" {
		t.Errorf("the jobs from elsewhere: %s", got)
	}
	must(t, as("dba"), pgtest.Ops(t, "pg_cron_unschedule.sql"))
	if got := pgtest.One[string](t, pool, jobs); got != "" {
		t.Errorf("after unscheduling: %s", got)
	}
}

// The files run as a superuser, and call no function of another role.
func TestAttackOnTheFilesBySearchPath(t *testing.T) {
	t.Parallel()
	server, _ := cron(t, "on")
	pool := pgtest.Pool(t, server)
	must(t, pool, "SET LOCAL search_path = public; CREATE EXTENSION pg_cron")
	migrated(t, pool)
	must(t, pool, `CREATE SCHEMA traps; CREATE TABLE public.caught (what text);
		CREATE FUNCTION traps.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$INSERT INTO public.caught VALUES ('set_config'); SELECT ''$$;
		CREATE FUNCTION traps.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$INSERT INTO public.caught VALUES ('current_setting'); SELECT ''$$;
		CREATE FUNCTION traps.to_regprocedure(text) RETURNS regprocedure LANGUAGE sql AS $$INSERT INTO public.caught VALUES ('to_regprocedure'); SELECT NULL::regprocedure$$;
		CREATE FUNCTION traps.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
		CREATE FUNCTION traps.same(name, text) RETURNS boolean LANGUAGE sql AS $$INSERT INTO public.caught VALUES ('='); SELECT $1 OPERATOR(pg_catalog.=) $2$$;
		CREATE OPERATOR traps.= (FUNCTION = traps.same, LEFTARG = name, RIGHTARG = text);
		CREATE VIEW traps.pg_extension AS SELECT 'citus'::name AS extname;
		CREATE VIEW traps.pg_roles AS SELECT * FROM pg_catalog.pg_roles WHERE false`)
	caught := pgtest.Pool(t, server, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["search_path"] = "traps, pg_catalog"
		c.ConnConfig.RuntimeParams["options"] = "-c pgsession.database=pgsession"
	})
	for _, name := range []string{
		"roles.sql", "pg_cron.sql", "pg_cron_elsewhere.sql", "pg_cron_unschedule.sql",
	} {
		if err := run(t.Context(), caught, pgtest.Ops(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails(t, caught, pgtest.Ops(t, "citus.sql"), "Citus is not in database pgsession")
	what := pgtest.One[string](t, pool,
		"SELECT coalesce(string_agg(DISTINCT what, ', '), '') FROM public.caught")
	if what != "" {
		t.Errorf("a file used %s of the caller's search_path", what)
	}
}
