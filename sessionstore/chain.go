package sessionstore

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// chain has the stores of a Manager made by [Open] or [New]: Postgres, the
// cache in front of it, and the emergency around both. Parts that are disabled
// are nil.
type chain struct {
	postgres *postgres.Store
	traced   store.Store  // postgres, with the Tracer around it
	redis    *cache.Cache // nil with a local cache
	client   io.Closer    // of redis
	// releaseLog stops the log of go-redis from going to Config.Logger.
	releaseLog func()
	cached     *cached.Store
	detector   *outage.Detector
	emergency  *outage.Store
}

// newChain makes the stores, without a connection. The detector is made first
// and handed to both sides, so that each part is finished when it is made.
// Events of an emergency go to q.
func newChain(postgres *postgres.Store, cfg Config, q *events) (*chain, error) {
	c := &chain{postgres: postgres, traced: trace.Wrap(postgres, store.LayerPostgres, cfg.Tracer)}
	front := c.traced
	caching := cached.Options{Policy: cfg.coherence(), Expiry: cfg.Expiry(), Tracer: cfg.Tracer}
	surviving := outage.Options{
		Expiry: cfg.Expiry(), Timeout: cfg.StoreTimeout, Check: postgres.Check,
	}
	if !cfg.Outage.DisableEmergency {
		c.detector = outage.NewDetector(outageEvents{q})
		front, caching.Unavailable = c.detector.Guard(front), c.detector.Unavailable
	}
	switch {
	case cfg.Cache.UseRedis:
		if err := c.openCache(cfg); err != nil {
			return nil, err
		}
		c.cached = cached.New(front, c.redis, caching)
	case cfg.Cache.LocalFreshness > 0:
		c.cached = cached.NewLocal(front, cfg.Cache.LocalBytes, caching)
	}
	if c.cached != nil {
		front, surviving.Cache = c.cached, c.cached
	}
	if c.detector != nil {
		c.emergency = outage.New(c.detector, front, c.traced, surviving)
	}
	return c, nil
}

// openCache makes the client of Redis and the cache, without a connection. It
// returns a [ConfigError] for a setting that neither takes.
func (c *chain) openCache(cfg Config) error {
	client, err := cache.Dial(string(cfg.Cache.RedisURL))
	if err != nil {
		return configErrors{&ConfigError{Name: "RedisURL (REDIS_URL)", Problem: err.Error()}}
	}
	keys := make([][]byte, len(cfg.Cache.EncryptionKeys))
	for i, key := range cfg.Cache.EncryptionKeys {
		keys[i], _ = hex.DecodeString(string(key)) // Config.check has done it before
	}
	redis, err := cache.New(client, cache.Config{
		Namespace: cfg.Schema + ":" + cfg.Env.String() + ":",
		Keys:      keys,
		MaxSize:   cfg.Limits.MaxDataSize + cfg.Limits.MaxDataSize/2,
		Logger:    cfg.Logger,
	})
	if err != nil {
		_ = client.Close()
		name := "EncryptionKeys (SESSION_ENCRYPTION_KEY)"
		return configErrors{&ConfigError{Name: name, Problem: err.Error()}}
	}
	c.redis, c.client, c.releaseLog = redis, client, func() {}
	if !cfg.Cache.DisableRedisLog {
		c.releaseLog = cache.LogClients(cfg.Logger)
	}
	return nil
}

// watchPatience returns how long a connection stays open while the store can't
// be asked about its session.
func (c Config) watchPatience() time.Duration {
	if !c.Cache.inUse() {
		return watchPatience
	}
	return max(watchPatience, c.coherence().Freshness+c.Outage.Grace)
}

// store returns the outermost store.
func (c *chain) store() store.Store {
	switch {
	case c.emergency != nil:
		return c.emergency
	case c.cached != nil:
		return c.cached
	}
	return c.traced
}

// open connects to Redis and Postgres and checks the schema. It logs an error
// of Redis, since no request depends on it. If Postgres is unavailable, it
// begins an emergency, unless that is disabled. It returns any other error of
// Postgres.
func (c *chain) open(ctx context.Context, cfg Config) error {
	if c.redis != nil {
		if err := c.redis.Ping(ctx); err != nil {
			cfg.Logger.WarnContext(ctx,
				"redis unavailable at start: serving from postgres", "error", err)
		}
	}
	err := c.postgres.Check(ctx)
	if err != nil && c.emergency != nil && errors.Is(err, store.ErrOutage) {
		c.detector.Begin(err)
		return nil
	}
	if err != nil {
		return err
	}
	if mixes, err := c.postgres.BehindPooler(ctx); err == nil && mixes {
		cfg.Logger.WarnContext(ctx, "connection pooler detected", "advice", postgres.PoolerAdvice)
	}
	if advice, err := c.postgres.NoticesDropped(ctx); err == nil && advice != "" {
		cfg.Logger.WarnContext(ctx, "cancelled standby waits can't be detected", "advice", advice)
	}
	return nil
}

// close closes all but the pool.
func (c *chain) close() error {
	var err error
	if c.emergency != nil {
		err = c.emergency.Close()
	}
	if c.cached != nil {
		c.cached.Close()
	}
	if c.redis != nil {
		_ = c.redis.Close()
		_ = c.client.Close()
		c.releaseLog()
	}
	return err
}

// describe adds to a Health what is known without I/O.
func (c *chain) describe(h *Health) {
	if c == nil {
		return
	}
	if c.postgres != nil && !c.postgres.Contacted() {
		h.Status = "unavailable"
	}
	if c.cached != nil {
		h.Cache = "ok"
	}
	if c.redis != nil {
		switch stats := c.redis.Stats(); {
		case stats.BreakerOpen:
			h.Cache = "unavailable"
		case stats.RefusingWrites:
			h.Cache = "degraded"
		}
	}
	if c.detector != nil {
		if since := c.detector.Since(); !since.IsZero() {
			h.EmergencySince = &since
			if h.Status == "ok" {
				h.Status = "emergency"
			}
		}
	}
}

// metrics returns the numbers of all parts.
func (c *chain) metrics() (m Metrics) {
	if c == nil {
		return m
	}
	if c.postgres != nil {
		m.Postgres = c.postgres.Metrics()
	}
	if c.cached != nil {
		m.Cache = c.cached.Metrics()
	}
	if c.redis != nil {
		redis := c.redis.Stats()
		m.Cache.Unopened = int64(redis.Unopened)
		m.Cache.Errors = int64(redis.Errors)
		m.Cache.Open = redis.BreakerOpen
		m.Cache.WritesRefused = int64(redis.WritesRefused)
		m.Cache.RefusingWrites = redis.RefusingWrites
	}
	if c.emergency != nil {
		m.Emergency = c.emergency.Metrics()
	}
	return m
}
