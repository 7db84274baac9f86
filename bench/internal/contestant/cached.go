package contestant

import (
	"context"
	"encoding/base64"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Cached is this library's chain of stores: Postgres, with a cache in front if
// there is a Redis.
type Cached struct {
	store   store.Store
	manager *sessionstore.Manager
	pool    *pgxpool.Pool

	// Statements sent to Postgres, and loads that it answered.
	Statements, Rows atomic.Int64
}

var _ Loader = (*Cached)(nil)

// NewCached opens the chain. An empty URL means no cache.
func NewCached(
	ctx context.Context, d *rows.Database, redisURL string, freshness time.Duration,
) (*Cached, error) {
	c := &Cached{}
	pool, err := d.Connect(ctx, rows.Connections,
		func(config *pgxpool.Config) { config.ConnConfig.Tracer = c })
	if err != nil {
		return nil, err
	}
	c.pool = pool
	c.manager, err = sessionstore.New(ctx, pool, sessionstore.Config{
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Cache: sessionstore.CacheConfig{
			UseRedis: redisURL != "", RedisURL: sessionstore.Secret(redisURL), Freshness: freshness,
			EncryptionKeys: []sessionstore.Secret{
				"8d6f1c0e57a24b93d0c8e2f1a6b7954d3e0a1b2c4d5f60718293a4b5c6d7e8f9",
			},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	c.store = c.manager.Store()
	return c, nil
}

// TraceQueryStart counts a statement.
func (c *Cached) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	c.Statements.Add(1)
	return ctx
}

// TraceQueryEnd does nothing.
func (*Cached) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (*Cached) Name() string { return "pgsession_redis" }

func (c *Cached) Load(ctx context.Context, i int) error {
	_, err := c.load(ctx, i)
	return err
}

func (c *Cached) Payload(ctx context.Context, i int) ([]byte, error) {
	rec, err := c.load(ctx, i)
	return rec.Data, err
}

func (c *Cached) load(ctx context.Context, i int) (store.Record, error) {
	rec, err := c.store.Load(ctx, rows.ID(i), 0)
	if rec.AnsweredAt.IsZero() {
		c.Rows.Add(1)
	}
	return rec, err
}

// Up reports whether the cache is in use.
func (c *Cached) Up(ctx context.Context) bool { return c.manager.Health(ctx).Cache == "ok" }

func (c *Cached) Close() error {
	err := c.manager.Close()
	c.pool.Close()
	return err
}

// Uncache deletes the entries of the rows 0..n-1 from the cache, and nothing
// else.
func Uncache(ctx context.Context, client *redis.Client, n int) error {
	p := client.Pipeline()
	for i := range n {
		id := rows.ID(i)
		p.Unlink(ctx, "pgsession:production:"+base64.RawURLEncoding.EncodeToString(id[:]))
	}
	_, err := p.Exec(ctx)
	return err
}
