package sessionstore

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// chain is what a Manager made by [Open] or [New] serves from: Redis if it is asked for, Postgres, memory in an emergency.
// Its parts are nil where they are turned off.
type chain struct {
	postgres *postgres.Store
	truth    store.Store // postgres, as it is told to the Tracer
	redis    *cache.Cache
	client   io.Closer // of redis
	// releaseLog gives up the lines of go-redis.
	releaseLog func()
	cached     *cached.Store
	detector   *outage.Detector
	emergency  *outage.Store
}

// newChain puts the parts together. It connects to nothing. The detector is made
// first and handed to both sides, so that each part is finished when it is made.
func newChain(postgres *postgres.Store, cfg Config, q *events) (*chain, error) {
	postgres.Tracer, postgres.Broken.Log = cfg.Tracer, cfg.Logger
	c := &chain{postgres: postgres, truth: trace.Wrap(postgres, store.LayerPostgres, cfg.Tracer)}
	behind := cached.Options{Policy: cfg.coherence(), Expiry: cfg.Expiry(), Tracer: cfg.Tracer}
	front := c.truth
	if !cfg.Outage.DisableEmergency {
		c.detector = outage.NewDetector(outageEvents{q})
		front, behind.Unavailable = c.detector.Guard(front), c.detector.Unavailable
	}
	around := outage.Options{
		Expiry: cfg.Expiry(), Timeout: cfg.StoreTimeout, Check: postgres.Check,
	}
	if cfg.Cache.UseRedis {
		if err := c.openCache(cfg); err != nil {
			return nil, err
		}
		c.cached = cached.New(front, c.redis, behind)
		front, around.Cache = c.cached, c.cached
	}
	if c.detector != nil {
		c.emergency = outage.New(c.detector, front, c.truth, around)
	}
	return c, nil
}

func (c *chain) openCache(cfg Config) error {
	client, err := cache.Dial(string(cfg.Cache.RedisURL))
	if err != nil {
		return configErrors{&ConfigError{Name: "RedisURL (REDIS_URL)", Problem: err.Error()}}
	}
	keys := make([][]byte, len(cfg.Cache.EncryptionKeys))
	for i, key := range cfg.Cache.EncryptionKeys {
		keys[i], _ = hex.DecodeString(string(key)) // checked with the Config
	}
	redis, err := cache.New(client, cache.Config{
		Namespace: cfg.Schema + ":" + cfg.Env.String() + ":", Keys: keys, MaxSize: cfg.Limits.MaxDataSize + cfg.Limits.MaxDataSize/2, Logger: cfg.Logger,
	})
	if err != nil {
		_ = client.Close()
		return configErrors{&ConfigError{Name: "EncryptionKeys (SESSION_ENCRYPTION_KEY)", Problem: err.Error()}}
	}
	c.redis, c.client, c.releaseLog = redis, client, func() {}
	if !cfg.Cache.DisableRedisLog {
		c.releaseLog = cache.LogClients(cfg.Logger)
	}
	return nil
}

// coherence is the part of a Config that decides how old what the cache says may be.
func (c Config) coherence() coherence.Policy {
	policy := coherence.Policy{Freshness: c.Cache.Freshness, Grace: c.Outage.Grace}
	if c.Cache.DisableServing {
		policy.Freshness = 0
	}
	return policy
}

// watchPatience returns how long a connection stays open while the store can't
// be asked about its session.
func (c Config) watchPatience() time.Duration {
	if !c.Cache.UseRedis {
		return watchPatience
	}
	return max(watchPatience, c.coherence().Freshness+c.Outage.Grace)
}

// store is the one to ask.
func (c *chain) store() store.Store {
	switch {
	case c.emergency != nil:
		return c.emergency
	case c.cached != nil:
		return c.cached
	}
	return c.truth
}

// open looks at what the chain is made of. An error of Postgres is one of open, unless an emergency begins with it; one of
// Redis is a warning, since nothing depends on it.
func (c *chain) open(ctx context.Context, cfg Config) error {
	if c.redis != nil {
		if err := c.redis.Ping(ctx); err != nil {
			cfg.Logger.WarnContext(ctx, "Redis is not in use: sessions are served without the cache until it answers", "error", err)
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
		cfg.Logger.WarnContext(ctx, "if the pooler between here and Postgres pools by transaction, statements will fail", "why", postgres.PoolerAdvice)
	}
	if advice, err := c.postgres.NoticesDropped(ctx); err == nil && advice != "" {
		cfg.Logger.WarnContext(ctx, "a change counts as made although somebody cancelled its wait for a synchronous standby", "why", advice)
	}
	return nil
}

// close releases what the chain holds, the pool excepted.
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

// describe adds to a Health what is known without asking anybody.
func (c *chain) describe(h *Health) {
	if c == nil {
		return
	}
	if c.postgres != nil && !c.postgres.Contacted.Load() {
		h.Status = "unavailable"
	}
	if c.redis != nil {
		h.Cache = "ok"
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

// stats is what there is to know without asking anybody.
func (c *chain) stats() (s Metrics) {
	if c == nil {
		return s
	}
	if c.postgres != nil {
		s.Postgres = c.postgres.Metrics()
	}
	if c.cached != nil {
		s.Cache = c.cached.Metrics()
	}
	if c.redis != nil {
		redis := c.redis.Stats()
		s.Cache.Unopened, s.Cache.Errors, s.Cache.Open = int64(redis.Unopened), int64(redis.Errors), redis.BreakerOpen
		s.Cache.WritesRefused, s.Cache.RefusingWrites = int64(redis.WritesRefused), redis.RefusingWrites
	}
	if c.emergency != nil {
		s.Emergency = c.emergency.Metrics()
	}
	return s
}
