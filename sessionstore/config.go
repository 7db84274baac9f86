package sessionstore

import (
	"cmp"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Environment is where the program runs. It decides how strict the cookie and the configuration are, and it is part
// of what a cookie's signature covers: a cookie from staging is nothing in production.
type Environment int

// The environments. Staging is as strict as Production.
const (
	Production Environment = iota
	Staging
	Development
)

// String is the name as APP_ENV has it.
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
	defaultFreshness       = 30 * time.Second
	maxFreshness           = 5 * time.Minute
	maxGrace               = time.Hour
	// The CHECK on the table stops at 1 MiB.
	maxMaxDataSize = 512 << 10
	maxMaxSessions = 1_000_000
	minSecretBytes = 32
	minTimeout     = time.Second
	// 256 bits, for AES-256.
	encryptionKeyChars = 64
)

// Config is everything that can be decided about sessions. It is passed by value; its zero value is a good
// production configuration but for the two things nobody can guess: DatabaseURL and Secrets. [ConfigFromEnv] makes
// one from the environment, and names the variable of each field.
//
// Printing it shows no secret.
type Config struct {
	// Env is the environment. Defaults to Production.
	Env Environment

	// DatabaseURL is the Postgres to keep sessions in, as a postgres:// URL or a key=value DSN, with pgx's pool_…
	// settings. Needed by [Open]; in Development, without it, sessions live in this process's memory.
	DatabaseURL Secret

	// Schema is the schema of the database that `migrate -schema` made, or `migrate` with SESSION_SCHEMA set: at most 48
	// lower-case letters, digits and underscores. Defaults to pgsession.
	Schema string

	// Secrets sign the cookies: the first signs, all of them verify. To replace
	// one, first add the new one behind the old one on every instance, since
	// one that does not know it takes its cookies for forged; then put it
	// first, and drop the old one when AbsoluteTimeout has passed, or sooner if
	// those who were away so long may log in again. The new one signs a cookie
	// that is written for another reason, or in the answer to a top-level
	// navigation. Each is at least 32 characters; `openssl rand -hex 32` makes
	// one. Required, but in Development, where one is derived from DatabaseURL.
	Secrets []Secret

	// Timeout ends a session that has not been used for so long (the idle timeout). Defaults to 7 days; at least 1 s.
	Timeout time.Duration
	// AbsoluteTimeout ends a session so long after its creation or login, however much it is used. Defaults to 30 days,
	// or Timeout when that is longer; at most 400 days.
	AbsoluteTimeout time.Duration
	// FixedTimeout turns the sliding window off: a session ends Timeout after its creation or login.
	FixedTimeout bool

	// KeepTokenOnLogin turns regeneration at login off, and with it that a
	// login starts the timeouts afresh. A token that somebody planted in the
	// browser before the login is then good for the user's session (session
	// fixation): leave it false. Such a login looks for revokes when its token
	// is out: if it finds one, the session ends, and until then the token is
	// logged in.
	KeepTokenOnLogin bool

	// MaxSessionsPerUser is how many sessions a user may have. A login beyond it ends the session whose login is the longest ago.
	// Defaults to 0, no limit.
	MaxSessionsPerUser int
	// DenyAtMaxSessions makes a login beyond MaxSessionsPerUser fail with [ErrTooManySessions] instead, at the latest when
	// it is saved with the response: call [Session.Save] after [Session.Login] to see it in time.
	DenyAtMaxSessions bool

	// NoMetadata turns off that a session's IP address and user agent are kept.
	NoMetadata bool
	// IPv4Prefix is how many bits of an IPv4 address are kept, for privacy: with 24, say, its last number is 0 before anything sees
	// it. Defaults to 0, which keeps whole addresses; at most 32.
	IPv4Prefix int
	// IPv6Prefix is the same for an IPv6 address; 48 is a good number. Defaults to 0, which keeps whole addresses; at most 128.
	IPv6Prefix int
	// NoSuspiciousCheck turns off [EventSuspicious], and all that comes of it.
	NoSuspiciousCheck bool
	// SuspiciousAction is what is done when a session with a user is used from another family of browser or system, or from another network
	// (/16 of IPv4, /48 of IPv6). A phone or tablet that changes its network and nothing else is only observed. Defaults to
	// [ActionObserve]; the others need the metadata and the check.
	SuspiciousAction SuspiciousAction
	// Judge decides about each such change in its place. Defaults to none.
	Judge Judge

	// UseRedis puts the Redis cache in front of Postgres. Nothing depends on it: without an answer from Redis, Postgres serves.
	UseRedis bool
	// RedisURL is the cache's address, as redis://, rediss:// or unix://; see [cache.Dial] for Sentinel and Cluster. Needed
	// with UseRedis.
	RedisURL Secret
	// NoRedisLogger leaves the logger of go-redis alone, which is one for the
	// whole process. Otherwise the lines that go-redis writes by itself go to
	// Logger, with a rate: see [cache.LogClients]. Set it if the application
	// calls redis.SetLogger before [Open]; a later call wins in any case.
	NoRedisLogger bool
	// EncryptionKeys seal what is in the cache: 64 hexadecimal characters each, the first seals, all of them open. To replace
	// one, first add the new one behind the old one everywhere, then put it first, and drop the old one when CacheFreshness
	// and EmergencyGrace have passed.
	// Needed with UseRedis.
	EncryptionKeys []Secret
	// CacheFreshness is how long what the cache says counts without asking Postgres again. It bounds, with a quarter of a second
	// on top, for how long a session that was revoked may still be served when Redis does not hear of it. Defaults to 30 s;
	// at most 5 minutes; negative is never, and leaves the cache of no use.
	CacheFreshness time.Duration

	// NoEmergency turns off that sessions are kept in memory while Postgres can't be reached. [Open] fails then without
	// Postgres, and requests that need a session get [ErrUnavailable].
	NoEmergency bool
	// EmergencyGrace is how much longer than CacheFreshness what the cache says counts while Postgres is away, and lengthens
	// for how long a revoked session may be served by as much. Defaults to 0; at most 1 hour.
	EmergencyGrace time.Duration

	// Cookie is how the cookie looks. Its zero value is right for production.
	Cookie CookieConfig

	// TrustedProxies are the networks of the reverse proxies in front, whose X-Forwarded-For and X-Forwarded-Proto
	// are believed. Defaults to none: these headers are ignored. A network of
	// strangers, such as 0.0.0.0/0, is refused: anybody could write them.
	TrustedProxies []netip.Prefix
	// TrustUnixSocket believes these headers too if the proxy connects over a
	// unix socket. In TRUSTED_PROXIES it is the word unix.
	TrustUnixSocket bool

	// PruneInterval is how often [Manager.Run] deletes expired sessions, give or take half of it. Defaults to 15
	// minutes; negative is never (pg_cron does it, or another instance).
	PruneInterval time.Duration

	// MaxDataSize bounds a session's data, in bytes of JSON. Defaults to 64 KiB; at most 512 KiB. Requests that run
	// at the same time can together exceed it, each by as much as it adds.
	MaxDataSize int

	// StoreTimeout bounds each call of the store. Defaults to 5 s.
	StoreTimeout time.Duration

	// Logger gets the log. Defaults to slog.Default().
	Logger *slog.Logger
	// Observer is told every event. Defaults to a line in the log for each.
	Observer Observer
	// Tracer is told how long the calls of the store take. Defaults to none, which costs nothing.
	Tracer Tracer
	// ErrorHandler answers when a session can't be saved. Defaults to [ServeError].
	ErrorHandler ErrorHandler

	// notices are logged when a Manager is made. Defaults to none.
	notices []notice
}

// notice is a line of the log about a setting.
type notice struct {
	message string
	attrs   []any
}

// logNotices logs what may surprise in a configuration that is not wrong.
func (c Config) logNotices() {
	for _, n := range c.notices {
		c.Logger.Warn(n.message, n.attrs...)
	}
	if c.KeepTokenOnLogin {
		c.Logger.Warn("token kept at login", "advice", "a planted token stays good after a login (session fixation): set SESSION_REGENERATE_ON_LOGIN=true")
	}
}

// inForce are the attributes of the line that says how sessions are kept.
func (c Config) inForce() []any {
	sameSite := ""
	for name, mode := range sameSiteNames {
		if mode == c.Cookie.SameSite {
			sameSite = name
		}
	}
	return []any{
		"environment", c.Env.String(), "timeout", c.Timeout, "absolute_timeout", c.AbsoluteTimeout,
		"cookie", c.Cookie.Name, "same_site", sameSite,
	}
}

// Expiry is the part of a Config that stores need, with its defaults: for [postgres.NewPostgres], [NewMemory] and [NewWithStore].
func (c Config) Expiry() store.Expiry {
	c = c.withDefaults()
	return store.Expiry{Idle: c.Timeout, Absolute: c.AbsoluteTimeout, Fixed: c.FixedTimeout}
}

// withDefaults fills in what is not set. It shares no slice with the caller's Config.
func (c Config) withDefaults() Config {
	c.Secrets = slices.Clone(c.Secrets)
	c.EncryptionKeys = slices.Clone(c.EncryptionKeys)
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	c.Schema = cmp.Or(c.Schema, schema.Default)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.AbsoluteTimeout = cmp.Or(c.AbsoluteTimeout, max(defaultAbsoluteTimeout, c.Timeout))
	c.PruneInterval = cmp.Or(c.PruneInterval, defaultPruneInterval)
	c.MaxDataSize = cmp.Or(c.MaxDataSize, defaultMaxDataSize)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, defaultStoreTimeout)
	c.CacheFreshness = cmp.Or(c.CacheFreshness, defaultFreshness)
	c.Cookie = c.Cookie.withDefaults(c.Env)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observer == nil {
		c.Observer = logObserver(c.Logger)
	}
	if c.ErrorHandler == nil {
		c.ErrorHandler = ServeError
	}
	if len(c.Secrets) == 0 && c.Env == Development {
		c.Secrets = []Secret{developmentSecret(c.DatabaseURL)}
	}
	return c
}

// developmentSecret spares a developer the setting. It comes from the database's URL, so that sessions survive a
// restart of the program as they would in production; without a database, nothing survives anyway.
func developmentSecret(databaseURL Secret) Secret {
	if databaseURL == "" {
		return randomSecret()
	}
	return "the pgsession development secret for " + databaseURL // long enough for any URL
}

// check reports every fault at once, with defaults applied.
func (c Config) check() error {
	var faults configErrors
	fault := func(name, problem string) { faults = append(faults, &ConfigError{Name: name, Problem: problem}) }

	if c.Env < Production || c.Env > Development {
		fault("Env", "must be Production, Staging or Development")
	}
	if err := schema.CheckName(c.Schema); err != nil {
		fault("Schema", err.Error())
	}
	if len(c.Secrets) == 0 {
		fault("Secrets", "is not set: make one with `openssl rand -hex 32`")
	}
	for _, secret := range c.Secrets {
		if len(secret) < minSecretBytes {
			fault("Secrets", "each must be at least 32 characters: make one with `openssl rand -hex 32`")
		} else if monotonous(string(secret)) {
			fault("Secrets", "repeats a few characters over and over: make one with `openssl rand -hex 32`")
		}
	}
	const tooLong = "must be at most 400 days (9600h), as long as browsers keep a cookie"
	switch {
	case c.Timeout < minTimeout:
		fault("Timeout", "must be at least 1s")
	case c.Timeout > cookie.MaxCookieAge:
		fault("Timeout", tooLong)
	case c.AbsoluteTimeout < c.Timeout:
		fault("AbsoluteTimeout", "must not be shorter than Timeout")
	}
	if c.AbsoluteTimeout > max(cookie.MaxCookieAge, c.Timeout) { // the default follows Timeout, which has its own fault
		fault("AbsoluteTimeout", tooLong)
	}
	if c.MaxSessionsPerUser < 0 || c.MaxSessionsPerUser > maxMaxSessions {
		fault("MaxSessionsPerUser", "must be between 0 (no limit) and 1000000")
	}
	if c.IPv4Prefix < 0 || c.IPv4Prefix > 32 {
		fault("IPv4Prefix", "must be at most 32 bits for IPv4")
	}
	if c.IPv6Prefix < 0 || c.IPv6Prefix > 128 {
		fault("IPv6Prefix", "must be at most 128 bits for IPv6")
	}
	if c.SuspiciousAction < ActionObserve || c.SuspiciousAction > ActionRevoke {
		fault("SuspiciousAction", "must be ActionObserve, ActionRequireLogin or ActionRevoke")
	} else if c.SuspiciousAction != ActionObserve && (c.NoMetadata || c.NoSuspiciousCheck) {
		fault("SuspiciousAction", "can do nothing without the metadata and the check, which are turned off")
	}
	for _, network := range c.TrustedProxies {
		checkProxies(network, fault)
	}
	if c.MaxDataSize < 0 || c.MaxDataSize > maxMaxDataSize {
		fault("MaxDataSize", "must be between 1 and 524288 bytes")
	}
	if c.StoreTimeout < 0 {
		fault("StoreTimeout", "must not be negative")
	}
	for _, key := range c.EncryptionKeys {
		if _, err := hex.DecodeString(string(key)); err != nil || len(key) != encryptionKeyChars {
			fault("EncryptionKeys", "each must be 64 hexadecimal characters: make one with `openssl rand -hex 32`")
		}
	}
	if c.UseRedis && c.RedisURL == "" {
		fault("RedisURL", "is not set, and Redis is asked for: such as redis://localhost:6379/0")
	}
	if c.UseRedis && len(c.EncryptionKeys) == 0 {
		fault("EncryptionKeys", "is not set, and Redis is asked for: make one with `openssl rand -hex 32`")
	}
	if c.CacheFreshness > maxFreshness {
		fault("CacheFreshness", "must be at most 5m: for so long a revoked session may be served")
	}
	if c.EmergencyGrace < 0 || c.EmergencyGrace > maxGrace {
		fault("EmergencyGrace", "must be between 0 and 1h: a revoked session may be served for so much longer")
	}
	c.Cookie.check(c.Env, fault)

	if len(faults) > 0 {
		return faults
	}
	return nil
}

// trusted is TrustedProxies and TrustUnixSocket in one list.
func (c Config) trusted() client.Proxies {
	if c.TrustUnixSocket {
		return append(slices.Clip(client.Proxies(c.TrustedProxies)), netip.Prefix{})
	}
	return c.TrustedProxies
}

// checkProxies refuses a network so large that strangers are in it, however it
// is spelled: all of IPv4, its two halves, all of IPv6 that is in use. The
// largest networks of one's own are 10.0.0.0/8 and fc00::/7.
func checkProxies(network netip.Prefix, fault func(name, problem string)) {
	least := 7
	if network.Addr().Is4() {
		least = 8
	}
	switch {
	case !network.IsValid():
		fault("TrustedProxies", "holds a network that is not valid, such as the zero netip.Prefix")
	case network.Bits() < least:
		fault("TrustedProxies", "trusts strangers: anybody could write X-Forwarded-For; name the networks of your proxies, such as 10.0.0.0/8")
	}
}

// monotonous: fewer than 8 different characters in 32 are no secret.
func monotonous(s string) bool {
	seen := map[rune]bool{}
	for _, c := range s {
		seen[c] = true
	}
	return len(seen) < 8
}
