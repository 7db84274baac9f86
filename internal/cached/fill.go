package cached

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// fill puts a record into the cache. It returns CacheStored, CacheRefused or
// CacheFailed.
func (c *Store) fill(
	ctx context.Context, rec *store.Record, ttl time.Duration,
) (result store.CacheResult) {
	call := store.Call{Layer: store.LayerCache, Operation: store.OpFill}
	trace.Run(ctx, c.tracer, call, func(ctx context.Context) store.CallResult {
		result = c.put(ctx, rec, ttl)
		return store.CallResult{Cache: result}
	})
	return result
}

// put is fill without the Tracer.
func (c *Store) put(ctx context.Context, rec *store.Record, ttl time.Duration) store.CacheResult {
	switch stored, err := c.cache.put(ctx, rec, ttl); {
	case err != nil:
		c.counts.fillsFailed.Add(1)
		return store.CacheFailed
	case !stored:
		c.counts.fillsRefused.Add(1)
		return store.CacheRefused
	}
	c.counts.fills.Add(1)
	return store.CacheStored
}

// hasNewer reports whether the cache refused a save's fill because it has an
// entry of ours that is not older, as that of a concurrent save. Anything else
// is replaced by a tombstone: a value that an attacker has planted, an older
// entry beside data that is too large, a tombstone that ends too early. Without
// that, every save of the session would set the cookie.
func (c *Store) hasNewer(ctx context.Context, rec *store.Record) (found bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	call := store.Call{Layer: store.LayerCache, Operation: store.OpGet}
	trace.Run(ctx, c.tracer, call, func(ctx context.Context) store.CallResult {
		cached, answer := c.cache.get(ctx, rec.ID)
		found = answer == coherence.Hit && cached.Version >= rec.Version
		if found {
			return store.CallResult{Cache: store.CacheHit}
		}
		return store.CallResult{Cache: resultOf(answer, coherence.BelowMinimum)}
	})
	return found
}

// fillAfterLoad fills Redis after the request has its record.
func (c *Store) fillAfterLoad(ctx context.Context, rec *store.Record, ttl time.Duration) {
	if c.policy.Local {
		c.fill(ctx, rec, ttl)
		return
	}
	filled := *rec
	c.inBackground(func() { c.fill(ctx, &filled, ttl) })
}

// inBackground runs a fill in a goroutine, and drops it if many are running or
// the Store is closed.
func (c *Store) inBackground(fill func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	select {
	case c.filling <- struct{}{}:
	default:
		c.counts.fillsSkipped.Add(1)
		return
	}
	c.background.Go(func() {
		defer func() { <-c.filling }()
		fill()
	})
}

// refill reads a session again and fills the cache with it. An entry of the
// same version is replaced by one that was read later.
func (c *Store) refill(ctx context.Context, id store.ID) {
	asked := c.clocks()
	rec, err := c.store.Load(ctx, id, 0)
	now := c.observe(&rec, asked)
	if ttl := c.policy.Saved(entryOf(&rec), now); err == nil && ttl > 0 {
		c.fill(ctx, &rec, ttl)
	}
	c.dropIfEnded(ctx, id, err)
}
