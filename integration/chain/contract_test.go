package chain_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// replaced is an instance that makes way for one that remembers nothing, as after a deploy, when time is moved for it.
type replaced struct {
	store.Store
	cfg     sessionstore.Config
	pool    *pgxpool.Pool
	manager *sessionstore.Manager
	all     *[]*replaced // on the same database
}

func (r *replaced) open(t *testing.T) {
	t.Helper()
	m, err := sessionstore.New(t.Context(), r.pool, r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.manager, r.Store = m, m.Store()
}

// reopen leaves nothing in any process, nor in Redis.
func (r *replaced) reopen(t *testing.T, redis *redistest.Server) {
	t.Helper()
	for _, one := range *r.all {
		if err := one.manager.Close(); err != nil {
			t.Error(err)
		}
	}
	redis.Flush()
	for _, one := range *r.all {
		one.open(t)
	}
}

// The contract of a store holds for the chain on real servers, with two instances, each of which has its own connections.
func TestTheChainKeepsTheContract(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pools := []*pgxpool.Pool{pgtest.Pool(t, r.database), pgtest.Pool(t, r.database)}
	add := func(t *testing.T, one *replaced) store.Store {
		one.open(t)
		*one.all = append(*one.all, one)
		t.Cleanup(func() { _ = one.manager.Close() })
		return one
	}
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			pgtest.Exec(t, r.admin, "TRUNCATE pgsession.sessions, pgsession.marks")
			pgtest.Exec(t, r.admin, "UPDATE pgsession.prune_state SET last_prune_at = NULL, pruned_total = 0")
			cfg := r.config()
			cfg.IdleTimeout, cfg.AbsoluteTimeout, cfg.DisableSliding = e.Idle, e.Absolute, e.Fixed
			return add(t, &replaced{cfg: cfg, pool: pools[0], all: new([]*replaced)})
		},
		Age: func(t *testing.T, s store.Store, id store.ID, d time.Duration) {
			if pgtest.Exec(t, r.admin, pgtest.Age, id[:], d.Seconds()) != 1 {
				t.Fatal("no session to age")
			}
			s.(*replaced).reopen(t, r.redis)
		},
		Peer: func(t *testing.T, s store.Store) store.Store {
			first := s.(*replaced)
			return add(t, &replaced{cfg: first.cfg, pool: pools[1], all: first.all})
		},
		Forget: func(t *testing.T, s store.Store) { s.(*replaced).reopen(t, r.redis) },
	})
}
