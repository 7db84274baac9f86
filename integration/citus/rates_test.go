package citus_test

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var (
	measure = flag.Bool("rates", false, "measure the rates of bench/NOTES.md")
	shards  = flag.String("shards", "32", "how many shards for that; 32 is Citus's default")
)

// side is one of the two that are compared.
type side struct {
	store *postgres.Store
	admin *pgxpool.Pool
	ids   []store.ID // used again and again
	turn  atomic.Int64
	once  chan store.ID // to be rotated, once each
}

func newSide(t *testing.T, node *pgtest.Cluster) *side {
	t.Helper()
	s := &side{admin: node.Pool(), once: make(chan store.ID, 200_000)}
	pool := pgtest.Pool(t, node.URL, func(pc *pgxpool.Config) { pc.MaxConns = 16 })
	s.store = postgres.New(pool, daily, testkit.Patience)
	if err := s.store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ids = s.fill(t, 20_000, "user ")
	for _, id := range s.fill(t, 20_000, "login ") {
		s.once <- id
	}
	pgtest.Exec(t, s.admin, "ANALYZE pgsession.sessions")
	return s
}

// fill makes sessions, five of each user.
func (s *side) fill(t *testing.T, n int, user string) []store.ID {
	t.Helper()
	ids := make([]store.ID, n)
	raw := make([][]byte, n)
	for i := range ids {
		ids[i] = testkit.NewID()
		raw[i] = ids[i][:]
	}
	pgtest.Exec(t, s.admin, `INSERT INTO pgsession.sessions (id, user_id, authenticated_at, expires_at, absolute_expires_at, data)
		SELECT u.id, $2 || u.n / 5, now(), now() + interval '1 hour', now() + interval '1 day', jsonb_build_object('v', repeat('x', 400))
		FROM unnest($1::bytea[]) WITH ORDINALITY AS u (id, n)`, raw, user)
	return ids
}

func (s *side) next() store.ID { return s.ids[int(s.turn.Add(7919))%len(s.ids)] }

// rate runs calls from so many goroutines for a while.
func rate(t *testing.T, callers int, lasts time.Duration, call func() (int, error)) float64 {
	t.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range callers {
		all.Go(func() {
			for time.Since(began) < lasts {
				did, err := call()
				if err != nil {
					t.Error(err)
					return
				}
				n.Add(int64(did))
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// The table of bench/NOTES.md: both sides alternate on one machine, waiting for
// their disks.
//
// Slow: it measures, and only if -rates asks for it.
func TestSlowRates(t *testing.T) {
	if !*measure {
		t.Skip("it measures, with -rates")
	}
	settings := map[string]string{
		"fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_wal_size": "4GB",
	}
	one := pgtest.NewCluster(t, settings)
	settings["citus.shard_count"] = *shards
	nodes := pgtest.NewCitus(t, settings)
	nodes[0].Distribute()
	sides := []*side{newSide(t, one), newSide(t, nodes[0])}
	t.Logf("| with %s shards | one Postgres | Citus | times |", *shards)
	ctx := t.Context()
	for _, what := range []struct {
		name    string
		callers int
		call    func(*side) (int, error)
	}{
		{"load, 1 caller", 1, func(s *side) (int, error) {
			_, err := s.store.Load(ctx, s.next(), 0)
			return 1, err
		}},
		{"load, 64 callers", 64, func(s *side) (int, error) {
			_, err := s.store.Load(ctx, s.next(), 0)
			return 1, err
		}},
		{"save, 64 callers", 64, func(s *side) (int, error) {
			_, err := s.store.Save(ctx, s.next(), setting("k"))
			return 1, err
		}},
		{"create, 64 callers", 64, func(s *side) (int, error) {
			_, err := s.store.Create(ctx, store.Draft{ID: testkit.NewID()})
			return 1, err
		}},
		{"login (a new id), 64 callers", 64, func(s *side) (int, error) {
			id := testkit.NewID()
			_, err := s.store.Rotate(ctx, <-s.once, id, store.Change{UserID: "ada"})
			s.once <- id
			return 1, err
		}},
		{"sessions touched, 1000 in each call", 1, func(s *side) (int, error) {
			touches := make([]store.Touch, 1000)
			for i := range touches {
				touches[i].ID = s.next()
			}
			return len(touches), s.store.Touch(ctx, touches)
		}},
		{"list of a user, 16 callers", 16, func(s *side) (int, error) {
			_, err := s.store.List(ctx, "user 17", sessionstore.Page{})
			return 1, err
		}},
		{"revoke of a user without sessions, 16 callers", 16, func(s *side) (int, error) {
			_, _, err := s.store.Revoke(ctx,
				store.Selection{UserID: fmt.Sprint("user without sessions ", s.turn.Add(1))})
			return 1, err
		}},
	} {
		var rates [2][]float64
		for round := range 6 {
			for i := range sides {
				i = (i + round) % 2
				// The first run warms up.
				r := rate(t, what.callers, 600*time.Millisecond, func() (int, error) {
					return what.call(sides[i])
				})
				if round > 0 {
					rates[i] = append(rates[i], r)
				}
			}
		}
		plain, citus := median(rates[0]), median(rates[1])
		t.Logf("| %s | %.0f | %.0f | %.0f |", what.name, plain, citus, plain/citus)
	}
	var pruned [2]float64
	for i, s := range sides {
		pgtest.Exec(t, s.admin, "TRUNCATE pgsession.sessions, pgsession.marks")
		pgtest.Exec(t, s.admin, pgtest.Fill, 20_000)
		pgtest.Exec(t, s.admin, "ANALYZE pgsession.sessions")
		began := time.Now()
		n := pgtest.One[int](t, s.admin, "CALL pgsession.prune()")
		pruned[i] = float64(n) / time.Since(began).Seconds()
	}
	t.Logf("| sessions pruned | %.0f | %.0f | %.0f |", pruned[0], pruned[1], pruned[0]/pruned[1])
}
