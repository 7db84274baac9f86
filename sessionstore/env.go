package sessionstore

import (
	"cmp"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/secretfile"
	"github.com/reporadar/pgsession/internal/variable"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
)

// ConfigFromEnv reads a [Config] from environment variables and checks it. Each
// variable, its field and its default stand in docs/reference/configuration.md:
// https://github.com/reporadar/pgsession/blob/v0.1.0/docs/reference/configuration.md.
// An empty variable counts as not set. The error has all faults, each a
// *[ConfigError]: it names the variable and never its value.
//
// A secret may be in a file: DATABASE_URL_FILE names that of DATABASE_URL, and
// so on. Line breaks at its end are cut. Both variables set is a fault, and so
// is a file that can't be read.
//
// NODE_ENV can make APP_ENV stricter, never looser: other tools set it for
// themselves. [Open], [New] and [NewWithStore] log a WARN if a value may have
// been meant otherwise, and for each variable SESSION_… that is no setting,
// such as a mistyped one.
func ConfigFromEnv() (Config, error) {
	cfg, err := ConfigFrom(os.LookupEnv)
	if err != nil {
		return Config{}, err
	}
	for _, v := range variable.In(os.Environ()) {
		cfg.notice("unknown session variable", "variable", v.Name, "advice", v.Advice())
	}
	return cfg, nil
}

// envNames are the variables of the fields that Config.check reports.
var envNames = map[string]string{
	"Env": "APP_ENV", "Secrets": "SESSION_SECRET", "IdleTimeout": "SESSION_TIMEOUT",
	"AbsoluteTimeout": "SESSION_ABSOLUTE_TIMEOUT", "Schema": "SESSION_SCHEMA",
	"Profile":        "SESSION_PROFILE",
	"TrustedProxies": "TRUSTED_PROXIES", "PruneInterval": "SESSION_PRUNE_INTERVAL",
	"Limits.MaxSessionsPerUser": "SESSION_MAX_PER_USER",
	"Privacy.IPv4Prefix":        "SESSION_IP_PREFIX",
	"Privacy.IPv6Prefix":        "SESSION_IP_PREFIX",
	"Suspicion.Action":          "SESSION_SUSPICIOUS_ACTION",
	"Cache.EncryptionKeys":      "SESSION_ENCRYPTION_KEY",
	"Cache.RedisURL":            "REDIS_URL",
	"Cache.Freshness":           "SESSION_CACHE_FRESHNESS",
	"Cache.LocalFreshness":      "SESSION_LOCAL_FRESHNESS",
	"Outage.Grace":              "SESSION_EMERGENCY_GRACE",
	"Cookie":                    "SESSION_COOKIE_NAME, COOKIE_DOMAIN",
	"Cookie.Name":               "SESSION_COOKIE_NAME",
	"Cookie.Domain":             "COOKIE_DOMAIN",
	"Cookie.SameSite":           "SESSION_COOKIE_SAMESITE",
	"Cookie.Partitioned":        "SESSION_COOKIE_PARTITIONED",
	"Cookie.Format":             "SESSION_COOKIE_FORMAT",
	"Cookie.Persistent":         "SESSION_COOKIE_PERSISTENT",
	"Legacy":                    "LEGACY_SESSION_UNTIL",
	"Legacy.Cookie":             "LEGACY_SESSION_COOKIE, LEGACY_SESSION_SECRET",
	"Legacy.Until":              "LEGACY_SESSION_UNTIL",
}

// ConfigFrom is [ConfigFromEnv] for variables from elsewhere, such as a file.
// lookup returns the value of a variable, as [os.LookupEnv] does. A mistyped
// variable is not noticed.
func ConfigFrom(lookup func(name string) (string, bool)) (Config, error) {
	e := environment{lookup: lookup, unread: map[string]bool{}}
	e.legacySecret = e.exact("LEGACY_SESSION_SECRET", "LEGACY_SESSION_SECRET_FILE")
	cfg := Config{
		Env:                  e.appEnv(),
		DatabaseURL:          Secret(e.secret("DATABASE_URL", "DATABASE_URL_FILE")),
		Schema:               e.text("SESSION_SCHEMA"),
		Profile:              e.profile(),
		IdleTimeout:          e.duration("SESSION_TIMEOUT", time.Hour),
		AbsoluteTimeout:      e.duration("SESSION_ABSOLUTE_TIMEOUT", time.Hour),
		DisableSliding:       !e.flag("SESSION_SLIDING_WINDOW", true),
		DisableRotateOnLogin: !e.flag("SESSION_REGENERATE_ON_LOGIN", true),
		RecordEvents:         e.flag("SESSION_RECORD_EVENTS", false),
		Cookie:               e.cookie(),
		Legacy:               e.legacy(),
		Limits: LimitConfig{
			MaxSessionsPerUser: e.number("SESSION_MAX_PER_USER"),
			DenyAtMaxSessions:  e.flag("SESSION_DENY_AT_MAX", false),
		},
		Privacy: PrivacyConfig{
			DisableMetadata: !e.flag("SESSION_TRACK_METADATA", true),
			ClearSiteData:   e.flag("SESSION_CLEAR_SITE_DATA", false),
		},
		Suspicion: SuspicionConfig{
			DisableCheck: !e.flag("SESSION_SUSPICIOUS_ACTIVITY_CHECK", true),
			Action:       e.action("SESSION_SUSPICIOUS_ACTION"),
		},
		Cache: CacheConfig{
			UseRedis: e.flag("USE_REDIS_SESSIONS", false),
			RedisURL: Secret(e.secret("REDIS_URL", "REDIS_URL_FILE")),
		},
		Outage: OutageConfig{
			DisableEmergency: !e.flag("SESSION_EMERGENCY", true),
			Grace:            max(0, e.duration("SESSION_EMERGENCY_GRACE", time.Second)),
		},
	}
	cfg.PruneInterval, cfg.DisablePrune = e.orNever("SESSION_PRUNE_INTERVAL", time.Minute)
	freshness, never := e.orNever("SESSION_CACHE_FRESHNESS", time.Second)
	cfg.Cache.Freshness, cfg.Cache.DisableServing = freshness, never
	cfg.Cache.LocalFreshness, _ = e.orNever("SESSION_LOCAL_FRESHNESS", 10*time.Millisecond)
	cfg.Privacy.IPv4Prefix, cfg.Privacy.IPv6Prefix = e.bits("SESSION_IP_PREFIX")
	cfg.TrustedProxies, cfg.TrustUnixSocket = e.proxies("TRUSTED_PROXIES")
	for _, secret := range members(e.secret("SESSION_SECRET", "SESSION_SECRET_FILE")) {
		cfg.Secrets = append(cfg.Secrets, Secret(secret))
	}
	keys := e.secret("SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_FILE")
	for _, key := range members(keys) {
		cfg.Cache.EncryptionKeys = append(cfg.Cache.EncryptionKeys, Secret(key))
	}

	if _, set := e.get("SESSION_EMERGENCY"); set && cfg.Cookie.Format != nil &&
		!cfg.Outage.DisableEmergency {
		e.fault("SESSION_EMERGENCY", "can't be true with SESSION_COOKIE_FORMAT: "+
			"the cookie of another library has no place for it")
	}
	if problem := cfg.databaseProblem(); problem != "" && !e.unread["DATABASE_URL"] {
		e.fault("DATABASE_URL", problem)
	}
	if faults, ok := cfg.withDefaults().check().(configErrors); ok {
		for _, err := range faults {
			fault := *err.(*ConfigError)
			if name, ok := envNames[fault.Name]; ok {
				fault.Name = name
			}
			if !e.unread[fault.Name] { // it has a fault, and not that it is not set
				e.faults = append(e.faults, &fault)
			}
		}
	}
	if len(e.faults) > 0 {
		return Config{}, e.faults
	}
	cfg.notices = e.notices
	return cfg, nil
}

// environment reads variables and collects their faults and notices.
type environment struct {
	lookup  func(string) (string, bool)
	faults  configErrors
	notices []notice
	unread  map[string]bool // variables whose file has a fault

	legacySecret string // as it is: it may have commas, or spaces at its ends
}

func (e *environment) notice(message string, attrs ...any) {
	e.notices = append(e.notices, notice{message, attrs})
}

func (e *environment) fault(name, problem string) {
	e.faults = append(e.faults, &ConfigError{Name: name, Problem: problem})
}

func (e *environment) get(name string) (string, bool) {
	v, _ := e.lookup(name)
	v = strings.TrimSpace(v)
	return v, v != ""
}

func (e *environment) text(name string) string {
	v, _ := e.get(name)
	return v
}

// secret returns a value, or the content of the file that the variable file
// names.
func (e *environment) secret(name, file string) string {
	return strings.TrimSpace(e.exact(name, file))
}

// exact is secret with the spaces at its ends.
func (e *environment) exact(name, file string) string {
	secret, err := secretfile.Value(name, file, func(variable string) string {
		v, set := e.get(variable)
		if set && variable == name {
			v, _ = e.lookup(name)
		}
		return v
	})
	var fault *secretfile.Error
	if errors.As(err, &fault) {
		e.unread[name] = true
		e.fault(fault.Variables, fault.Problem)
	}
	return secret
}

// list returns the members of a comma-separated list, without empty ones.
func (e *environment) list(name string) []string { return members(e.text(name)) }

func members(list string) (all []string) {
	for v := range strings.SplitSeq(list, ",") {
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// appEnv returns APP_ENV, by default Production. NODE_ENV can only make it
// stricter: from Development to Staging or Production.
func (e *environment) appEnv() Environment {
	env, set := e.named("APP_ENV", true)
	node, nodeSet := e.named("NODE_ENV", !set)
	switch {
	case nodeSet && node != Development && (!set || env == Development):
		if set {
			e.notice("NODE_ENV makes APP_ENV stricter", "environment", node.String())
		}
		return node
	case nodeSet && node == Development && !set:
		e.notice("NODE_ENV ignored", "environment", env.String(),
			"advice", "set APP_ENV=development to develop")
	}
	return env
}

// named reads the name of an environment; Production if it is not set. An
// unknown name is a fault if this variable decides.
func (e *environment) named(name string, decides bool) (env Environment, set bool) {
	v, set := e.get(name)
	if !set {
		return Production, false
	}
	for _, env := range []Environment{Production, Staging, Development} {
		if strings.EqualFold(v, env.String()) {
			return env, true
		}
	}
	if name == "NODE_ENV" && strings.EqualFold(v, "test") {
		return Development, true
	}
	if decides {
		e.fault(name, "must be production, staging or development")
	}
	return Production, decides
}

// duration reads a whole number of milliseconds, or a Go duration such as 90m
// or 168h. It returns 0 if the variable is not set, and -1 for an explicit
// zero, which is then too short for a timeout.
//
// A number below usual may have been meant as seconds or minutes, so it makes a
// notice.
func (e *environment) duration(name string, usual time.Duration) time.Duration {
	v, set := e.get(name)
	if !set {
		return 0
	}
	d, err := time.ParseDuration(v)
	if ms, merr := strconv.ParseInt(v, 10, 64); merr == nil {
		d, err = time.Duration(ms)*time.Millisecond, nil
		if d/time.Millisecond != time.Duration(ms) {
			err = strconv.ErrRange
		} else if ms > 0 && d < usual {
			e.notice("number without a unit read as milliseconds", "variable", name,
				"reading", d.String(), "advice", "write the unit, such as 90m")
		}
	}
	if err != nil || d < 0 {
		e.fault(name, "must be a number of milliseconds, such as 604800000, "+
			"or a duration such as 168h")
		return 0
	}
	if d == 0 {
		return -1
	}
	return d
}

// orNever reads a duration; an explicit zero is never.
func (e *environment) orNever(name string, usual time.Duration) (d time.Duration, never bool) {
	d = e.duration(name, usual)
	return max(0, d), d < 0
}

func (e *environment) number(name string) int {
	v, set := e.get(name)
	if !set {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		e.fault(name, "must be a number")
	}
	return n
}

// bits reads two numbers, of IPv4 and of IPv6. An explicit zero is a fault,
// since in a Config it keeps whole addresses.
func (e *environment) bits(name string) (v4, v6 int) {
	members := e.list(name)
	if len(members) == 0 {
		return 0, 0
	}
	if len(members) == 2 {
		var err4, err6 error
		v4, err4 = strconv.Atoi(members[0])
		v6, err6 = strconv.Atoi(members[1])
		if err4 == nil && err6 == nil && v4 > 0 && v6 > 0 {
			return v4, v6
		}
	}
	e.fault(name, "must be the bits to keep of IPv4 and of IPv6, such as 24,48")
	return 0, 0
}

func (e *environment) action(name string) SuspiciousAction {
	v, set := e.get(name)
	if !set {
		return ActionObserve
	}
	for a := range SuspiciousAction(len(actionNames)) {
		if strings.EqualFold(v, a.String()) {
			return a
		}
	}
	e.fault(name, "must be observe, login or revoke")
	return ActionObserve
}

func (e *environment) profile() Profile {
	const name = "SESSION_PROFILE"
	v, set := e.get(name)
	if !set {
		return noProfile
	}
	for p := noProfile; p <= AAL3; p++ {
		if strings.EqualFold(v, p.String()) {
			return p
		}
	}
	e.fault(name, "must be none, aal1, aal2 or aal3")
	return noProfile
}

func (e *environment) cookie() CookieConfig {
	const name = "SESSION_COOKIE_SAMESITE"
	c := CookieConfig{Name: e.text("SESSION_COOKIE_NAME"), Domain: e.text("COOKIE_DOMAIN")}
	if v, set := e.get(name); set {
		if c.SameSite = sameSiteNames[strings.ToLower(v)]; c.SameSite == 0 {
			e.fault(name, "must be strict, lax or none")
		}
	}
	c.DisableMarker = !e.flag("SESSION_COOKIE_MARKER", true)
	c.Partitioned = e.flag("SESSION_COOKIE_PARTITIONED", false)
	c.Persistent = e.flag("SESSION_COOKIE_PERSISTENT", false)
	switch v := e.text("SESSION_COOKIE_FORMAT"); strings.ToLower(v) {
	case "", "own":
	case "express":
		if c.Name == "" {
			c.Name = expressName
		}
		c.Format = e.express(c.Name)
	default:
		e.fault("SESSION_COOKIE_FORMAT", "must be own or express")
	}
	return c
}

// expressName is what express-session calls its cookie, by default.
const expressName = "connect.sid"

// express returns the format of Express's cookie.
func (e *environment) express(name string) legacy.Format {
	const variable = "LEGACY_SESSION_SECRET"
	if e.legacySecret == "" {
		if !e.unread[variable] {
			e.fault(variable, "is not set: it is the secret of express-session")
		}
		return nil
	}
	return express.NewCookie(name, e.legacySecret)
}

// legacy returns what is taken over. The store of the other library's sessions
// is up to the program.
func (e *environment) legacy() LegacyConfig {
	const variable = "LEGACY_SESSION_UNTIL"
	name := cmp.Or(e.text("LEGACY_SESSION_COOKIE"), expressName)
	v, set := e.get(variable)
	if !set {
		if e.legacySecret != "" && e.text("SESSION_COOKIE_FORMAT") == "" {
			e.fault(variable, "is not set, and LEGACY_SESSION_SECRET is: set it to the day "+
				"on which the cookies of the other library end")
		}
		return LegacyConfig{}
	}
	until, err := time.Parse(time.DateOnly, v)
	if err != nil {
		until, err = time.Parse(time.RFC3339, v)
	}
	if err != nil {
		e.fault(variable, "must be a date, such as 2030-01-31, or a time of RFC 3339")
		return LegacyConfig{}
	}
	c := LegacyConfig{Until: until}
	if c.Cookie = e.express(name); c.Cookie == nil {
		return LegacyConfig{}
	}
	return c
}

func (e *environment) flag(name string, byDefault bool) bool {
	v, set := e.get(name)
	if !set {
		return byDefault
	}
	switch strings.ToLower(v) {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	e.fault(name, "must be true or false")
	return byDefault
}

// proxies reads networks, addresses and the word unix.
func (e *environment) proxies(name string) (networks []netip.Prefix, unix bool) {
	for _, v := range e.list(name) {
		if strings.EqualFold(v, "unix") {
			unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(v)
		if addr, aerr := netip.ParseAddr(v); aerr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		// addresses are compared unmapped
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		if err != nil {
			e.fault(name, "must be networks, addresses or unix with commas between, "+
				"such as 10.0.0.0/8,192.168.1.7")
			return nil, false
		}
		networks = append(networks, prefix.Masked())
	}
	return networks, unix
}
