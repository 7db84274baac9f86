package cached

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// tombstoneBatch is how many tombstones one cacheTimeout is for.
const tombstoneBatch = 256

// maxTombstones bounds the tombstones that one revoke sends to the cache, or
// keeps. With more, a watermark covers all sessions here.
const maxTombstones = 10_000

// Delete implements [store.Store].
func (c *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	deleted, err := c.store.Delete(ctx, id)
	r := c.Revoked(ctx, outcomeOf(err), id)
	r.Missed, r.Repeated = deleted.Missed, deleted.Repeated
	return r, err
}

// Revoke implements [store.Store]. Its promise about a user does not depend on
// the ids that this call has ended: an earlier attempt may have ended sessions
// and lost the reply, or the tombstone of a rotated session may have failed.
func (c *Store) Revoke(
	ctx context.Context, s store.Selection,
) ([]store.ID, store.Revocation, error) {
	ids, r, err := c.store.Revoke(ctx, s)
	outcome := outcomeOf(err)
	switch {
	case s.Tag != store.Tag{} && outcome == coherence.Committed:
		// The sessions of an earlier attempt are covered since that.
		c.tombstones.addIDs(ids, c.now())
	case outcome != coherence.Refused || r.Count > 0:
		c.tombstones.addSelection(&s, c.now())
	}
	few := !s.All && len(ids) <= maxTombstones
	acknowledged := outcome == coherence.Committed && (few || c.policy.Local)
	if len(ids) > maxTombstones {
		c.tombstones.addAll(c.now())
	}
	if n := min(len(ids), maxTombstones); n > 0 {
		acknowledged = c.putTombstones(ctx, ids[:n]...) == nil && acknowledged
	}
	count := r.Count
	r = c.promise(outcome, acknowledged, s.Handle != "" && len(ids) == 1)
	r.Count = count
	return ids, r, err
}

// Revoked puts tombstones of sessions that have ended into the cache and
// returns what that promises. Several ids are the sessions of one user.
func (c *Store) Revoked(
	ctx context.Context, outcome coherence.Outcome, ids ...store.ID,
) store.Revocation {
	acknowledged := outcome.NeedsTombstone() && c.putTombstones(ctx, ids...) == nil
	return c.promise(outcome, acknowledged, len(ids) == 1)
}

func (c *Store) promise(outcome coherence.Outcome, acknowledged, one bool) store.Revocation {
	r := c.policy.Revoked(outcome, acknowledged, one)
	return store.Revocation{
		Committed: r.Committed, CacheAcked: r.CacheAcked, MaxExposure: r.MaxExposure,
	}
}

// outcomeOf returns the outcome of a statement that ends sessions. After
// [store.ErrBrokenRow] it was carried out, and its row can't be read.
func outcomeOf(err error) coherence.Outcome {
	switch {
	case err == nil:
		return coherence.Committed
	case errors.Is(err, store.ErrOutcomeUnknown), errors.Is(err, store.ErrBrokenRow):
		return coherence.OutcomeUnknown
	}
	return coherence.Refused
}

// putTombstones puts tombstones into the cache, also if the caller's context
// has ended: the sessions have. It returns an error if the cache did not
// acknowledge them.
func (c *Store) putTombstones(ctx context.Context, ids ...store.ID) (err error) {
	call := store.Call{Layer: store.LayerCache, Operation: store.OpTombstone}
	trace.Run(ctx, c.tracer, call, func(ctx context.Context) store.CallResult {
		if err = c.writeTombstones(ctx, ids); err != nil {
			return store.CallResult{Cache: store.CacheFailed}
		}
		return store.CallResult{Cache: store.CacheStored}
	})
	return err
}

func (c *Store) writeTombstones(ctx context.Context, ids []store.ID) error {
	if c.policy.Local {
		c.tombstones.addIDs(ids, c.now())
	}
	err := c.cache.end(ctx, ids, c.policy.TombstoneTTL())
	if err != nil {
		c.counts.tombstonesFailed.Add(int64(len(ids)))
		c.tombstones.addIDs(ids, c.now())
	}
	return err
}
