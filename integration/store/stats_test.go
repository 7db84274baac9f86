package store_test

import (
	"bytes"
	"log/slog"
	"strings"
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

// With more expired sessions than an estimate counts, it says so. The rest of
// them is in the number of those that are alive, and not one is.
func TestAnEstimateOfManyExpiredSessionsIsCapped(t *testing.T) {
	t.Parallel()
	for name, distributed := range map[string]bool{"plain": false, "as on Citus": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databaseURL := pgtest.Database(t)
			admin := pgtest.Pool(t, databaseURL)
			if distributed {
				pgtest.Distribute(t, admin)
			}
			pool := pgtest.Pool(t, pgtest.Application(t, databaseURL))
			const add = `
				INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at, data)
				SELECT sha256(convert_to($2::text || i, 'UTF8')), now() - interval '1 hour',
					now() + interval '1 day', jsonb_build_object('k', repeat('x', $3::int))
				FROM generate_series(1, $1::int) AS i`
			pgtest.Exec(t, admin, add, 9_999, "large", 1800)
			pgtest.Exec(t, admin, "ANALYZE pgsession.sessions")
			var log bytes.Buffer
			cfg := config("")
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			m, err := sessionstore.New(t.Context(), pool, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := m.Estimate(t.Context()); err != nil || s.Exact || s.Capped ||
				s.Expired != 9_999 || strings.Contains(log.String(), "capped") {
				t.Errorf("of 9,999 expired sessions: %+v, %v\n%s", s, err, &log)
			}
			pgtest.Exec(t, admin, add, 10_000, "small", 10)
			pgtest.Exec(t, admin, "ANALYZE pgsession.sessions")
			log.Reset()
			if m, err = sessionstore.New(t.Context(), pool, cfg); err != nil {
				t.Fatal(err)
			}
			if s, err := m.Estimate(t.Context()); err != nil || s.Exact || !s.Capped ||
				s.Expired != 10_000 || s.Active != s.Total-s.Expired {
				t.Errorf("of 19,999 expired sessions: %+v, %v", s, err)
			}
			if !strings.Contains(log.String(), "exact=false capped=true") {
				t.Errorf("the log is %s", &log)
			}
			if h := m.Health(t.Context()); h.Sessions == nil || !h.Sessions.Capped {
				t.Errorf("health: %+v", h.Sessions)
			}
			if s, err := m.Stats(t.Context()); err != nil || s.Capped || s.Active != 0 ||
				s.Expired != 19_999 {
				t.Errorf("read to its end: %+v, %v", s, err)
			}
		})
	}
}
