package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config configures a [Cache]. Its formatted and logged forms leave out the
// keys.
type Config struct {
	// Namespace begins every key in Redis and is authenticated with every
	// entry, so that an entry of one installation is useless in another. The id
	// follows directly: end the namespace with a colon. Required: 1 to 128
	// printable ASCII characters other than space, { and }. Braces would put
	// all keys into one slot of a Cluster.
	Namespace string

	// Keys are master keys of 32 random bytes. The first one seals, each of
	// them opens. Required. The Cache copies what it needs.
	Keys [][]byte

	// Timeout bounds one round trip to Redis, with the wait for a turn. Gets
	// wait for less if Redis is usually faster, but at least for a sixteenth of
	// it. Zero means 50 milliseconds.
	Timeout time.Duration

	// MaxSize is the largest data of an entry, in bytes: at most 1 MiB - 64
	// KiB. Fill refuses more, and Get treats more as a miss. Zero means 96 KiB.
	MaxSize int

	// Logger gets one line when Redis becomes unavailable or refuses writes,
	// and one when that ends. Nil means no lines.
	Logger *slog.Logger
}

const (
	defaultTimeout = 50 * time.Millisecond
	defaultMaxSize = 96 << 10
	maxMaxSize     = maxReply - 64<<10
	maxNamespace   = 128
)

// Format leaves the keys out, for every verb.
func (cfg Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "cache.Config(namespace %q, %d keys)", cfg.Namespace, len(cfg.Keys))
}

// LogValue leaves the keys out.
func (cfg Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("namespace", cfg.Namespace), slog.Int("keys", len(cfg.Keys)))
}

// MarshalJSON leaves the keys out: some loggers encode values as JSON.
func (cfg Config) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"namespace":%q,"keys":%d}`, cfg.Namespace, len(cfg.Keys)), nil
}

// complete checks everything but the keys, and sets the defaults.
func (cfg *Config) complete() error {
	if cfg.Namespace == "" || len(cfg.Namespace) > maxNamespace {
		return fmt.Errorf("cache: invalid Config.Namespace: must have 1 to %d characters",
			maxNamespace)
	}
	for _, c := range []byte(cfg.Namespace) {
		if c <= ' ' || c > '~' || c == '{' || c == '}' {
			return errors.New("cache: invalid Config.Namespace: must be printable ASCII " +
				"without space, { and }")
		}
	}
	switch {
	case cfg.Timeout < 0:
		return errors.New("cache: invalid Config.Timeout: must not be negative")
	case cfg.Timeout == 0:
		cfg.Timeout = defaultTimeout
	}
	switch {
	case cfg.MaxSize < 0 || cfg.MaxSize > maxMaxSize:
		return fmt.Errorf("cache: invalid Config.MaxSize: must be 0 to %d", maxMaxSize)
	case cfg.MaxSize == 0:
		cfg.MaxSize = defaultMaxSize
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// checkClient rejects a client that may read from a replica, where a tombstone
// can be missing.
func checkClient(client redis.UniversalClient) error {
	switch client := client.(type) {
	case nil:
		return errors.New("cache: no client: create one with Dial")
	case *redis.Client:
		if client == nil {
			return errors.New("cache: no client: create one with Dial")
		}
	case *redis.ClusterClient:
		if client == nil {
			return errors.New("cache: no client: create one with Dial")
		}
		if o := client.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("cache: client reads from replicas, which may miss a tombstone: " +
				"turn off ReadOnly, RouteByLatency and RouteRandomly")
		}
	}
	return nil
}
