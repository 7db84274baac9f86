package sessionstore

import (
	"context"
	"errors"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
)

// buryAtOnce is for how many tombstones one cacheTimeout is.
const buryAtOnce = 256

// Delete implements [Store].
func (c *cached) Delete(ctx context.Context, id ID) (Revocation, error) {
	_, err := c.store.Delete(ctx, id)
	outcome := outcomeOf(err)
	return c.revoked(ctx, outcome, id), err
}

// Revoke implements [Store]. Who asks again after an answer was lost is not told the sessions that are gone already, so
// nothing better than the bound is promised for a while after that.
func (c *cached) Revoke(ctx context.Context, s Selection) ([]ID, Revocation, error) {
	ids, r, err := c.store.Revoke(ctx, s)
	outcome := outcomeOf(err)
	acknowledged := !c.doubtful(outcome) && !s.All && outcome == coherence.Committed
	if len(ids) > 0 {
		acknowledged = c.bury(ctx, ids...) == nil && acknowledged
	}
	count := r.Count
	r = c.promise(outcome, acknowledged)
	r.Count = count
	return ids, r, err
}

// doubtful says whether the cache may have missed a revoke of which nobody knows the sessions.
func (c *cached) doubtful(outcome coherence.Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if outcome == coherence.Uncertain {
		c.doubt = now.Add(c.policy.Exposure())
	}
	return now.Before(c.doubt)
}

// revoked tells the cache of sessions that have ended, and says what that comes to.
func (c *cached) revoked(ctx context.Context, outcome coherence.Outcome, ids ...ID) Revocation {
	acknowledged := outcome.Bury() && c.bury(ctx, ids...) == nil
	return c.promise(outcome, acknowledged)
}

func (c *cached) promise(outcome coherence.Outcome, acknowledged bool) Revocation {
	r := c.policy.Revoked(outcome, acknowledged)
	return Revocation{Committed: r.Committed, CacheAcked: r.CacheAcked, MaxExposure: r.MaxExposure}
}

func outcomeOf(err error) coherence.Outcome {
	switch {
	case err == nil:
		return coherence.Committed
	case errors.Is(err, ErrUncertain), isRowError(err): // made, and its row can't be read
		return coherence.Uncertain
	}
	return coherence.Refused
}

// bury tells the cache that sessions have ended. Who ended them may have left: they have ended all the same.
func (c *cached) bury(ctx context.Context, ids ...ID) (err error) {
	trace(ctx, c.tracer, Call{LayerCache, OpBury}, func(ctx context.Context) CallResult {
		if err = c.putTombstones(ctx, ids); err != nil {
			return CallResult{Cache: CacheFailed}
		}
		return CallResult{Cache: CacheStored}
	})
	return err
}

func (c *cached) putTombstones(ctx context.Context, ids []ID) error {
	keys := make([]cache.ID, len(ids))
	for i, id := range ids {
		keys[i] = cache.ID(id)
	}
	limit := cacheTimeout * time.Duration(1+len(ids)/buryAtOnce)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := c.cache.Bury(ctx, c.policy.BuryTTL(), keys...)
	if err != nil {
		c.counts.unburied.Add(int64(len(ids)))
	}
	return err
}
