package sessionstore

import (
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
)

const (
	defaultFreshness  = 30 * time.Second
	maxFreshness      = 5 * time.Minute
	maxLocalFreshness = time.Minute
	defaultLocalBytes = 64 << 20
	minLocalBytes     = 1 << 20
	// 256 bits, for AES-256.
	encryptionKeyChars = 64
)

// CacheConfig configures the optional cache in front of Postgres: Redis or the
// memory of this process. If Redis is unavailable, Postgres serves.
type CacheConfig struct {
	// LocalFreshness turns on a cache in the memory of this process: it is the
	// maximum age of a session there. A revoke counts at once in the process
	// that makes it. Other processes may serve the session for so long and 250
	// ms more, so no [Revocation] promises 0. All instances should have the
	// same. Defaults to 0, for no such cache; at most 1 minute. It is an error
	// with UseRedis or DisableServing.
	//
	// A client reads its own writes on every instance: a response that has
	// saved values sets a second cookie, whose name ends in "-seen", and with
	// it the client asks Postgres until no instance has an older version. That
	// can't hold for values that are saved after the first byte, and for
	// clients without cookies.
	LocalFreshness time.Duration
	// LocalBytes bounds that memory. A session takes about 650 bytes and its
	// data. At the bound, those that were stored first are dropped, and one of
	// more than a 64th of it is not kept. Defaults to 64 MiB; at least 1 MiB.
	LocalBytes int

	// UseRedis turns on a cache in Redis, which all instances share. It needs
	// RedisURL and EncryptionKeys.
	UseRedis bool
	// RedisURL is the address of Redis: redis://, rediss:// or unix://.
	// Required with UseRedis. See [cache.Dial] for Sentinel and Cluster.
	RedisURL Secret
	// EncryptionKeys encrypt the entries, 64 hexadecimal characters each: the
	// first encrypts, all of them decrypt. Required with UseRedis. To replace a
	// key, first add the new one behind the old one on every instance. Then put
	// it first. Drop the old one when Freshness and Outage.Grace have passed.
	EncryptionKeys []Secret
	// Freshness is the maximum age of a cached session. If Redis does not
	// confirm a revoke, the session may be served for so long and 250 ms more.
	// Defaults to 30 s; at most 5 minutes.
	Freshness time.Duration
	// DisableServing loads each session from Postgres. The cache then serves in
	// outages only, for Outage.Grace. In SESSION_CACHE_FRESHNESS it is 0.
	DisableServing bool
	// DisableRedisLog keeps the logger of go-redis, which has one for the whole
	// process. Otherwise its lines go to Config.Logger at a limited rate: see
	// [cache.LogClients]. Set it if the application calls redis.SetLogger
	// before [Open]. A later call replaces the logger in any case.
	DisableRedisLog bool
}

// coherence returns the maximum ages of a cached session.
func (c Config) coherence() coherence.Policy {
	policy := coherence.Policy{Freshness: c.Cache.Freshness, Grace: c.Outage.Grace}
	switch {
	case c.Cache.LocalFreshness > 0:
		policy.Freshness, policy.Local = c.Cache.LocalFreshness, true
	case c.Cache.DisableServing:
		policy.Freshness = 0
	}
	return policy
}

// inUse reports whether there is a cache.
func (c *CacheConfig) inUse() bool { return c.UseRedis || c.LocalFreshness > 0 }
