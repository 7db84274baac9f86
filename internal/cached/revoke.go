package cached

import (
	"context"
	"errors"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// buryAtOnce is for how many tombstones one cacheTimeout is.
const buryAtOnce = 256

// maxBuried bounds the tombstones of one revoke. The cache is not told of more.
const maxBuried = 10_000

// Delete implements [store.Store].
func (c *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	_, err := c.store.Delete(ctx, id)
	outcome := outcomeOf(err)
	return c.Revoked(ctx, outcome, id), err
}

// Revoke implements [store.Store]. Nothing is promised about a user from the ids that
// this call has seen: another one may have ended sessions and lost the answer,
// or a new token's tombstone may have failed.
func (c *Store) Revoke(ctx context.Context, s store.Selection) ([]store.ID, store.Revocation, error) {
	ids, r, err := c.store.Revoke(ctx, s)
	outcome := outcomeOf(err)
	if outcome != coherence.Refused || r.Count > 0 {
		c.ended.add(&s)
	}
	acknowledged := outcome == coherence.Committed && !s.All && len(ids) <= maxBuried
	if len(ids) > maxBuried {
		c.ended.addIDs(ids[maxBuried:])
	}
	if n := min(len(ids), maxBuried); n > 0 {
		acknowledged = c.bury(ctx, ids[:n]...) == nil && acknowledged
	}
	count := r.Count
	r = c.promise(outcome, acknowledged, s.Handle != "" && len(ids) == 1)
	r.Count = count
	return ids, r, err
}

// Revoked tells the cache of sessions that have ended, and says what that comes
// to. More than one are those of a user.
func (c *Store) Revoked(ctx context.Context, outcome coherence.Outcome, ids ...store.ID) store.Revocation {
	acknowledged := outcome.Bury() && c.bury(ctx, ids...) == nil
	return c.promise(outcome, acknowledged, len(ids) == 1)
}

func (c *Store) promise(outcome coherence.Outcome, acknowledged, one bool) store.Revocation {
	r := c.policy.Revoked(outcome, acknowledged, one)
	return store.Revocation{Committed: r.Committed, CacheAcked: r.CacheAcked, MaxExposure: r.MaxExposure}
}

func outcomeOf(err error) coherence.Outcome {
	switch {
	case err == nil:
		return coherence.Committed
	case errors.Is(err, store.ErrOutcomeUnknown), errors.Is(err, store.ErrBrokenRow): // made, and its row can't be read
		return coherence.Uncertain
	}
	return coherence.Refused
}

// bury tells the cache that sessions have ended. Who ended them may have left: they have ended all the same.
func (c *Store) bury(ctx context.Context, ids ...store.ID) (err error) {
	trace.Run(ctx, c.tracer, store.Call{Layer: store.LayerCache, Operation: store.OpBury}, func(ctx context.Context) store.CallResult {
		if err = c.putTombstones(ctx, ids); err != nil {
			return store.CallResult{Cache: store.CacheFailed}
		}
		return store.CallResult{Cache: store.CacheStored}
	})
	return err
}

func (c *Store) putTombstones(ctx context.Context, ids []store.ID) error {
	keys := make([]cache.ID, len(ids))
	for i, id := range ids {
		keys[i] = cache.ID(id)
	}
	limit := cacheTimeout * time.Duration(1+len(ids)/buryAtOnce)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := c.cache.PutTombstones(ctx, c.policy.BuryTTL(), keys...)
	if err != nil {
		c.counts.unburied.Add(int64(len(ids)))
		c.ended.addIDs(ids)
	}
	return err
}
