package sessionstore

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Environment selects how strict the cookie and the configuration are. A
// cookie's signature covers it, so production refuses the cookies of staging.
type Environment int

// The environments. The zero value is Production. Staging is as strict.
const (
	Production Environment = iota
	Staging
	Development
)

// String returns the name, as in APP_ENV.
func (e Environment) String() string {
	switch e {
	case Production:
		return "production"
	case Staging:
		return "staging"
	case Development:
		return "development"
	}
	return "unknown"
}

const (
	defaultTimeout         = 7 * 24 * time.Hour
	defaultAbsoluteTimeout = 30 * 24 * time.Hour
	defaultPruneInterval   = 15 * time.Minute
	defaultStoreTimeout    = 5 * time.Second
	defaultMaxDataSize     = 64 << 10
	maxGrace               = time.Hour
	// The CHECK on the table stops at 1 MiB.
	maxMaxDataSize = 512 << 10
	maxMaxSessions = 1_000_000
	minSecretBytes = 32
	minTimeout     = time.Second
)

// Config configures a [Manager]. The zero value suits production, but
// DatabaseURL and Secrets must be set. [ConfigFromEnv] makes a Config from
// environment variables. A Config that is printed shows no secret.
type Config struct {
	// Env is the environment: production, staging or development. Defaults to
	// [Production].
	Env Environment

	// DatabaseURL is the Postgres that keeps the sessions, as a postgres:// URL
	// or a key=value DSN, with pgx's pool_… settings. Required by [Open]. In
	// Development, without it, sessions are kept in the memory of this process.
	DatabaseURL Secret

	// Schema is the database schema that `migrate -schema` made, or `migrate`
	// with SESSION_SCHEMA set: at most 48 lower-case letters, digits and
	// underscores. Defaults to pgsession.
	Schema string

	// Secrets sign the cookies: the first signs, all of them verify. Each has
	// at least 32 characters; `openssl rand -hex 32` makes one. Required,
	// except in Development, which derives one from DatabaseURL.
	//
	// To replace a secret, first add the new one behind the old one on every
	// instance: an instance without it treats its cookies as forged. Then put
	// the new one first. Drop the old one after AbsoluteTimeout, or sooner if
	// users who were inactive since may log in again. The new secret signs each
	// cookie that is written anyway, or that answers a top-level navigation.
	Secrets []Secret

	// Profile limits the sessions after an assurance level of NIST SP
	// 800-63B-4, and has defaults for the timeouts. Defaults to none.
	Profile Profile

	// IdleTimeout is the time after its last use at which a session ends.
	// Defaults to 7 days, or to that of the Profile; at least 1 s, at most 400
	// days.
	IdleTimeout time.Duration
	// AbsoluteTimeout is the time after its creation or login at which a
	// session ends, used or not. Defaults to 30 days or to that of the Profile,
	// or to IdleTimeout if that is longer; at most 400 days.
	AbsoluteTimeout time.Duration
	// DisableSliding ends a session IdleTimeout after its creation or login,
	// used or not.
	DisableSliding bool

	// DisableRotateOnLogin keeps the token and the deadlines at a login. Leave
	// it false: a token that an attacker planted in the browser before the
	// login then gives access to the user's session (session fixation). Such a
	// login checks for revokes after the client has its token. If it finds one,
	// it ends the session, which was logged in until then.
	DisableRotateOnLogin bool

	// Cookie configures the session cookie. The defaults suit production.
	Cookie CookieConfig
	// Legacy takes over the sessions of another library. Defaults to none.
	Legacy LegacyConfig
	// Bearer takes the session's token from the header Authorization, as in
	// "Authorization: Bearer v1.…", and from no cookie: for programs. Browsers
	// need a Manager of their own, without it. A response with a new token has
	// it in the header Session-Token, which the client keeps from then on:
	// after a login, a rotation, or the first value. Responses vary by
	// Authorization. Of Cookie the Name counts: a token of one name is none of
	// another. [Session.RememberMe] counts for nothing. See [Manager.Issue].
	//
	// A script on the page of a browser can read such a token, and an attacker
	// can steal what a script can read: use it for programs only.
	Bearer bool
	// Limits bounds a user's sessions and a session's data. Defaults to any
	// number of sessions of 64 KiB each.
	Limits LimitConfig
	// Privacy selects what is kept of a client. Defaults to all.
	Privacy PrivacyConfig
	// Suspicion selects what happens if a session is used from elsewhere.
	// Defaults to an event.
	Suspicion SuspicionConfig
	// Cache is the optional cache in front of Postgres, in Redis or in this
	// process. Defaults to none.
	Cache CacheConfig
	// Outage selects what happens while Postgres is unavailable. Defaults to an
	// emergency, in which new sessions live in memory.
	Outage OutageConfig

	// TrustedProxies are the networks of the reverse proxies in front. Their
	// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host are used.
	// Defaults to none: these headers are ignored. A network with clients in
	// it, such as 0.0.0.0/0, is an error, since any client could forge them.
	TrustedProxies []netip.Prefix
	// TrustUnixSocket uses these headers also if the proxy connects over a unix
	// socket. In TRUSTED_PROXIES it is the word unix.
	TrustUnixSocket bool

	// PruneInterval is the time between two prunes of [Manager.Run], plus or
	// minus half of it. Defaults to 15 minutes.
	PruneInterval time.Duration
	// DisablePrune leaves deleting expired sessions to pg_cron or to another
	// instance. In SESSION_PRUNE_INTERVAL it is 0.
	DisablePrune bool

	// RecordEvents writes logins, logouts, revokes and changes of a login's
	// level to the table events, in the same transaction. [Manager.Events]
	// reads them. Each such call is then a transaction of its own, of up to
	// five round trips. In memory it has no effect; with Citus it is an error.
	RecordEvents bool

	// StoreTimeout bounds each call of the store. Defaults to 5 s. The revokes
	// of many sessions are bounded by their context instead.
	StoreTimeout time.Duration

	// Logger receives the log. Defaults to [slog.Default].
	Logger *slog.Logger
	// Observer is called with each event. Defaults to [LogEvents] of Logger. An
	// Observer of your own takes its place. To have both:
	//
	//	lines := sessionstore.LogEvents(cfg.Logger)
	//	cfg.Observer = func(ctx context.Context, e sessionstore.Event) {
	//		lines(ctx, e)
	//		audit(ctx, e)
	//	}
	//
	// The pages about alerts and troubleshooting refer to these lines.
	Observer Observer
	// Tracer is called when a call of the store begins and ends. Defaults to
	// none, which costs nothing.
	Tracer Tracer
	// ErrorHandler answers a request whose session could not be saved, and the
	// error of a [HandlerFunc]. Defaults to [ServeError].
	ErrorHandler ErrorHandler

	// notices are logged when a Manager is made. Defaults to none.
	notices []notice
}

// LimitConfig bounds a user's sessions and a session's data.
type LimitConfig struct {
	// MaxSessionsPerUser is the most sessions that a user may have. A login
	// beyond it ends the session with the oldest login. All of the table count,
	// also those of another Manager, such as one with [Config.Bearer]. Defaults
	// to 0, for no limit; at most 1,000,000.
	MaxSessionsPerUser int
	// DenyAtMaxSessions refuses a login beyond MaxSessionsPerUser with
	// [ErrTooManySessions] instead. The login fails when it is saved: call
	// [Session.Save] after [Session.Login] to get the error before the
	// response.
	DenyAtMaxSessions bool
	// MaxDataSize bounds a session's data, in bytes of JSON. Defaults to 64
	// KiB; at most 512 KiB. Concurrent requests can exceed it together, each by
	// what it adds.
	MaxDataSize int
}

// PrivacyConfig selects what is kept of a client, and in the browser.
type PrivacyConfig struct {
	// DisableMetadata keeps neither the IP address nor the user agent of a
	// session, and leaves both out of events.
	DisableMetadata bool
	// IPv4Prefix is the number of bits of an IPv4 address that are kept. With
	// 24, its last number is 0 in the table, in events and in lists. Defaults
	// to 0, for whole addresses; at most 32.
	IPv4Prefix int
	// IPv6Prefix is the same for an IPv6 address, such as 48. Defaults to 0,
	// for whole addresses; at most 128.
	IPv6Prefix int
	// ClearSiteData has the browser delete what this origin has stored in it,
	// and its part of the cache, in the response that carries out a
	// [Session.Logout]: the header Clear-Site-Data with "cache" and "storage".
	// It never names "cookies", which would end the sessions of the whole
	// site. Browsers obey it over https only, and some need seconds for it.
	ClearSiteData bool
}

// SuspicionConfig selects what happens if the session of a user is used from
// another family of browser or system, or from another network (/16 of IPv4,
// /48 of IPv6). A phone or tablet that only changes its network is observed.
type SuspicionConfig struct {
	// DisableCheck turns off the check, and with it [EventSuspicious].
	DisableCheck bool
	// Action is what is done about a suspicion. Defaults to [ActionObserve].
	// The others need the check, and the metadata of [PrivacyConfig].
	Action SuspiciousAction
	// Judge selects the action for each suspicion, in place of Action. Defaults
	// to none.
	Judge Judge
}

// OutageConfig selects what happens while Postgres is unavailable.
type OutageConfig struct {
	// DisableEmergency keeps no sessions in memory while Postgres is
	// unavailable. [Open] then returns [ErrUnavailable], and so does
	// [FromContext] for a request with a session.
	DisableEmergency bool
	// Grace is added to Cache.Freshness, or to Cache.LocalFreshness, while
	// Postgres is unavailable, so a revoked session may be served for so much
	// longer. Defaults to 0; at most 1 hour.
	Grace time.Duration
}

// notice is a line of the log about a setting.
type notice struct {
	message string
	attrs   []any
}

// notice adds a line about a setting.
func (c *Config) notice(message string, attrs ...any) {
	c.notices = append(c.notices, notice{message, attrs})
}

// logNotices logs settings that are valid and may be unintended.
func (c Config) logNotices() {
	for _, n := range c.notices {
		c.Logger.Warn(n.message, n.attrs...)
	}
	c.logLegacyNotices()
	if c.DisableRotateOnLogin {
		c.Logger.Warn("token kept at login", "advice",
			"a planted token stays good after a login (session fixation): "+
				"set SESSION_REGENERATE_ON_LOGIN=true")
	}
}

// inForce returns the attributes of the line "sessions open".
func (c Config) inForce() []any {
	sameSite := ""
	for name, mode := range sameSiteNames {
		if mode == c.Cookie.SameSite {
			sameSite = name
		}
	}
	attrs := []any{
		"environment", c.Env.String(),
		"timeout", c.IdleTimeout, "absolute_timeout", c.AbsoluteTimeout,
		"cookie", c.Cookie.Name, "same_site", sameSite,
	}
	if c.Profile != noProfile {
		attrs = append(attrs, "profile", c.Profile.String())
	}
	return attrs
}

// Expiry returns the timeouts, with defaults, for [NewMemory] and other stores.
func (c Config) Expiry() store.Expiry {
	c = c.withDefaults()
	return store.Expiry{Idle: c.IdleTimeout, Absolute: c.AbsoluteTimeout, Fixed: c.DisableSliding}
}

// withDefaults returns a Config with all settings. It shares no slice with c.
func (c Config) withDefaults() Config {
	c.Secrets = slices.Clone(c.Secrets)
	c.Cache.EncryptionKeys = slices.Clone(c.Cache.EncryptionKeys)
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	c.Schema = cmp.Or(c.Schema, schema.Default)
	idle, absolute := c.Profile.defaultTimeouts()
	c.IdleTimeout = cmp.Or(c.IdleTimeout, idle)
	if c.AbsoluteTimeout == 0 {
		c.AbsoluteTimeout = max(absolute, c.IdleTimeout)
	}
	c.PruneInterval = cmp.Or(c.PruneInterval, defaultPruneInterval)
	c.Limits.MaxDataSize = cmp.Or(c.Limits.MaxDataSize, defaultMaxDataSize)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, defaultStoreTimeout)
	c.Cache.Freshness = cmp.Or(c.Cache.Freshness, defaultFreshness)
	c.Cache.LocalBytes = cmp.Or(c.Cache.LocalBytes, defaultLocalBytes)
	c.Cookie = c.Cookie.withDefaults(c.Env)
	if c.Cookie.Format != nil {
		c.Outage.DisableEmergency = true
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observer == nil {
		c.Observer = LogEvents(c.Logger)
	}
	if c.ErrorHandler == nil {
		c.ErrorHandler = ServeError
	}
	if len(c.Secrets) == 0 && c.Env == Development {
		c.Secrets = []Secret{developmentSecret(c.DatabaseURL)}
	}
	return c
}

// developmentSecret returns the secret that a developer need not set. It is
// derived from the database's URL, so that sessions outlive a restart of the
// program. Without a database none do.
func developmentSecret(databaseURL Secret) Secret {
	if databaseURL == "" {
		return randomSecret()
	}
	// long enough for any URL
	return "the pgsession development secret for " + databaseURL
}

// trusted returns TrustedProxies and TrustUnixSocket in one list.
func (c Config) trusted() client.Proxies {
	if c.TrustUnixSocket {
		return append(slices.Clip(client.Proxies(c.TrustedProxies)), netip.Prefix{})
	}
	return c.TrustedProxies
}
