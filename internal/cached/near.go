package cached

import (
	"context"
	"errors"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/local"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// near is a cache of this process. It has no tombstones: the local ones of the
// Store do that, which no eviction drops.
type near struct{ *local.Cache }

func (n near) name() string { return "local" }

func (n near) get(_ context.Context, id store.ID) (store.Record, coherence.CacheAnswer) {
	if rec := n.Get(id); rec != nil {
		return *rec, coherence.Hit
	}
	return store.Record{}, coherence.Miss
}

func (n near) await(ctx context.Context, id store.ID) (store.Record, coherence.CacheAnswer) {
	return n.get(ctx, id)
}

func (n near) put(_ context.Context, rec *store.Record, _ time.Duration) (bool, error) {
	return n.Fill(rec), nil
}

func (n near) end(_ context.Context, ids []store.ID, _ time.Duration) error {
	n.Remove(ids...)
	return nil
}

// dropIfEnded drops a session that Postgres has found ended. Another process
// may have ended it within the freshness.
func (c *Store) dropIfEnded(ctx context.Context, id store.ID, err error) {
	if c.policy.Local && errors.Is(err, store.ErrNotFound) {
		_ = c.cache.end(ctx, []store.ID{id}, 0)
	}
}
