package cached

import (
	"context"
	"errors"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Cache is what a Store needs of a [cache.Cache].
type Cache interface {
	Get(ctx context.Context, id cache.ID) (cache.Entry, error)
	Await(ctx context.Context, id cache.ID) (cache.Entry, error)
	Fill(ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration) (bool, error)
	PutTombstones(ctx context.Context, ttl time.Duration, ids ...cache.ID) error
}

// sealed is a cache that all processes share, as Redis is. Its entries are
// encoded records. A write is bounded, and ignores that its caller has left:
// the session is changed, and the next reader may be another client.
type sealed struct{ cache Cache }

func (s sealed) name() string { return "redis" }

func (s sealed) get(
	ctx context.Context, id store.ID,
) (store.Record, coherence.CacheAnswer) {
	e, err := s.cache.Get(ctx, cache.ID(id))
	return recordFrom(id, e, err)
}

func (s sealed) await(
	ctx context.Context, id store.ID,
) (store.Record, coherence.CacheAnswer) {
	e, err := s.cache.Await(ctx, cache.ID(id))
	return recordFrom(id, e, err)
}

// recordFrom returns the record of a cache's answer. The error of a context
// that has ended is ignored here: the store returns it again.
func recordFrom(id store.ID, e cache.Entry, err error) (store.Record, coherence.CacheAnswer) {
	switch {
	case errors.Is(err, cache.ErrMiss):
		return store.Record{}, coherence.Miss
	case errors.Is(err, cache.ErrTombstone):
		return store.Record{}, coherence.FoundTombstone
	case err != nil:
		return store.Record{}, coherence.Timeout
	}
	rec := store.Record{
		ID: id, Version: e.Version, ValidatedAt: e.ValidatedAt,
		ExpiresAt: e.ExpiresAt, AbsoluteExpiresAt: e.AbsoluteExpiresAt,
	}
	if decodeRecord(&rec, e.Data) != nil {
		return store.Record{}, coherence.Miss
	}
	return rec, coherence.Hit
}

func (s sealed) put(
	ctx context.Context, rec *store.Record, ttl time.Duration,
) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	return s.cache.Fill(ctx, cache.ID(rec.ID), cache.Entry{
		Version: rec.Version, ValidatedAt: rec.ValidatedAt,
		ExpiresAt: rec.ExpiresAt, AbsoluteExpiresAt: rec.AbsoluteExpiresAt,
		Data: encodeRecord(rec),
	}, ttl)
}

func (s sealed) end(ctx context.Context, ids []store.ID, ttl time.Duration) error {
	keys := make([]cache.ID, len(ids))
	for i, id := range ids {
		keys[i] = cache.ID(id)
	}
	limit := cacheTimeout * time.Duration(1+len(ids)/tombstoneBatch)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return s.cache.PutTombstones(ctx, ttl, keys...)
}
