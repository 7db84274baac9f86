package operator_test

import (
	"encoding/json"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// A big table that no ANALYZE has read, as after a restore, is not empty.
func TestStatsOfAFreshTable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	pgtest.Exec(t, admin, "ALTER TABLE pgsession.sessions SET (autovacuum_enabled = off)")
	const rows = 30_000
	pgtest.Exec(t, admin, `INSERT INTO pgsession.sessions
		(id, expires_at, absolute_expires_at, data)
		SELECT sha256(n::text::bytea), now() + interval '1 h', now() + interval '1 h',
			json_build_object('x', repeat('x', 600))
		FROM generate_series(1, $1::integer) AS n`, rows)
	if n := pgtest.One[int](t, admin, `SELECT reltuples::integer FROM pg_class
		WHERE oid = 'pgsession.sessions'::regclass`); n != -1 {
		t.Fatalf("the table has statistics: %d", n)
	}
	s.env.run(t, "stats").wants(t, 0, `(?m)^alive +\d+ +estimated: -exact counts$`, "")
	var out struct {
		Active int
		Exact  bool
	}
	r := s.env.run(t, "stats", "-json")
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || out.Exact ||
		out.Active < rows*9/10 || out.Active > rows*11/10 {
		t.Errorf("%v: %s", err, r.stdout)
	}
}
