package store_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// grow adds n sessions of about 1 KiB, a quarter of them expired.
const grow = `
	INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at, data)
	SELECT sha256(convert_to($2::text || i, 'UTF8')), now() + (CASE WHEN i % 4 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END),
		now() + interval '1 day', jsonb_build_object('k', repeat('x', 1000))
	FROM generate_series(1, $1::int) AS i`

func TestCountsAreExactOnASmallTableAndEstimatesOnABigOne(t *testing.T) {
	t.Parallel()
	c := hire(t)
	m, err := sessionstore.New(t.Context(), c.pool, config(""))
	if err != nil {
		t.Fatal(err)
	}
	counted := func(exactly bool) sessionstore.Stats {
		t.Helper()
		count := m.Estimate
		if exactly {
			count = m.Stats
		}
		stats, err := count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Total != stats.Active+stats.Expired {
			t.Errorf("%d in all, but %d active and %d expired", stats.Total, stats.Active,
				stats.Expired)
		}
		return stats
	}

	pgtest.Exec(t, c.admin, grow, 4000, "small")
	if size := pgtest.One[int](t, c.admin,
		"SELECT pg_relation_size('pgsession.sessions')"); size > 16<<20 {
		t.Fatalf("the small table has %d bytes", size)
	}
	if s := counted(false); !s.Exact || s.Total != 4000 || s.Expired != 1000 {
		t.Errorf("a small table: %+v", s)
	}

	pgtest.Exec(t, c.admin, grow, 20_000, "big")
	if size := pgtest.One[int](t, c.admin,
		"SELECT pg_relation_size('pgsession.sessions')"); size <= 16<<20 {
		t.Fatalf("the big table has %d bytes", size)
	}
	pgtest.Exec(t, c.admin, "ANALYZE pgsession.sessions")
	estimates := func(total, expired int64) {
		t.Helper()
		s := counted(false)
		if s.Exact {
			t.Errorf("%d sessions were counted: %+v", total, s)
		}
		if s.Total < total*9/10 || s.Total > total*11/10 {
			t.Errorf("an estimate of %d for %d sessions", s.Total, total)
		}
		if want := min(expired, 10_000); s.Expired != want {
			t.Errorf("%d expired, want %d", s.Expired, want)
		}
	}
	estimates(24_000, 6_000)
	// The estimate follows the size of the table, without another ANALYZE. It
	// examines at most 10,000 expired sessions.
	pgtest.Exec(t, c.admin, grow, 20_000, "bigger")
	estimates(44_000, 10_000)
	if s := counted(true); !s.Exact || s.Total != 44_000 || s.Expired != 11_000 {
		t.Errorf("a big table, read to its end: %+v", s)
	}
	if h := m.Health(t.Context()); h.Status != "ok" || h.Sessions == nil || h.Sessions.Exact {
		t.Errorf("health: %+v", h.Sessions)
	}
}
