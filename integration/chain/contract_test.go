package chain_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// replaced is an instance that a new one replaces, as in a deploy, when the
// test moves time. That costs some statements, so it happens at the next call.
type replaced struct {
	t     *testing.T
	cfg   sessionstore.Config
	pool  *pgxpool.Pool
	redis *redistest.Server

	mu       sync.Mutex
	manager  *sessionstore.Manager
	outdated bool
	all      *[]*replaced // all those on the same database
}

func (r *replaced) open() {
	r.t.Helper()
	m, err := sessionstore.New(r.t.Context(), r.pool, r.cfg)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.manager = m
}

// replace empties Redis now, and replaces every process at its next call.
func (r *replaced) replace() {
	r.redis.Flush()
	for _, one := range *r.all {
		one.mu.Lock()
		one.outdated = true
		one.mu.Unlock()
	}
}

func (r *replaced) store() store.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outdated {
		r.outdated = false
		if err := r.manager.Close(); err != nil {
			r.t.Error(err)
		}
		r.open()
	}
	return r.manager.Store()
}

func (r *replaced) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	return r.store().Create(ctx, d)
}

func (r *replaced) Load(ctx context.Context, id store.ID, minVersion int64) (store.Record, error) {
	return r.store().Load(ctx, id, minVersion)
}

func (r *replaced) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	return r.store().Save(ctx, id, c)
}

func (r *replaced) Rotate(ctx context.Context, old, id store.ID,
	c store.Change,
) (store.Record, error) {
	return r.store().Rotate(ctx, old, id, c)
}

func (r *replaced) Touch(ctx context.Context, touches []store.Touch) error {
	return r.store().Touch(ctx, touches)
}

func (r *replaced) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	return r.store().Delete(ctx, id)
}

func (r *replaced) List(ctx context.Context, userID string, p store.Page) ([]store.Record, error) {
	return r.store().List(ctx, userID, p)
}

func (r *replaced) Revoke(ctx context.Context,
	s store.Selection,
) ([]store.ID, store.Revocation, error) {
	return r.store().Revoke(ctx, s)
}

func (r *replaced) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	return r.store().Alive(ctx, ids)
}

func (r *replaced) Prune(ctx context.Context, most int) (n int, ok bool, err error) {
	return r.store().Prune(ctx, most)
}

func (r *replaced) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	return r.store().Stats(ctx, exact)
}

func (r *replaced) Name() string { return r.store().Name() }

// The chain keeps the contract of a store on real servers. It has two
// instances, each with its own connections.
func TestTheChainKeepsTheContract(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pools := []*pgxpool.Pool{pgtest.Pool(t, r.database), pgtest.Pool(t, r.database)}
	add := func(t *testing.T, one *replaced) store.Store {
		one.t, one.redis = t, r.redis
		one.open()
		*one.all = append(*one.all, one)
		t.Cleanup(func() { _ = one.manager.Close() })
		return one
	}
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			pgtest.Exec(t, r.admin, "TRUNCATE pgsession.sessions, pgsession.marks")
			pgtest.Exec(t, r.admin,
				"UPDATE pgsession.prune_state SET last_prune_at = NULL, pruned_total = 0")
			cfg := r.config()
			cfg.IdleTimeout, cfg.AbsoluteTimeout, cfg.DisableSliding = e.Idle, e.Absolute, e.Fixed
			return add(t, &replaced{cfg: cfg, pool: pools[0], all: new([]*replaced)})
		},
		Age: func(t *testing.T, s store.Store, id store.ID, d time.Duration) {
			if pgtest.Exec(t, r.admin, pgtest.Age, id[:], d.Seconds()) != 1 {
				t.Fatal("no session to age")
			}
			s.(*replaced).replace()
		},
		Peer: func(t *testing.T, s store.Store) store.Store {
			first := s.(*replaced)
			return add(t, &replaced{cfg: first.cfg, pool: pools[1], all: first.all})
		},
		Forget: func(t *testing.T, s store.Store) { s.(*replaced).replace() },
	})
}
