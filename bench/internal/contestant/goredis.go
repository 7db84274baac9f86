package contestant

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// GoRedis is a GET with go-redis: the upper limit of sessions in Redis.
type GoRedis struct {
	name   string
	get    func(ctx context.Context, key string) *redis.StringCmd
	client *redis.Client
	cache  *rows.Cache
}

var _ Loader = (*GoRedis)(nil)

// NewGoRedis connects to Redis, with one connection for each call in flight.
func NewGoRedis(c *rows.Cache) (*GoRedis, error) {
	client, err := newRedis(c)
	if err != nil {
		return nil, err
	}
	return &GoRedis{name: "goredis", get: client.Get, client: client, cache: c}, nil
}

// NewAutoPipeline connects to Redis, with go-redis's batching of concurrent
// calls.
func NewAutoPipeline(c *rows.Cache) (*GoRedis, error) {
	client, err := newRedis(c)
	if err != nil {
		return nil, err
	}
	pipeline, err := client.AutoPipeline()
	if err != nil {
		return nil, err
	}
	return &GoRedis{name: "goredis_autopipeline", get: pipeline.Get, client: client, cache: c}, nil
}

func newRedis(c *rows.Cache) (*redis.Client, error) {
	options, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	return redis.NewClient(options), nil
}

func (g *GoRedis) Name() string { return g.name }

func (g *GoRedis) Load(ctx context.Context, i int) error {
	_, err := g.Payload(ctx, i)
	return err
}

func (g *GoRedis) Payload(ctx context.Context, i int) ([]byte, error) {
	return g.get(ctx, g.cache.Key(i)).Bytes()
}

func (g *GoRedis) Close() error { return g.client.Close() }
