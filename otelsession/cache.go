package otelsession

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

var cacheInstruments = []instrument{
	{
		name: "pgsession.cache.loads", unit: "{load}", kind: counter,
		description: "Loads that asked the cache, by result: a hit, or why Postgres was asked.",
		read: cache(func(c *store.CacheStats, o observe) {
			o(float64(c.Hits), resultKey.String(string(store.CacheHit)))
			o(float64(c.Misses), resultKey.String(string(store.CacheMiss)))
			o(float64(c.Tombstones), resultKey.String(string(store.CacheTombstone)))
			o(float64(c.Unavailable), resultKey.String(string(store.CacheUnavailable)))
			o(float64(c.ClockUnknown), resultKey.String(string(store.CacheClockUnknown)))
			o(float64(c.Stale), resultKey.String(string(store.CacheStale)))
			o(float64(c.Expired), resultKey.String(string(store.CacheExpired)))
			o(float64(c.BelowMinimum), resultKey.String(string(store.CacheBelowMinimum)))
		}),
	},
	{
		name: "pgsession.cache.fills", unit: "{fill}", kind: counter,
		description: "Fills of the cache, by result.",
		read: cache(func(c *store.CacheStats, o observe) {
			o(float64(c.Fills), resultKey.String(string(store.CacheStored)))
			o(float64(c.FillsRefused), resultKey.String(string(store.CacheRefused)))
			o(float64(c.FillsFailed), resultKey.String(string(store.CacheFailed)))
			o(float64(c.FillsSkipped), resultKey.String("skipped"))
		}),
	},
	{
		name: "pgsession.cache.failed_tombstones", unit: "{tombstone}", kind: counter,
		description: "Ended sessions whose tombstone Redis did not acknowledge; they may be " +
			"served for pgsession.cache.max_exposure.",
		read: cache(func(c *store.CacheStats, o observe) { o(float64(c.TombstonesFailed)) }),
	},
	{
		name: "pgsession.cache.unopened", unit: "{entry}", kind: counter,
		description: "Entries that did not open: altered, or sealed with a key that is not " +
			"configured.",
		read: cache(func(c *store.CacheStats, o observe) { o(float64(c.Unopened)) }),
	},
	{
		name: "pgsession.cache.errors", unit: "{error}", kind: counter,
		description: "Calls of Redis that failed or timed out.",
		read:        cache(func(c *store.CacheStats, o observe) { o(float64(c.Errors)) }),
	},
	{
		name: "pgsession.cache.breaker.open", unit: "{breaker}", kind: gauge,
		description: "1 while the circuit breaker of Redis is open, else 0.",
		read: cache(func(c *store.CacheStats, o observe) {
			open := 0.0
			if c.Open {
				open = 1
			}
			o(open)
		}),
	},
	{
		name: "pgsession.cache.refused_writes", unit: "{write}", kind: counter,
		description: "Writes that Redis refused with an error, such as a full or read-only one.",
		read:        cache(func(c *store.CacheStats, o observe) { o(float64(c.WritesRefused)) }),
	},
	{
		name: "pgsession.cache.writes.refusing", unit: "{cache}", kind: gauge,
		description: "1 while Redis answers reads and refuses all writes, else 0.",
		read: cache(func(c *store.CacheStats, o observe) {
			refusing := 0.0
			if c.RefusingWrites {
				refusing = 1
			}
			o(refusing)
		}),
	},
	{
		name: "pgsession.cache.local.sessions", unit: "{session}", kind: gauge,
		description: "Sessions in the local cache; 0 with Redis.",
		read:        cache(func(c *store.CacheStats, o observe) { o(float64(c.Sessions)) }),
	},
	{
		name: "pgsession.cache.local.size", unit: "By", kind: gauge,
		description: "Memory of the local cache; 0 with Redis.",
		read:        cache(func(c *store.CacheStats, o observe) { o(float64(c.Bytes)) }),
	},
	{
		name: "pgsession.cache.local.evictions", unit: "{session}", kind: counter,
		description: "Sessions that the local cache dropped for others before they were stale.",
		read:        cache(func(c *store.CacheStats, o observe) { o(float64(c.Evictions)) }),
	},
	{
		name: "pgsession.cache.freshness", unit: "s", kind: gauge,
		description: "Maximum age of a cached session.",
		read:        cache(func(c *store.CacheStats, o observe) { o(c.Freshness.Seconds()) }),
	},
	{
		name: "pgsession.cache.max_exposure", unit: "s", kind: gauge,
		description: "Longest time that a revoked session may be served without its tombstone.",
		read:        cache(func(c *store.CacheStats, o observe) { o(c.MaxExposure.Seconds()) }),
	},
}

func cache(read func(*store.CacheStats, observe)) func(*snapshot, observe) {
	return func(s *snapshot, o observe) {
		if s.hasCache() {
			read(&s.Cache, o)
		}
	}
}
