package sessionstore

import (
	"bytes"
	"errors"
	"go/ast"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/variable"
)

// envNamesOfTheReadme lists the documented variables.
var envNamesOfTheReadme = []string{
	"DATABASE_URL", "SESSION_SECRET", "SESSION_ENCRYPTION_KEY", "USE_REDIS_SESSIONS", "REDIS_URL",
	"SESSION_TIMEOUT", "SESSION_PROFILE", "SESSION_RECORD_EVENTS",
	"SESSION_ABSOLUTE_TIMEOUT", "SESSION_SLIDING_WINDOW", "SESSION_REGENERATE_ON_LOGIN",
	"SESSION_TRACK_METADATA", "SESSION_CLEAR_SITE_DATA",
	"SESSION_SUSPICIOUS_ACTIVITY_CHECK", "SESSION_COOKIE_NAME", "SESSION_COOKIE_SAMESITE",
	"SESSION_COOKIE_MARKER", "SESSION_COOKIE_PARTITIONED", "COOKIE_DOMAIN", "TRUSTED_PROXIES",
	"SESSION_PRUNE_INTERVAL", "SESSION_SCHEMA", "SESSION_MAX_PER_USER", "SESSION_DENY_AT_MAX",
	"SESSION_CACHE_FRESHNESS", "SESSION_LOCAL_FRESHNESS", "SESSION_EMERGENCY",
	"SESSION_EMERGENCY_GRACE", "SESSION_IP_PREFIX", "SESSION_SUSPICIOUS_ACTION", "APP_ENV",
	"NODE_ENV", "SESSION_COOKIE_FORMAT", "SESSION_COOKIE_PERSISTENT", "LEGACY_SESSION_SECRET",
	"LEGACY_SESSION_COOKIE", "LEGACY_SESSION_UNTIL",
	"DATABASE_URL_FILE", "SESSION_SECRET_FILE", "SESSION_ENCRYPTION_KEY_FILE", "REDIS_URL_FILE",
	"LEGACY_SESSION_SECRET_FILE",
}

func lookupIn(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// configWith reads a Config from some variables and a valid secret.
func configWith(vars map[string]string) (Config, error) {
	all := map[string]string{
		"SESSION_SECRET": string(secretA), "DATABASE_URL": "postgres://db.example/app",
	}
	for k, v := range vars {
		all[k] = v
	}
	return ConfigFrom(lookupIn(all))
}

func TestEnvReadsDocumentedVariables(t *testing.T) {
	asked := map[string]bool{}
	_, _ = ConfigFrom(func(name string) (string, bool) { asked[name] = true; return "", false })
	for _, name := range envNamesOfTheReadme {
		if !asked[name] {
			t.Errorf("%s is not read", name)
		}
		delete(asked, name)
	}
	if len(asked) > 0 {
		t.Errorf("read, and not promised: %v", asked)
	}
}

func TestEnvEachVariable(t *testing.T) {
	base, err := configWith(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, value string
		want        func(Config) bool
	}{
		{
			"TRUSTED_PROXIES", "unix",
			func(c Config) bool { return c.TrustUnixSocket && len(c.TrustedProxies) == 0 },
		},
		{
			"TRUSTED_PROXIES", "10.0.0.0/8, Unix",
			func(c Config) bool { return c.TrustUnixSocket && len(c.TrustedProxies) == 1 },
		},
		{"TRUSTED_PROXIES", "10.0.0.0/8", func(c Config) bool { return !c.TrustUnixSocket }},
		{"TRUSTED_PROXIES", "fc00::/7", func(c Config) bool { return len(c.TrustedProxies) == 1 }},
		{
			"SESSION_SCHEMA", "shop_sessions",
			func(c Config) bool { return c.Schema == "shop_sessions" },
		},
		{
			"SESSION_MAX_PER_USER", "3",
			func(c Config) bool { return c.Limits.MaxSessionsPerUser == 3 },
		},
		{"SESSION_DENY_AT_MAX", "true", func(c Config) bool { return c.Limits.DenyAtMaxSessions }},
		{
			"SESSION_CACHE_FRESHNESS", "10s",
			func(c Config) bool { return c.Cache.Freshness == 10*time.Second },
		},
		{
			"SESSION_CACHE_FRESHNESS", "0",
			func(c Config) bool { return c.coherence().Freshness == 0 },
		},
		{
			"SESSION_LOCAL_FRESHNESS", "1s",
			func(c Config) bool { return c.coherence().Freshness == time.Second },
		},
		{
			"SESSION_LOCAL_FRESHNESS", "0",
			func(c Config) bool { return c.Cache.LocalFreshness == 0 },
		},
		{
			"SESSION_EMERGENCY_GRACE", "5m",
			func(c Config) bool { return c.Outage.Grace == 5*time.Minute },
		},
		{
			"DATABASE_URL", "postgres://u:p@h/d",
			func(c Config) bool { return c.DatabaseURL == "postgres://u:p@h/d" },
		},
		{
			"SESSION_SECRET", string(secretB),
			func(c Config) bool { return slices.Equal(c.Secrets, []Secret{secretB}) },
		},
		{
			"SESSION_SECRET", string(" " + secretB + " , " + secretA + ","),
			func(c Config) bool { return slices.Equal(c.Secrets, []Secret{secretB, secretA}) },
		},
		{
			"SESSION_ENCRYPTION_KEY", string(hexKey),
			func(c Config) bool { return slices.Equal(c.Cache.EncryptionKeys, []Secret{hexKey}) },
		},
		{
			"SESSION_ENCRYPTION_KEY", string(hexKey + "," + hexKey),
			func(c Config) bool { return len(c.Cache.EncryptionKeys) == 2 },
		},
		{"USE_REDIS_SESSIONS", "false", func(c Config) bool { return !c.Cache.UseRedis }},
		{
			"REDIS_URL", "redis://:p@h",
			func(c Config) bool { return c.Cache.RedisURL == "redis://:p@h" && !c.Cache.UseRedis },
		},
		{"SESSION_TIMEOUT", "604800000", func(c Config) bool { return c.IdleTimeout == 7*day }},
		{"SESSION_TIMEOUT", "1000", func(c Config) bool { return c.IdleTimeout == time.Second }},
		{"SESSION_TIMEOUT", "90m", func(c Config) bool { return c.IdleTimeout == 90*time.Minute }},
		{
			"SESSION_TIMEOUT", " 1h30m ",
			func(c Config) bool { return c.IdleTimeout == 90*time.Minute },
		},
		{
			"SESSION_ABSOLUTE_TIMEOUT", "1296000000",
			func(c Config) bool { return c.AbsoluteTimeout == 15*day },
		},
		{
			"SESSION_ABSOLUTE_TIMEOUT", "9600h",
			func(c Config) bool { return c.AbsoluteTimeout == 400*day },
		},
		{"SESSION_SLIDING_WINDOW", "false", func(c Config) bool { return c.DisableSliding }},
		{"SESSION_SLIDING_WINDOW", "true", func(c Config) bool { return !c.DisableSliding }},
		{"SESSION_REGENERATE_ON_LOGIN", "0", func(c Config) bool { return c.DisableRotateOnLogin }},
		{"SESSION_PROFILE", "AAL2", func(c Config) bool { return c.Profile == AAL2 }},
		{"SESSION_PROFILE", "none", func(c Config) bool { return c.Profile == 0 }},
		{"SESSION_TRACK_METADATA", "no", func(c Config) bool { return c.Privacy.DisableMetadata }},
		{"SESSION_CLEAR_SITE_DATA", "yes", func(c Config) bool { return c.Privacy.ClearSiteData }},
		{
			"SESSION_SUSPICIOUS_ACTIVITY_CHECK", "OFF",
			func(c Config) bool { return c.Suspicion.DisableCheck },
		},
		{
			"SESSION_IP_PREFIX", "24,48",
			func(c Config) bool { return c.Privacy.IPv4Prefix == 24 && c.Privacy.IPv6Prefix == 48 },
		},
		{"SESSION_IP_PREFIX", " 32 , 128 ", func(c Config) bool {
			return c.Privacy.IPv4Prefix == 32 && c.Privacy.IPv6Prefix == 128
		}},
		{
			"SESSION_SUSPICIOUS_ACTION", "observe",
			func(c Config) bool { return c.Suspicion.Action == ActionObserve },
		},
		{
			"SESSION_SUSPICIOUS_ACTION", "Login",
			func(c Config) bool { return c.Suspicion.Action == ActionRequireLogin },
		},
		{
			"SESSION_SUSPICIOUS_ACTION", "revoke",
			func(c Config) bool { return c.Suspicion.Action == ActionRevoke },
		},
		{"SESSION_EMERGENCY", "False", func(c Config) bool { return c.Outage.DisableEmergency }},
		{"SESSION_EMERGENCY", "yes", func(c Config) bool { return !c.Outage.DisableEmergency }},
		{
			"SESSION_COOKIE_NAME", "sid",
			func(c Config) bool { return c.withDefaults().Cookie.Name == "sid" },
		},
		{
			"SESSION_COOKIE_SAMESITE", "strict",
			func(c Config) bool { return c.Cookie.SameSite == http.SameSiteStrictMode },
		},
		{
			"SESSION_COOKIE_SAMESITE", "Lax",
			func(c Config) bool { return c.Cookie.SameSite == http.SameSiteLaxMode },
		},
		{
			"SESSION_COOKIE_SAMESITE", "NONE",
			func(c Config) bool { return c.Cookie.SameSite == http.SameSiteNoneMode },
		},
		{"SESSION_COOKIE_SAMESITE", "", func(c Config) bool { return c.Cookie.SameSite == 0 }},
		{"SESSION_COOKIE_MARKER", "false", func(c Config) bool { return c.Cookie.DisableMarker }},
		{"SESSION_COOKIE_MARKER", "", func(c Config) bool { return !c.Cookie.DisableMarker }},
		{"SESSION_COOKIE_PARTITIONED", "true", func(c Config) bool { return c.Cookie.Partitioned }},
		{"COOKIE_DOMAIN", "example.com", func(c Config) bool {
			return c.withDefaults().Cookie.Name == "__Secure-session" &&
				c.Cookie.Domain == "example.com"
		}},
		{"TRUSTED_PROXIES", "10.1.2.3/8, 192.168.1.7 ,2001:db8::/32,::1", func(c Config) bool {
			return slices.Equal(c.TrustedProxies,
				prefixes("10.0.0.0/8", "192.168.1.7/32", "2001:db8::/32", "::1/128"))
		}},
		{"TRUSTED_PROXIES", "::ffff:10.1.2.3,::ffff:192.168.0.0/112,fe80::1%eth0", func(
			c Config,
		) bool {
			return slices.Equal(c.TrustedProxies,
				prefixes("10.1.2.3/32", "192.168.0.0/16", "fe80::1/128"))
		}},
		{
			"SESSION_PRUNE_INTERVAL", "60000",
			func(c Config) bool { return c.PruneInterval == time.Minute },
		},
		{"SESSION_PRUNE_INTERVAL", "0", func(c Config) bool { return c.DisablePrune }},
		{"SESSION_PRUNE_INTERVAL", "0s", func(c Config) bool { return c.DisablePrune }},
		{"APP_ENV", "production", func(c Config) bool { return c.Env == Production }},
		{"APP_ENV", "Staging", func(c Config) bool { return c.Env == Staging }},
		{"APP_ENV", "development", func(c Config) bool { return c.Env == Development }},
		{"NODE_ENV", "development", func(c Config) bool { return c.Env == Production }},
		{"NODE_ENV", "test", func(c Config) bool { return c.Env == Production }},
	} {
		c, err := configWith(map[string]string{tt.name: tt.value})
		if err != nil || !tt.want(c) {
			t.Errorf("%s=%s: %+v, %v", tt.name, tt.value, c, err)
		}
		for _, empty := range []string{"", " ", "\t\n"} {
			c, err := configWith(map[string]string{tt.name: empty})
			if tt.name == "SESSION_SECRET" || tt.name == "DATABASE_URL" {
				if faults := faultsOf(t, err); len(faults) != 1 || faults[0].Name != tt.name {
					t.Errorf("an empty %s: %v", tt.name, err)
				}
			} else if err != nil || c.IdleTimeout != base.IdleTimeout || c.Env != Production ||
				c.withDefaults().PruneInterval != base.withDefaults().PruneInterval ||
				c.DisableSliding || c.Outage.DisableEmergency {
				t.Errorf("%s=%q does not count as not set: %+v, %v", tt.name, empty, c, err)
			}
		}
	}
	if c := base.withDefaults(); c.IdleTimeout != 604_800_000*time.Millisecond ||
		c.PruneInterval != 15*time.Minute || c.Env != Production ||
		c.DisableSliding || c.DisableRotateOnLogin || c.Privacy.DisableMetadata ||
		c.Suspicion.DisableCheck || c.Outage.DisableEmergency || c.Cache.UseRedis {
		t.Errorf("defaults: %+v", c)
	}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Other tools set NODE_ENV too, so it must not make a cookie insecure.
func TestNodeEnvKeepsCookiesSecure(t *testing.T) {
	strictness := map[Environment]int{Development: 0, Staging: 1, Production: 1}
	for _, app := range []string{"", "production", "staging", "development"} {
		without, err := configWith(map[string]string{"APP_ENV": app})
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []string{
			"production", "Production", "staging", "development", "DEVELOPMENT", "test", "Test",
		} {
			c, err := configWith(map[string]string{"APP_ENV": app, "NODE_ENV": node})
			if err != nil || strictness[c.Env] < strictness[without.Env] {
				t.Errorf("APP_ENV=%s NODE_ENV=%s: %v, which is looser than %v, %v", app, node,
					c.Env, without.Env, err)
			}
			if app == "development" &&
				strictness[c.Env] != strings.Count("productionstaging", strings.ToLower(node)) {
				t.Errorf("APP_ENV=%s NODE_ENV=%s: %v", app, node, c.Env)
			}
		}
	}
}

func TestEnvWarnsOfAmbiguousValues(t *testing.T) {
	for _, tt := range []struct {
		vars map[string]string
		want string // "" if there is no warning
	}{
		{map[string]string{"SESSION_TIMEOUT": "3600"}, "variable=SESSION_TIMEOUT reading=3.6s"},
		{map[string]string{"SESSION_TIMEOUT": "3599999"}, "reading=59m59.999s"},
		{map[string]string{"SESSION_TIMEOUT": "3600000"}, ""},
		{map[string]string{"SESSION_TIMEOUT": "604800000"}, ""},
		{map[string]string{"SESSION_TIMEOUT": "5m"}, ""},
		{
			map[string]string{"SESSION_TIMEOUT": "1000", "SESSION_ABSOLUTE_TIMEOUT": "86400"},
			"variable=SESSION_ABSOLUTE_TIMEOUT reading=1m26.4s",
		},
		{
			map[string]string{"SESSION_PRUNE_INTERVAL": "900"},
			"variable=SESSION_PRUNE_INTERVAL reading=900ms",
		},
		{map[string]string{"SESSION_PRUNE_INTERVAL": "0"}, ""},
		{
			map[string]string{"SESSION_CACHE_FRESHNESS": "30"},
			"variable=SESSION_CACHE_FRESHNESS reading=30ms",
		},
		{
			map[string]string{"SESSION_LOCAL_FRESHNESS": "1"},
			"variable=SESSION_LOCAL_FRESHNESS reading=1ms",
		},
		{map[string]string{"SESSION_LOCAL_FRESHNESS": "500"}, ""},
		{
			map[string]string{"SESSION_EMERGENCY_GRACE": "300"},
			"variable=SESSION_EMERGENCY_GRACE reading=300ms",
		},
		{map[string]string{"NODE_ENV": "development"}, "NODE_ENV ignored"},
		{map[string]string{"NODE_ENV": "production"}, ""},
		{
			map[string]string{"APP_ENV": "development", "NODE_ENV": "production"},
			"NODE_ENV makes APP_ENV stricter",
		},
		{map[string]string{"APP_ENV": "development", "NODE_ENV": "development"}, ""},
		{map[string]string{"SESSION_REGENERATE_ON_LOGIN": "false"}, "token kept at login"},
	} {
		cfg, err := configWith(tt.vars)
		if err != nil {
			t.Errorf("%v: %v", tt.vars, err)
			continue
		}
		var log bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m, err := NewWithStore(NewMemory(cfg.Expiry(), 0), cfg)
		if err != nil {
			t.Errorf("%v: %v", tt.vars, err)
			continue
		}
		_ = m.Close()
		if got := log.String(); tt.want == "" && got != "" || !strings.Contains(got, tt.want) ||
			tt.want != "" && !strings.Contains(got, "level=WARN") {
			t.Errorf("%v: the log is %q, want %q", tt.vars, got, tt.want)
		}
	}
}

// The first line of the log shows the timeouts and the cookie in force.
func TestStartLineShowsConfig(t *testing.T) {
	var log bytes.Buffer
	m, err := Open(t.Context(), Config{
		Env: Development, IdleTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = m.Close()
	const want = "environment=development timeout=1h0m0s absolute_timeout=720h0m0s" +
		" cookie=session same_site=lax"
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log is %q, want %q in it", log.String(), want)
	}
}

func TestEnvAppEnvComesFirst(t *testing.T) {
	for _, tt := range []struct {
		app, node, fault string
		want             Environment
	}{
		{"production", "development", "", Production},
		{"staging", "nonsense", "", Staging},
		{"", "staging", "", Staging},
		{"", "", "", Production},
		{"test", "", "APP_ENV", 0},
		{"prod", "development", "APP_ENV", 0},
		{"", "nonsense", "NODE_ENV", 0},
	} {
		c, err := configWith(map[string]string{"APP_ENV": tt.app, "NODE_ENV": tt.node})
		faults := faultsOf(t, err)
		if tt.fault == "" && (err != nil || c.Env != tt.want) || tt.fault != "" &&
			(len(faults) != 1 || faults[0].Name != tt.fault) {
			t.Errorf("APP_ENV=%s NODE_ENV=%s: %v, %v", tt.app, tt.node, c.Env, err)
		}
	}
}

func TestEnvFaults(t *testing.T) {
	const canary = "Canary-7355608"
	for _, tt := range []struct{ name, value string }{
		{"SESSION_SECRET", canary},
		{"SESSION_SECRET", string(secretA) + "," + canary},
		{"SESSION_SECRET", strings.Repeat("Canary-", 10)}, // six different characters
		{"SESSION_ENCRYPTION_KEY", canary},
		{"SESSION_ENCRYPTION_KEY", string(hexKey) + canary},
		{"USE_REDIS_SESSIONS", canary},
		{"USE_REDIS_SESSIONS", "2"},
		{"SESSION_TIMEOUT", canary},
		{"SESSION_TIMEOUT", "0"},
		{"SESSION_TIMEOUT", "0s"},
		{"SESSION_TIMEOUT", "-1"},
		{"SESSION_TIMEOUT", "-1h"},
		{"SESSION_TIMEOUT", "999"},
		{"SESSION_TIMEOUT", "1.5"},
		{"SESSION_TIMEOUT", "1e6"},
		{"SESSION_TIMEOUT", "0x10000000"},
		{"SESSION_TIMEOUT", "7d"},
		{"SESSION_TIMEOUT", "34560000001"},          // 400 days and a millisecond
		{"SESSION_TIMEOUT", "9223372036854775807"},  // fits an int64, not as nanoseconds
		{"SESSION_TIMEOUT", "9223372036855"},        // the first that overflows
		{"SESSION_TIMEOUT", "18446744077310"},       // overflows to one hour
		{"SESSION_TIMEOUT", "18446744073709551617"}, // does not fit an int64
		{"SESSION_TIMEOUT", "9223372036854775807h"},
		{"SESSION_TIMEOUT", strings.Repeat("9", 4000)},
		{"SESSION_ABSOLUTE_TIMEOUT", canary},
		{"SESSION_ABSOLUTE_TIMEOUT", "0"},
		{"SESSION_ABSOLUTE_TIMEOUT", "1h"}, // shorter than the default timeout
		{"SESSION_ABSOLUTE_TIMEOUT", "9601h"},
		{"SESSION_SLIDING_WINDOW", canary},
		{"SESSION_REGENERATE_ON_LOGIN", canary},
		{"SESSION_PROFILE", canary},
		{"SESSION_PROFILE", "2"},
		{"SESSION_TRACK_METADATA", canary},
		{"SESSION_CLEAR_SITE_DATA", canary},
		{"SESSION_SUSPICIOUS_ACTIVITY_CHECK", canary},
		{"SESSION_IP_PREFIX", canary},
		{"SESSION_IP_PREFIX", "24"},
		{"SESSION_IP_PREFIX", "24,48,56"},
		{"SESSION_IP_PREFIX", "0,48"},
		{"SESSION_IP_PREFIX", "-1,48"},
		{"SESSION_IP_PREFIX", "33,48"},
		{"SESSION_IP_PREFIX", "24,129"},
		{"SESSION_SUSPICIOUS_ACTION", canary},
		{"SESSION_SUSPICIOUS_ACTION", "1"},
		{"SESSION_EMERGENCY", canary},
		{"SESSION_COOKIE_NAME", "a " + canary},
		{"SESSION_COOKIE_NAME", "a; " + canary},
		{"SESSION_COOKIE_NAME", "__host-" + canary},
		{"SESSION_COOKIE_NAME", strings.Repeat("n", 4000)},
		{"SESSION_COOKIE_SAMESITE", canary},
		{"SESSION_COOKIE_SAMESITE", "2"},
		{"COOKIE_DOMAIN", canary + "; Path=/"},
		{"COOKIE_DOMAIN", "exämple.com"},
		{"COOKIE_DOMAIN", "example.com."},
		{"TRUSTED_PROXIES", canary},
		{"TRUSTED_PROXIES", "10.0.0.0/33"},
		{"TRUSTED_PROXIES", "10.0.0.0/8," + canary},
		{"TRUSTED_PROXIES", "10.0.0.0/8 192.168.0.1"},
		{"SESSION_PRUNE_INTERVAL", canary},
		{"SESSION_PRUNE_INTERVAL", "-1"},
		{"APP_ENV", canary},
		{"SESSION_COOKIE_FORMAT", canary},
		{"SESSION_COOKIE_PERSISTENT", "true"}, // without another library
		{"LEGACY_SESSION_UNTIL", canary},
		{"LEGACY_SESSION_UNTIL", "31.1.2030"},
	} {
		c, err := configWith(map[string]string{tt.name: tt.value})
		faults := faultsOf(t, err)
		if len(faults) != 1 || !slices.Contains(strings.Split(faults[0].Name, ", "), tt.name) {
			t.Errorf("%s=%.40s: %v", tt.name, tt.value, err)
			continue
		}
		if strings.Contains(err.Error(), canary) || len(tt.value) > 5 &&
			strings.Contains(err.Error(), tt.value) {
			t.Errorf("%s: the error shows the value: %v", tt.name, err)
		}
		if c.Secrets != nil {
			t.Errorf("%s: a configuration beside the error", tt.name)
		}
	}
}

func TestEnvFaultsAreReportedTogether(t *testing.T) {
	bad := map[string]string{
		"DATABASE_URL": "postgres://u:Canary-7355608@h", "SESSION_SECRET": "Canary-7355608",
		"SESSION_ENCRYPTION_KEY": "Canary-7355608",
		"USE_REDIS_SESSIONS":     "true", "SESSION_TIMEOUT": "Canary-7355608",
		"SESSION_ABSOLUTE_TIMEOUT": "0",
		"SESSION_SLIDING_WINDOW":   "Canary-7355608", "SESSION_COOKIE_NAME": "Canary 7355608",
		"TRUSTED_PROXIES":        "Canary-7355608",
		"SESSION_PRUNE_INTERVAL": "Canary-7355608", "APP_ENV": "Canary-7355608",
	}
	_, err := ConfigFrom(lookupIn(bad))
	var names []string
	for _, fault := range faultsOf(t, err) {
		names = append(names, strings.Split(fault.Name, ", ")[0])
	}
	slices.Sort(names)
	want := []string{
		"APP_ENV", "REDIS_URL", "SESSION_ABSOLUTE_TIMEOUT", "SESSION_COOKIE_NAME",
		"SESSION_ENCRYPTION_KEY", "SESSION_PRUNE_INTERVAL",
		"SESSION_SECRET", "SESSION_SLIDING_WINDOW", "SESSION_TIMEOUT", "TRUSTED_PROXIES",
	}
	if !slices.Equal(names, want) {
		t.Errorf("faults %v, want %v", names, want)
	}
	if strings.Contains(err.Error(), "Canary") || strings.Contains(err.Error(), "7355608") {
		t.Errorf("a value is shown: %v", err)
	}
	var fault *ConfigError
	if !errors.As(err, &fault) || len(strings.Split(err.Error(), "\n")) != len(want) {
		t.Errorf("not one line for each: %v", err)
	}
}

func TestConfigFromEnvReadsTheEnvironment(t *testing.T) {
	for _, name := range envNamesOfTheReadme {
		t.Setenv(name, "")
	}
	if _, err := ConfigFromEnv(); err == nil {
		t.Error("an empty environment is enough")
	}
	t.Setenv("DATABASE_URL", "postgres://db.example/app")
	t.Setenv("SESSION_SECRET", string(secretA))
	t.Setenv("SESSION_TIMEOUT", "60000")
	if c, err := ConfigFromEnv(); err != nil || c.IdleTimeout != time.Minute ||
		!slices.Equal(c.Secrets, []Secret{secretA}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// A variable that no one reads is named in the log, with the one that was
// meant, and without its value.
func TestUnknownVariablesAreLogged(t *testing.T) {
	for _, name := range envNamesOfTheReadme {
		t.Setenv(name, "")
	}
	t.Setenv("DATABASE_URL", "postgres://db.example/app")
	t.Setenv("SESSION_SECRET", string(secretA))
	t.Setenv("SESSION_MANAGER", "local/host")
	start := func() string {
		cfg, err := ConfigFromEnv()
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m, err := NewWithStore(NewMemory(cfg.Expiry(), 0), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Close()
		return log.String()
	}
	if log := start(); log != "" {
		t.Errorf("of known variables the log is %q", log)
	}
	t.Setenv("SESSION_IDLE_TIMEOUT", "7355608s")
	log := start()
	const want = `level=WARN msg="unknown session variable" variable=SESSION_IDLE_TIMEOUT ` +
		`advice="it has no effect on pgsession: set SESSION_TIMEOUT instead`
	if !strings.Contains(log, want) || strings.Count(log, "\n") != 1 ||
		strings.Contains(log, "7355608") {
		t.Errorf("the log is %q, want %s", log, want)
	}
}

// The list by which mistyped variables are found is that of the variables and
// fields.
func TestTheListOfVariables(t *testing.T) {
	asked := map[string]bool{}
	_, _ = ConfigFrom(func(name string) (string, bool) { asked[name] = true; return "", false })
	got, want := slices.Sorted(maps.Keys(variable.Fields)), slices.Sorted(maps.Keys(asked))
	if !slices.Equal(got, want) {
		t.Errorf("the list has %q, and read are %q", got, want)
	}
	of, listed := variablesOf(t, leaves(t)), map[string]bool{}
	for name, fields := range variable.Fields {
		for _, field := range fields {
			if !slices.ContainsFunc(of[field], func(by string) bool {
				by, _, _ = strings.Cut(strings.Trim(by, "`"), "=")
				return by == name
			}) {
				t.Errorf("%s sets no field %s", name, field)
			}
			listed[field] = true
		}
	}
	for field := range of {
		if !listed[field] {
			t.Errorf("the list lacks the field %s", field)
		}
	}
}

// Only env.go reads the environment, so that its list of names is complete.
func TestEnvIsReadInOnePlace(t *testing.T) {
	_, files := parseSources(t)
	for name, file := range files {
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); path == "os" && name != "env.go" ||
				path == "syscall" && name != "postgres_class.go" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	var names []string
	ast.Inspect(files["env.go"], func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(lit.Value); err == nil && len(s) > 3 &&
				strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" && !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
		return true
	})
	slices.Sort(names)
	if want := slices.Sorted(slices.Values(envNamesOfTheReadme)); !slices.Equal(names, want) {
		t.Errorf("env.go names %v, want %v", names, want)
	}
}
