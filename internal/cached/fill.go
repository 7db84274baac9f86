package cached

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// fill puts a record into the cache, and returns CacheStored, CacheRefused or
// CacheFailed.
func (c *Store) fill(ctx context.Context, rec *store.Record, ttl time.Duration) (result store.CacheResult) {
	trace.Run(ctx, c.tracer, store.Call{Layer: store.LayerCache, Operation: store.OpFill}, func(ctx context.Context) store.CallResult {
		result = c.put(ctx, rec, ttl)
		return store.CallResult{Cache: result}
	})
	return result
}

// newer reports whether what refused a save's fill is an entry of ours that is
// not older, as that of a save beside it. Anything else gives way to a
// tombstone: a value that an attacker has planted, an older entry beside data
// that is too large, a tombstone that ends too early. Without that, every save
// of the session would set the cookie.
func (c *Store) newer(ctx context.Context, rec *store.Record) (found bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	trace.Run(ctx, c.tracer, store.Call{Layer: store.LayerCache, Operation: store.OpGet}, func(ctx context.Context) store.CallResult {
		e, err := c.cache.Get(ctx, cache.ID(rec.ID))
		stands, answer := recordFrom(rec.ID, e, err)
		found = answer == coherence.Hit && stands.Version >= rec.Version
		if found {
			return store.CallResult{Cache: store.CacheHit}
		}
		return store.CallResult{Cache: resultOf(answer, coherence.Behind)}
	})
	return found
}

func (c *Store) put(ctx context.Context, rec *store.Record, ttl time.Duration) store.CacheResult {
	// Whoever hung up has still changed the session, and the next reader is somebody else.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	stored, err := c.cache.Fill(ctx, cache.ID(rec.ID), cache.Entry{
		Version: rec.Version, ValidatedAt: rec.ValidatedAt, ExpiresAt: rec.ExpiresAt, AbsoluteExpiresAt: rec.AbsoluteExpiresAt,
		Data: EncodeRecord(rec),
	}, ttl)
	switch {
	case err != nil:
		c.counts.unfilled.Add(1)
		return store.CacheFailed
	case !stored:
		c.counts.refused.Add(1)
		return store.CacheRefused
	}
	c.counts.filled.Add(1)
	return store.CacheStored
}

// fillLater fills beside the request that has its answer already.
func (c *Store) fillLater(ctx context.Context, rec *store.Record, ttl time.Duration) {
	filler := *rec
	c.beside(func() { c.fill(ctx, &filler, ttl) })
}

// beside does what fills in a goroutine, unless many are under way.
func (c *Store) beside(fill func()) {
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
func (c *Store) refill(ctx context.Context, id store.ID) {
	asked := c.clocks()
	rec, err := c.store.Load(ctx, id, 0)
	now := c.heard(&rec, asked)
	if ttl := c.policy.Saved(entryOf(&rec), now); err == nil && ttl > 0 {
		c.fill(ctx, &rec, ttl)
	}
}
