package citus_test

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/schema"
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
	pool  *pgxpool.Pool
	admin *pgxpool.Pool
	ids   []store.ID // used again and again
	turn  atomic.Int64
	once  chan store.ID // to be rotated, once each
}

func newSide(t *testing.T, node *pgtest.Cluster) *side {
	t.Helper()
	s := &side{admin: node.Pool(), once: make(chan store.ID, 200_000)}
	s.pool = pgtest.Pool(t, node.URL, func(pc *pgxpool.Config) { pc.MaxConns = 16 })
	s.store = postgres.New(s.pool, daily, testkit.Patience)
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
		SELECT u.id, $2 || (u.n - 1) / 5, now(), now() + interval '1 hour', now() + interval '1 day', jsonb_build_object('v', repeat('x', 400))
		FROM unnest($1::bytea[]) WITH ORDINALITY AS u (id, n)`, raw, user)
	pgtest.Exec(t, s.admin, pgtest.Enter)
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
		pgtest.Exec(t, s.admin,
			"TRUNCATE pgsession.sessions, pgsession.user_sessions, pgsession.marks")
		pgtest.Exec(t, s.admin, pgtest.Fill, 20_000)
		pgtest.Exec(t, s.admin, "ANALYZE pgsession.sessions")
		began := time.Now()
		n := pgtest.One[int](t, s.admin, "CALL pgsession.prune()")
		pruned[i] = float64(n) / time.Since(began).Seconds()
	}
	t.Logf("| sessions pruned | %.0f | %.0f | %.0f |", pruned[0], pruned[1], pruned[0]/pruned[1])
}

// Lists and revokes of users on Citus, with a statement to every shard, as a
// revoke by tag has, and with the entries of user_sessions. A quarter of the
// pool sends statements to every shard, as the store has it.
//
// Slow: it measures, and only if -rates asks for it.
func TestSlowRatesOfUsers(t *testing.T) {
	if !*measure {
		t.Skip("it measures, with -rates")
	}
	nodes := pgtest.NewCitus(t, map[string]string{
		"fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_wal_size": "4GB",
		"citus.shard_count": *shards,
	})
	nodes[0].Distribute()
	s := newSide(t, nodes[0])
	ctx, queries := t.Context(), gen.New()
	everywhere := make(chan struct{}, 16/4)
	type call = func(user string) error
	list := func(user string) error {
		recs, err := s.store.List(ctx, user, sessionstore.Page{})
		return cmp.Or(err, found(len(recs), user))
	}
	listAll := func(user string) error {
		everywhere <- struct{}{}
		defer func() { <-everywhere }()
		rows, err := queries.OwnerList(ctx, s.pool, &gen.OwnerListParams{
			UserID: user, Before: time.Now().Add(time.Hour), Max: 100, MaxPending: 10,
		})
		return cmp.Or(err, found(len(rows), user))
	}
	revoke := func(user string) error {
		_, r, err := s.store.Revoke(ctx, store.Selection{UserID: user})
		return cmp.Or(err, found(r.Count, user))
	}
	revokeAll := func(user string) error {
		everywhere <- struct{}{}
		defer func() { <-everywhere }()
		mark := store.NewMarkID()
		if _, err := queries.MarkAdd(ctx, s.pool, mark[:], postgres.UserMark(user)); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			lock := int16(binary.BigEndian.Uint16(postgres.UserMark(user)) % 1024)
			if _, err := queries.OwnerLock(ctx, tx, lock); err != nil {
				return err
			}
			if _, err := schema.Prepared(ctx, tx); err != nil {
				return err
			}
			ids, err := queries.DistributedRevoke(ctx, tx, &gen.DistributedRevokeParams{
				UserID: pgtype.Text{String: user, Valid: true}, Spared: make([]byte, 32),
			})
			return cmp.Or(err, found(len(ids), user))
		})
	}
	s.fill(t, 60_000, "gone ")
	pgtest.Exec(t, s.admin, "ANALYZE pgsession.sessions, pgsession.user_sessions")
	t.Logf("| with %s shards, 16 callers | every shard | entries | times |", *shards)
	for _, what := range []struct {
		name  string
		users string
		calls [2]call
	}{
		{"list of five sessions", "gone %d", [2]call{listAll, list}},
		{"revoke of a user without sessions", "nobody %d", [2]call{revokeAll, revoke}},
		{"revoke of five sessions", "gone %d", [2]call{revokeAll, revoke}},
	} {
		var turn atomic.Int64
		var rates [2][]float64
		for round := range 6 {
			for i := range what.calls {
				i = (i + round) % 2
				r := rate(t, 16, 2*time.Second, func() (int, error) {
					return 1, what.calls[i](fmt.Sprintf(what.users, turn.Add(1)%12_000))
				})
				if round > 0 {
					rates[i] = append(rates[i], r)
				}
			}
		}
		every, entries := median(rates[0]), median(rates[1])
		t.Logf("| %s | %.1f | %.0f | %.0f |", what.name, every, entries, entries/every)
	}
}

// found returns an error unless n sessions are as many as the user has.
func found(n int, user string) error {
	want := 5
	if strings.HasPrefix(user, "nobody") {
		want = 0
	}
	if n != want {
		return fmt.Errorf("%d sessions of %s, want %d", n, user, want)
	}
	return nil
}
