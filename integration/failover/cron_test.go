package failover_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

const (
	// The shortest schedule of pg_cron 1.4 is a minute.
	nextMinute = 3 * time.Minute

	pruned = `
		SELECT NOT EXISTS (SELECT FROM pgsession.sessions WHERE expires_at <= now())
			AND EXISTS (SELECT FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
				WHERE j.jobname = 'pgsession prune' AND d.status = 'succeeded' AND d.start_time > $1)`
)

// The schedule is in the database, so a standby has it, and prunes from its
// promotion on and not before.
//
// Slow: the shortest schedule of pg_cron is a minute.
func TestSlowThePruneGoesOnAfterAPromotion(t *testing.T) {
	t.Parallel()
	// no passwords
	p := newPair(t, servers.Cron, map[string]string{"cron.use_background_workers": "on"})
	schedule := []string{
		"SET LOCAL search_path = public; CREATE EXTENSION pg_cron",
		pgtest.TrustOwner + pgtest.Ops(t, "roles.sql"), pgtest.Ops(t, "pg_cron.sql"),
	}
	for _, sql := range schedule {
		_, err := p.primary.pool.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
	}
	p.caughtUp()
	const launchers = `SELECT count(*) FROM pg_stat_activity
		WHERE application_name = 'pg_cron scheduler'`
	testkit.Eventually(t, "pg_cron runs on the primary", func() bool {
		return pgtest.One[int](t, p.primary.pool, launchers) == 1
	})
	if n := pgtest.One[int](t, p.standby.pool, launchers); n != 0 {
		t.Errorf("%d of pg_cron run on the standby", n)
	}
	p.primary.kill(func() {})
	p.standby.promote()
	p.swapped()
	promoted := pgtest.One[time.Time](t, p.primary.pool, "SELECT now()")
	pgtest.Exec(t, p.primary.pool, `
		INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('expired ' || i, 'UTF8')), now() - interval '2 days', now() - interval '1 s', now() + interval '1 day'
		FROM generate_series(1, 2500) AS i`)
	testkit.Within(t, nextMinute, "the new primary prunes", func() bool {
		return pgtest.One[bool](t, p.primary.pool, pruned, promoted)
	})
}
