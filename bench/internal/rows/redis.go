package rows

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cache is our part of a Redis: the keys with one prefix. They expire if Close
// is not called.
type Cache struct {
	URL    string
	Prefix string

	client *redis.Client
}

const cacheLife = time.Hour

// NewCache connects to a Redis.
func NewCache(ctx context.Context, server string) (*Cache, error) {
	options, err := redis.ParseURL(server)
	if err != nil {
		// without err, which may quote the password
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	c := &Cache{
		URL: server, Prefix: "pgsession-bench:" + strings.ToLower(rand.Text()[:8]) + ":",
		client: redis.NewClient(options),
	}
	if err := c.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(err, c.client.Close())
	}
	return c, nil
}

// Key returns the key of row i's payload.
func (c *Cache) Key(i int) string { return c.Prefix + Token(i) }

// Fill sets the rows 0..n-1.
func (c *Cache) Fill(ctx context.Context, n int) error {
	const batch = 1000
	for from := 0; from < n; from += batch {
		p := c.client.Pipeline()
		for i := from; i < min(from+batch, n); i++ {
			p.Set(ctx, c.Key(i), Payload(i), cacheLife)
		}
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close deletes every key with the prefix.
func (c *Cache) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed error
	for cursor := uint64(0); ; {
		keys, next, err := c.client.Scan(ctx, cursor, c.Prefix+"*", 1000).Result()
		if err == nil && len(keys) > 0 {
			err = c.client.Unlink(ctx, keys...).Err()
		}
		if cursor = next; err != nil || cursor == 0 {
			failed = err
			break
		}
	}
	return errors.Join(failed, c.client.Close())
}

var redisVersion = regexp.MustCompile(`redis_version:(\S+)`)

// CacheVersion returns the version of a Redis.
func CacheVersion(ctx context.Context, server string) (string, error) {
	options, err := redis.ParseURL(server)
	if err != nil {
		return "", errors.New("REDIS_URL is not a Redis URL")
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("the server of REDIS_URL does not answer: %w", err)
	}
	found := redisVersion.FindStringSubmatch(info)
	if found == nil {
		return "unknown", nil
	}
	return found[1], nil
}
