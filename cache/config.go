package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config says how a [Cache] keeps its entries. Formatted or logged it does not show its keys.
type Config struct {
	// Namespace binds entries to an installation: it begins the keys in Redis and is part of what is authenticated. It
	// ends where the id begins, so end it with a colon. It is required: 1 to 128 printable ASCII characters other than
	// space, '{' and '}', which would put all keys into one slot of a Cluster.
	Namespace string

	// Keys are 32 random bytes each. The first seals, all open. It is required. The Cache keeps nothing of the slice.
	Keys [][]byte

	// Timeout is for one exchange with Redis, and the time to wait for it. Gets wait for less when exchanges are usually
	// faster, but for a sixteenth of it at least. Defaults to 50 milliseconds.
	Timeout time.Duration

	// MaxSize is how many bytes of data an entry may have; a larger one is not filled, and when found it is a miss.
	// Defaults to 96 KiB, and is at most 1 MiB less 64 KiB.
	MaxSize int

	// Logger gets one line when Redis begins to fail, or to refuse writes, and
	// one when that is over. Nil: no lines.
	Logger *slog.Logger
}

const (
	defaultTimeout = 50 * time.Millisecond
	defaultMaxSize = 96 << 10
	maxMaxSize     = maxReply - 64<<10
	maxNamespace   = 128
)

// Format leaves the keys out, whatever the verb.
func (cfg Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "cache.Config(namespace %q, %d keys)", cfg.Namespace, len(cfg.Keys))
}

// LogValue leaves the keys out.
func (cfg Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("namespace", cfg.Namespace), slog.Int("keys", len(cfg.Keys)))
}

// MarshalJSON leaves the keys out, for loggers that encode what they are given.
func (cfg Config) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"namespace":%q,"keys":%d}`, cfg.Namespace, len(cfg.Keys)), nil
}

// complete checks the parts that are not keys, and fills the defaults in.
func (cfg *Config) complete() error {
	if cfg.Namespace == "" || len(cfg.Namespace) > maxNamespace {
		return fmt.Errorf("cache: Config.Namespace must have 1 to %d characters", maxNamespace)
	}
	for _, c := range []byte(cfg.Namespace) {
		if c <= ' ' || c > '~' || c == '{' || c == '}' {
			return errors.New("cache: Config.Namespace must be printable ASCII without space, { and }")
		}
	}
	switch {
	case cfg.Timeout < 0:
		return errors.New("cache: Config.Timeout is negative")
	case cfg.Timeout == 0:
		cfg.Timeout = defaultTimeout
	}
	switch {
	case cfg.MaxSize < 0 || cfg.MaxSize > maxMaxSize:
		return fmt.Errorf("cache: Config.MaxSize must be 0 to %d", maxMaxSize)
	case cfg.MaxSize == 0:
		cfg.MaxSize = defaultMaxSize
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// checkClient refuses clients that would break a promise of the Cache, as far as they show it.
func checkClient(client redis.UniversalClient) error {
	switch client := client.(type) {
	case nil:
		return errors.New("cache: New needs a client: see Dial")
	case *redis.Client:
		if client == nil {
			return errors.New("cache: New needs a client: see Dial")
		}
	case *redis.ClusterClient:
		if client == nil {
			return errors.New("cache: New needs a client: see Dial")
		}
		if o := client.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("cache: the client reads from replicas, which may not know of a tombstone yet: " +
				"leave ReadOnly, RouteByLatency and RouteRandomly off")
		}
	}
	return nil
}
