package express

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// RedisOptions are those of connect-redis. The zero value suits its defaults.
type RedisOptions struct {
	// Prefix is the option prefix: a key is the prefix and the session id.
	// Defaults to "sess:".
	Prefix string
	// NoPrefix is for keys that are the session id alone.
	NoPrefix bool
	// Open decodes the value of a key, such as one that the option serializer
	// has sealed. An error leaves the session where it is, and must not hold
	// the value. Defaults to none: the value is JSON.
	Open func(value []byte) ([]byte, error)
	// User finds the user in the values of a session. Defaults to the first of
	// "userId" and "passport.user".
	User UserFunc
}

// ConnectRedis returns the sessions of connect-redis. The user of Redis needs
// GET, PTTL and DEL on their keys.
func ConnectRedis(client redis.Cmdable, o RedisOptions) legacy.Store {
	if o.Prefix == "" && !o.NoPrefix {
		o.Prefix = "sess:"
	}
	return &connectRedis{client: client, options: o}
}

type connectRedis struct {
	client  redis.Cmdable
	options RedisOptions
}

// Load implements [legacy.Store].
func (s *connectRedis) Load(ctx context.Context, sid string) (legacy.Session, error) {
	key := s.options.Prefix + sid
	both := s.client.Pipeline()
	value, left := both.Get(ctx, key), both.PTTL(ctx, key)
	switch _, err := both.Exec(ctx); {
	case errors.Is(err, redis.Nil):
		return legacy.Session{}, store.ErrNotFound
	case err != nil:
		return legacy.Session{}, redisError(err)
	}
	sess, err := value.Bytes()
	if err != nil {
		return legacy.Session{}, redisError(err)
	}
	if s.options.Open != nil {
		if sess, err = s.options.Open(sess); err != nil {
			return legacy.Session{}, fmt.Errorf("%w: its value can't be decoded: %w",
				legacy.ErrUnreadable, err)
		}
	}
	found, err := Parse(sess, s.options.User)
	found.Idle = max(0, left.Val().Round(time.Millisecond)) // negative without an expiry
	return found, err
}

// End implements [legacy.Store].
func (s *connectRedis) End(ctx context.Context, sid string) error {
	if err := s.client.Del(ctx, s.options.Prefix+sid).Err(); err != nil {
		return redisError(err)
	}
	return nil
}

func redisError(err error) error {
	return fmt.Errorf("%w: redis of connect-redis: %w", store.ErrUnavailable, err)
}
