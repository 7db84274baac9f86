package sessionstore

import (
	"encoding/hex"
	"net/netip"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/schema"
)

// check returns all faults of a Config with its defaults. What reports one has
// a row in envNames if a variable sets it.
func (c Config) check() error {
	var faults configErrors
	fault := func(name, problem string) {
		faults = append(faults, &ConfigError{Name: name, Problem: problem})
	}

	if c.Env < Production || c.Env > Development {
		fault("Env", "must be Production, Staging or Development")
	}
	if err := schema.CheckName(c.Schema); err != nil {
		fault("Schema", err.Error())
	}
	if c.Profile < noProfile || c.Profile > AAL3 {
		fault("Profile", "must be AAL1, AAL2, AAL3 or left out")
	}
	checkSecrets(c.Secrets, fault)
	c.checkTimeouts(fault)
	c.Limits.check(fault)
	c.Privacy.check(fault)
	c.Suspicion.check(c.Privacy, fault)
	for _, network := range c.TrustedProxies {
		checkProxies(network, fault)
	}
	if c.StoreTimeout < 0 {
		fault("StoreTimeout", "must not be negative")
	}
	c.Cache.check(fault)
	if c.PruneInterval < 0 {
		fault("PruneInterval", "must not be negative: set DisablePrune to prune elsewhere")
	}
	c.Outage.check(fault)
	c.Cookie.check(c.Env, fault)
	c.checkFormat(fault)
	c.Legacy.check(c.Cookie.Format != nil, fault)
	if c.Bearer && (c.Cookie.Format != nil || c.Legacy.set()) {
		fault("Bearer", "must not be set beside Cookie.Format or Legacy: those are of cookies")
	}

	if len(faults) > 0 {
		return faults
	}
	return nil
}

func checkSecrets(secrets []Secret, fault func(name, problem string)) {
	if len(secrets) == 0 {
		fault("Secrets", "is not set: make one with `openssl rand -hex 32`")
	}
	for _, secret := range secrets {
		if len(secret) < minSecretBytes {
			fault("Secrets",
				"each must be at least 32 characters: make one with `openssl rand -hex 32`")
		} else if monotonous(string(secret)) {
			fault("Secrets",
				"each must have 8 different characters: make one with `openssl rand -hex 32`")
		}
	}
}

func (c Config) checkTimeouts(fault func(name, problem string)) {
	const tooLong = "must be at most 400 days (9600h), as long as browsers keep a cookie"
	switch {
	case c.IdleTimeout < minTimeout:
		fault("IdleTimeout", "must be at least 1s")
	case c.IdleTimeout > cookie.MaxCookieAge:
		fault("IdleTimeout", tooLong)
	case c.AbsoluteTimeout < c.IdleTimeout:
		fault("AbsoluteTimeout", "must not be shorter than IdleTimeout")
	}
	// The default follows IdleTimeout, which has its own fault.
	if c.AbsoluteTimeout > max(cookie.MaxCookieAge, c.IdleTimeout) {
		fault("AbsoluteTimeout", tooLong)
	}
}

func (c LimitConfig) check(fault func(name, problem string)) {
	if c.MaxSessionsPerUser < 0 || c.MaxSessionsPerUser > maxMaxSessions {
		fault("Limits.MaxSessionsPerUser", "must be between 0 (no limit) and 1000000")
	}
	if c.MaxDataSize < 0 || c.MaxDataSize > maxMaxDataSize {
		fault("Limits.MaxDataSize", "must be between 1 and 524288 bytes")
	}
}

func (c PrivacyConfig) check(fault func(name, problem string)) {
	if c.IPv4Prefix < 0 || c.IPv4Prefix > 32 {
		fault("Privacy.IPv4Prefix", "must be at most 32 bits for IPv4")
	}
	if c.IPv6Prefix < 0 || c.IPv6Prefix > 128 {
		fault("Privacy.IPv6Prefix", "must be at most 128 bits for IPv6")
	}
}

func (c SuspicionConfig) check(p PrivacyConfig, fault func(name, problem string)) {
	if c.Action < ActionObserve || c.Action > ActionRevoke {
		fault("Suspicion.Action", "must be ActionObserve, ActionRequireLogin or ActionRevoke")
	} else if c.Action != ActionObserve &&
		(p.DisableMetadata || c.DisableCheck) {
		fault("Suspicion.Action",
			"has no effect without the metadata and the check: turn both on, or take observe")
	}
}

func (c CacheConfig) check(fault func(name, problem string)) {
	for _, key := range c.EncryptionKeys {
		if _, err := hex.DecodeString(string(key)); err != nil || len(key) != encryptionKeyChars {
			fault("Cache.EncryptionKeys",
				"each must be 64 hexadecimal characters: make one with `openssl rand -hex 32`")
		}
	}
	if c.UseRedis && c.RedisURL == "" {
		fault("Cache.RedisURL",
			"is not set, and the cache is on: set it, such as redis://localhost:6379/0")
	}
	if c.UseRedis && len(c.EncryptionKeys) == 0 {
		fault("Cache.EncryptionKeys",
			"is not set, and the cache is on: make one with `openssl rand -hex 32`")
	}
	c.checkLocal(fault)
	switch {
	case c.Freshness < 0:
		fault("Cache.Freshness",
			"must not be negative: set DisableServing to load from Postgres each time")
	case c.Freshness > maxFreshness:
		fault("Cache.Freshness",
			"must be at most 5m: for so long a revoked session may be served")
	}
}

// checkLocal reports the faults of the cache in this process.
func (c CacheConfig) checkLocal(fault func(name, problem string)) {
	switch {
	case c.LocalFreshness < 0 || c.LocalFreshness > maxLocalFreshness:
		fault("Cache.LocalFreshness",
			"must be between 0 (off) and 1m: for so long a revoked session may be served")
	case c.LocalFreshness > 0 && c.UseRedis:
		fault("Cache.LocalFreshness", "can't be used with Redis: leave one of the two out")
	case c.LocalFreshness > 0 && c.DisableServing:
		fault("Cache.LocalFreshness",
			"serves from a cache, which DisableServing forbids: leave one of the two out")
	}
	if c.LocalBytes < minLocalBytes {
		fault("Cache.LocalBytes", "must be at least 1048576 bytes")
	}
}

func (c OutageConfig) check(fault func(name, problem string)) {
	if c.Grace < 0 || c.Grace > maxGrace {
		fault("Outage.Grace",
			"must be between 0 and 1h: a revoked session may be served for so much longer")
	}
}

// checkProxies refuses a network so large that clients are in it, however it is
// spelled: all of IPv4, its two halves, all of IPv6 that is in use. The largest
// private networks are 10.0.0.0/8 and fc00::/7.
func checkProxies(network netip.Prefix, fault func(name, problem string)) {
	least := 7
	if network.Addr().Is4() {
		least = 8
	}
	switch {
	case !network.IsValid():
		fault("TrustedProxies", "has an invalid network, such as the zero netip.Prefix")
	case network.Bits() < least:
		fault("TrustedProxies", "has a network with clients in it, which could forge "+
			"X-Forwarded-For: name the networks of your proxies, such as 10.0.0.0/8")
	}
}

// monotonous reports whether a text has fewer than 8 different characters.
func monotonous(s string) bool {
	seen := map[rune]bool{}
	for _, c := range s {
		seen[c] = true
	}
	return len(seen) < 8
}
