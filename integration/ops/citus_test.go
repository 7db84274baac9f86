package ops_test

import (
	"regexp"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// Where Citus is missing, the file reports that and changes nothing, and all of
// it parses. integration/citus tests it where Citus is installed.
func TestCitusIsMissing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	file := pgtest.Ops(t, "citus.sql")
	const everything = "SELECT count(*) FROM pg_class"
	before := pgtest.One[int](t, pool, everything)
	fails(t, pool, file, "Citus is not in database")
	fails(t, pool, "BEGIN; "+file+" COMMIT", "Citus is not in database")
	if after := pgtest.One[int](t, pool, everything); after != before {
		t.Errorf("there were %d relations and are %d", before, after)
	}
	// Postgres checks a DO block as far as it runs, and a function as a whole.
	for _, name := range []string{
		"citus.sql", "pg_cron.sql", "pg_cron_elsewhere.sql", "pg_cron_unschedule.sql",
	} {
		block := regexp.MustCompile(`(?s)DO (\$\$.*?\$\$);`).FindStringSubmatch(pgtest.Ops(t, name))
		if block == nil {
			t.Errorf("%s has no block", name)
			continue
		}
		err := run(t.Context(), pool,
			"CREATE FUNCTION pg_temp.block() RETURNS void LANGUAGE plpgsql AS "+block[1]+
				"; DROP FUNCTION pg_temp.block()")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
