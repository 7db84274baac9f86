package contestant

import (
	"context"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// SCSRedis is scs with its store for go-redis.
type SCSRedis struct {
	store  *goredisstore.RedisStore
	client *redis.Client
}

var _ Loader = (*SCSRedis)(nil)

// NewSCSRedis connects to Redis.
func NewSCSRedis(c *rows.Cache) (*SCSRedis, error) {
	client, err := newRedis(c)
	if err != nil {
		return nil, err
	}
	return &SCSRedis{store: goredisstore.NewWithPrefix(client, c.Prefix), client: client}, nil
}

func (*SCSRedis) Name() string { return "scs_redis" }

func (s *SCSRedis) Load(ctx context.Context, i int) error {
	_, err := s.Payload(ctx, i)
	return err
}

func (s *SCSRedis) Payload(ctx context.Context, i int) ([]byte, error) {
	data, found, err := s.store.FindCtx(ctx, rows.Token(i))
	if err == nil && !found {
		err = errMissing
	}
	return data, err
}

func (s *SCSRedis) Close() error { return s.client.Close() }
