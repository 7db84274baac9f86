package sessionstore

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/cache"
)

// fill says whether the cache has taken the record.
func (c *cached) fill(ctx context.Context, rec *Record, ttl time.Duration) (filled bool) {
	trace(ctx, c.tracer, Call{LayerCache, OpFill}, func(ctx context.Context) CallResult {
		result := c.put(ctx, rec, ttl)
		filled = result == CacheStored
		return CallResult{Cache: result}
	})
	return filled
}

func (c *cached) put(ctx context.Context, rec *Record, ttl time.Duration) CacheResult {
	// Whoever hung up has still changed the session, and the next reader is somebody else.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	stored, err := c.cache.Fill(ctx, cache.ID(rec.ID), cache.Entry{
		Version: rec.Version, ValidatedAt: rec.ValidatedAt, ExpiresAt: rec.ExpiresAt, AbsoluteExpiresAt: rec.AbsoluteExpiresAt,
		Data: rec.encode(),
	}, ttl)
	switch {
	case err != nil:
		c.counts.unfilled.Add(1)
		return CacheFailed
	case !stored:
		c.counts.refused.Add(1)
		return CacheRefused
	}
	c.counts.filled.Add(1)
	return CacheStored
}

// fillLater fills beside the request that has its answer already.
func (c *cached) fillLater(ctx context.Context, rec *Record, ttl time.Duration) {
	filler := *rec
	c.beside(func() { c.fill(ctx, &filler, ttl) })
}

// beside does what fills in a goroutine, unless many are under way.
func (c *cached) beside(fill func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	select {
	case c.filling <- struct{}{}:
	default:
		c.counts.skipped.Add(1)
		return
	}
	c.fills.Go(func() {
		defer func() { <-c.filling }()
		fill()
	})
}

// refill reads a session anew. An entry of the same version gives way to one that was read later.
func (c *cached) refill(ctx context.Context, id ID) {
	asked := c.clocks()
	rec, err := c.store.Load(ctx, id, 0)
	now := c.heard(&rec, asked)
	if ttl := c.policy.Saved(rec.entry(), now); err == nil && ttl > 0 {
		c.fill(ctx, &rec, ttl)
	}
}
