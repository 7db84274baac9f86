package sessionstore

import (
	"fmt"
	"net/http"
	"time"
)

// Deviations returns where the Config is looser than its Profile, in English
// and in the order of its fields; nil without a deviation or a Profile. A test
// of the application can hold the list to what was agreed.
func (c Config) Deviations() []string {
	c = c.withDefaults()
	limits, ok := limitsOf[c.Profile]
	if !ok {
		return nil
	}
	var found []string
	deviate := func(format string, args ...any) {
		found = append(found, fmt.Sprintf(format, args...))
	}
	if idle := longestIdle(c.Expiry()); limits.idle > 0 && idle > limits.idle {
		deviate("IdleTimeout: an unused session lasts up to %v, more than %v", idle, limits.idle)
	}
	if c.AbsoluteTimeout > limits.absolute {
		deviate("AbsoluteTimeout: a session lasts up to %v, more than %v",
			c.AbsoluteTimeout, limits.absolute)
	}
	if c.DisableRotateOnLogin {
		deviate("DisableRotateOnLogin: a token from before the login stays good")
	}
	if c.Cookie.SameSite == http.SameSiteNoneMode {
		deviate("Cookie.SameSite: requests of other sites carry the cookie")
	}
	if c.Cookie.Insecure {
		deviate("Cookie.Insecure: the cookie is sent over plain http")
	}
	if exposure := c.exposure(); limits.exposure > 0 && exposure > limits.exposure {
		freshness := "Cache.Freshness"
		if c.Cache.LocalFreshness > 0 {
			freshness = "Cache.LocalFreshness"
		}
		deviate("%s, Outage.Grace: a revoked session is served for up to %v, more than %v",
			freshness, exposure, limits.exposure)
	}
	return found
}

// exposure returns for how long the cache may serve a revoked session.
func (c *Config) exposure() time.Duration {
	if !c.Cache.inUse() {
		return 0
	}
	return c.coherence().Exposure()
}

// logDeviations logs a line for each deviation.
func (c *Config) logDeviations() {
	for _, deviation := range c.Deviations() {
		c.Logger.Warn("config deviates from its profile",
			"profile", c.Profile.String(), "deviation", deviation)
	}
}
