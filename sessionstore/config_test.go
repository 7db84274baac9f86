package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	hexKey  = Secret("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	day     = 24 * time.Hour
	century = 100 * 365 * day
)

// faultsOf returns the faults of a configuration's error.
const (
	secretA = Secret("0123456789abcdef0123456789abcdef-A")
	secretB = Secret("0123456789abcdef0123456789abcdef-B")
)

// parseSources parses the files of the package, except tests.
func parseSources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	fset, files := token.NewFileSet(), map[string]*ast.File{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(fset, name, nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	return fset, files
}

func faultsOf(t testing.TB, err error) []ConfigError {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T does not hold several faults", err)
	}
	var faults []ConfigError
	for _, e := range joined.Unwrap() {
		var fault *ConfigError
		if !errors.As(e, &fault) || fault.Name == "" || fault.Problem == "" {
			t.Fatalf("%v is not a fault with a name and a problem", e)
		}
		if !strings.Contains(err.Error(), fault.Name+": "+fault.Problem) {
			t.Errorf("error %q lacks the fault %v", err, fault)
		}
		faults = append(faults, *fault)
	}
	return faults
}

func TestConfigChecks(t *testing.T) {
	secrets := []Secret{secretA}
	for _, tt := range []struct {
		what string
		cfg  Config
		want string // the names of the faults; "" if there are none
	}{
		{"a secret is all that a production needs", Config{Secrets: secrets}, ""},
		{"staging needs a secret", Config{Env: Staging}, "Secrets"},
		{"production needs a secret", Config{}, "Secrets"},
		{"development does not", Config{Env: Development}, ""},
		{
			"development refuses a bad secret all the same",
			Config{Env: Development, Secrets: []Secret{"x"}},
			"Secrets",
		},
		{"an environment that does not exist is refused", Config{Env: 3, Secrets: secrets}, "Env"},
		{"a negative environment is refused", Config{Env: -1, Secrets: secrets}, "Env"},
		{
			"a secret of 31 characters is refused",
			Config{Secrets: []Secret{secretA[:31]}},
			"Secrets",
		},
		{"a secret of 32 characters is allowed", Config{Secrets: []Secret{secretA[2:]}}, ""},
		{"an empty secret is refused", Config{Secrets: []Secret{""}}, "Secrets"},
		{
			"a secret of one character is refused",
			Config{Secrets: []Secret{Secret(strings.Repeat("x", 64))}},
			"Secrets",
		},
		{
			"a secret of seven characters over and over is refused",
			Config{Secrets: []Secret{Secret(strings.Repeat("abcdefg", 10))}},
			"Secrets",
		},
		{"a secret of hexadecimal digits is allowed", Config{Secrets: []Secret{hexKey}}, ""},
		{
			"each secret is looked at",
			Config{Secrets: []Secret{secretA, "short", "also short"}},
			"Secrets Secrets",
		},
		{
			"a timeout of a second is allowed",
			Config{Secrets: secrets, IdleTimeout: time.Second},
			"",
		},
		{
			"a shorter one is refused",
			Config{Secrets: secrets, IdleTimeout: time.Second - 1},
			"IdleTimeout",
		},
		{
			"a negative timeout is refused",
			Config{Secrets: secrets, IdleTimeout: -time.Hour},
			"IdleTimeout",
		},
		{"a timeout of 400 days is allowed", Config{Secrets: secrets, IdleTimeout: 400 * day}, ""},
		{
			"a longer timeout is one fault, not one of the default that follows it",
			Config{Secrets: secrets, IdleTimeout: 400*day + 1},
			"IdleTimeout",
		},
		{
			"a century is refused",
			Config{Secrets: secrets, IdleTimeout: century, AbsoluteTimeout: 2 * century},
			"IdleTimeout AbsoluteTimeout",
		},
		{
			"an absolute timeout as long as the other is allowed",
			Config{Secrets: secrets, IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour},
			"",
		},
		{
			"a shorter absolute timeout is refused",
			Config{Secrets: secrets, IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour - 1},
			"AbsoluteTimeout",
		},
		{
			"a negative absolute timeout is refused",
			Config{Secrets: secrets, AbsoluteTimeout: -1},
			"AbsoluteTimeout",
		},
		{
			"an absolute timeout of 400 days is allowed",
			Config{Secrets: secrets, AbsoluteTimeout: 400 * day},
			"",
		},
		{
			"a longer one is refused",
			Config{Secrets: secrets, AbsoluteTimeout: 400*day + 1},
			"AbsoluteTimeout",
		},
		{
			"data of 512 KiB are allowed",
			Config{Secrets: secrets, Limits: LimitConfig{MaxDataSize: 512 << 10}},
			"",
		},
		{
			"more are refused",
			Config{Secrets: secrets, Limits: LimitConfig{MaxDataSize: 512<<10 + 1}},
			"Limits.MaxDataSize",
		},
		{
			"fewer than none are refused",
			Config{Secrets: secrets, Limits: LimitConfig{MaxDataSize: -1}},
			"Limits.MaxDataSize",
		},
		{
			"a negative timeout of the store is refused",
			Config{Secrets: secrets, StoreTimeout: -1},
			"StoreTimeout",
		},
		{"no pruning is allowed", Config{Secrets: secrets, DisablePrune: true}, ""},
		{
			"a key of 64 hexadecimal digits is allowed",
			Config{Secrets: secrets, Cache: CacheConfig{EncryptionKeys: []Secret{hexKey}}},
			"",
		},
		{
			"a key of 63 is refused",
			Config{Secrets: secrets, Cache: CacheConfig{EncryptionKeys: []Secret{hexKey[1:]}}},
			"Cache.EncryptionKeys",
		},
		{
			"a key of 62 is refused",
			Config{Secrets: secrets, Cache: CacheConfig{EncryptionKeys: []Secret{hexKey[2:]}}},
			"Cache.EncryptionKeys",
		},
		{"a key of other characters is refused", Config{
			Secrets: secrets, Cache: CacheConfig{EncryptionKeys: []Secret{hexKey[1:] + "g"}},
		}, "Cache.EncryptionKeys"},
		{
			"Redis needs an address and a key",
			Config{Secrets: secrets, Cache: CacheConfig{UseRedis: true}},
			"Cache.RedisURL Cache.EncryptionKeys",
		},
		{
			"two caches",
			Config{Secrets: secrets, Cache: CacheConfig{
				UseRedis: true, RedisURL: "redis://r", EncryptionKeys: []Secret{hexKey},
				LocalFreshness: time.Second,
			}},
			"Cache.LocalFreshness",
		},
		{
			"a local cache that serves nothing",
			Config{Secrets: secrets, Cache: CacheConfig{
				LocalFreshness: time.Second, DisableServing: true,
			}},
			"Cache.LocalFreshness",
		},
		{
			"a local cache for too long",
			Config{Secrets: secrets, Cache: CacheConfig{LocalFreshness: time.Minute + 1}},
			"Cache.LocalFreshness",
		},
		{
			"a local cache for a negative time, without room",
			Config{Secrets: secrets, Cache: CacheConfig{LocalFreshness: -1, LocalBytes: 1}},
			"Cache.LocalFreshness Cache.LocalBytes",
		},
		{
			"a local cache is allowed",
			Config{Secrets: secrets, Cache: CacheConfig{
				LocalFreshness: time.Minute, LocalBytes: 1 << 20,
			}},
			"",
		},
		{"Redis with both is allowed", Config{Secrets: secrets, Cache: CacheConfig{
			UseRedis: true, RedisURL: "redis://r", EncryptionKeys: []Secret{hexKey},
		}}, ""},
		{
			"addresses can be cut",
			Config{Secrets: secrets, Privacy: PrivacyConfig{IPv4Prefix: 24, IPv6Prefix: 48}},
			"",
		},
		{
			"to no more than there is of IPv4",
			Config{Secrets: secrets, Privacy: PrivacyConfig{IPv4Prefix: 33}},
			"Privacy.IPv4Prefix",
		},
		{
			"to no more than there is of IPv6",
			Config{Secrets: secrets, Privacy: PrivacyConfig{IPv6Prefix: 129}},
			"Privacy.IPv6Prefix",
		},
		{
			"to no less than nothing",
			Config{Secrets: secrets, Privacy: PrivacyConfig{IPv4Prefix: -1}},
			"Privacy.IPv4Prefix",
		},
		{
			"a suspicious action",
			Config{Secrets: secrets, Suspicion: SuspicionConfig{Action: ActionRevoke}},
			"",
		},
		{
			"an action that does not exist is refused",
			Config{Secrets: secrets, Suspicion: SuspicionConfig{Action: 3}},
			"Suspicion.Action",
		},
		{"an action that could do nothing is refused", Config{
			Secrets: secrets, Suspicion: SuspicionConfig{Action: ActionRevoke},
			Privacy: PrivacyConfig{DisableMetadata: true},
		}, "Suspicion.Action"},
		{"and one without the check too", Config{
			Secrets:   secrets,
			Suspicion: SuspicionConfig{Action: ActionRequireLogin, DisableCheck: true},
		}, "Suspicion.Action"},
		{
			"proxies of one's own",
			Config{Secrets: secrets, TrustedProxies: prefixes("10.0.0.0/8", "fc00::/7")},
			"",
		},
		{
			"a network that is none",
			Config{Secrets: secrets, TrustedProxies: []netip.Prefix{{}}},
			"TrustedProxies",
		},
		{
			"the cookie is checked with the rest",
			Config{Cookie: CookieConfig{Name: "a b", Insecure: true}},
			"Secrets Cookie.Insecure Cookie",
		},
		{"all faults are reported together", Config{
			Env: 9, IdleTimeout: 1, AbsoluteTimeout: century, Limits: LimitConfig{MaxDataSize: -1},
			StoreTimeout: -1,
		}, "Env Secrets IdleTimeout AbsoluteTimeout Limits.MaxDataSize StoreTimeout"},
	} {
		var names []string
		for _, fault := range faultsOf(t, tt.cfg.withDefaults().check()) {
			names = append(names, fault.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: faults %q, want %q", tt.what, got, tt.want)
		}
	}
}

// If all addresses are trusted proxies, every client can forge its address.
func TestTrustingAllProxiesIsRefused(t *testing.T) {
	for _, all := range []string{
		"0.0.0.0/0", "1.2.3.4/0", "0.0.0.0/1,128.0.0.0/1", "128.0.0.0/1", "64.0.0.0/2",
		"192.0.0.0/7", "::ffff:0.0.0.0/96", "::ffff:0:0/97",
		"::/0", "2001:db8::/0", "::/1,8000::/1", "2000::/3", "2000::/4", "10.0.0.0/8,0.0.0.0/0",
		"unix,::/0",
	} {
		_, err := configWith(map[string]string{"TRUSTED_PROXIES": all})
		faults := faultsOf(t, err)
		if len(faults) == 0 || faults[0].Name != "TRUSTED_PROXIES" ||
			!strings.Contains(faults[0].Problem, "a network with clients") {
			t.Errorf("%s: %v", all, err)
		}
	}
}

func TestConfigFaultsAreReturned(t *testing.T) {
	bad := Config{Env: 9, IdleTimeout: 1, Secrets: []Secret{"Canary-7355608"}}
	_, fromStore := NewWithStore(NewMemory(store.Expiry{Idle: 1, Absolute: 1}, 0), bad)
	_, fromOpen := Open(context.Background(), bad)
	_, fromNew := New(context.Background(), nil, bad)
	// the last one lacks a DatabaseURL too
	for i, err := range []error{fromStore, fromNew, fromOpen} {
		var fault *ConfigError
		if !errors.As(err, &fault) || len(faultsOf(t, err)) != 3+i/2 ||
			strings.Contains(err.Error(), "Canary") {
			t.Errorf("%v", err)
		}
	}
	if _, err := Open(context.Background(), Config{}); len(faultsOf(t, err)) != 2 ||
		!strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("an empty Config: %v", err)
	}
	_, err := Open(context.Background(), Config{Secrets: []Secret{secretA}})
	if faults := faultsOf(t, err); len(faults) != 1 ||
		!strings.Contains(faults[0].Name, "DATABASE_URL") {
		t.Errorf("production without a database: %v", err)
	}
	_, err = Open(context.Background(),
		Config{Secrets: []Secret{secretA}, DatabaseURL: "postgres://u:Canary-7355608@db:bad port/"})
	if faults := faultsOf(t, err); len(faults) != 1 || strings.Contains(err.Error(), "Canary") {
		t.Errorf("an address that is none: %v", err)
	}
	// The command migrate refuses the same URL with the same message.
	_, err = Open(context.Background(),
		Config{Secrets: []Secret{secretA}, DatabaseURL: "postgres://u:Canary@7355608@db/x"})
	if faults := faultsOf(t, err); len(faults) != 1 ||
		!strings.Contains(err.Error(), "ambiguous") || strings.Contains(err.Error(), "Canary") {
		t.Errorf("an ambiguous URL: %v", err)
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{Secrets: []Secret{secretA}}.withDefaults()
	for what, ok := range map[string]bool{
		"production":               c.Env == Production,
		"7 days":                   c.IdleTimeout == 7*day,
		"30 days at most":          c.AbsoluteTimeout == 30*day,
		"sliding":                  !c.DisableSliding,
		"a new token at login":     !c.DisableRotateOnLogin,
		"metadata":                 !c.Privacy.DisableMetadata && !c.Suspicion.DisableCheck,
		"no Redis":                 !c.Cache.UseRedis,
		"no local cache":           !c.Cache.inUse() && c.Cache.LocalBytes == 64<<20,
		"a prune every 15 minutes": c.PruneInterval == 15*time.Minute,
		"64 KiB":                   c.Limits.MaxDataSize == 64<<10,
		"5 seconds for the store":  c.StoreTimeout == 5*time.Second,
		"a logger": c.Logger == slog.Default() && c.Observer != nil &&
			c.ErrorHandler != nil,
		"no proxies": c.TrustedProxies == nil,
		"a __Host- cookie": c.Cookie == CookieConfig{
			Name: "__Host-session", Path: "/", SameSite: http.SameSiteStrictMode,
		},
		"no secret but the caller's": slices.Equal(c.Secrets, []Secret{secretA}) &&
			Config{}.withDefaults().Secrets == nil,
		"AbsoluteTimeout is no shorter than IdleTimeout": 60*day ==
			Config{IdleTimeout: 60 * day}.withDefaults().AbsoluteTimeout,
		"pruning off stays off": Config{DisablePrune: true}.withDefaults().DisablePrune,
		"what is set stays set": Config{
			IdleTimeout: 1, Limits: LimitConfig{MaxDataSize: 2}, StoreTimeout: 3,
		}.withDefaults().Limits.MaxDataSize == 2,
		"staging as strict as production": Config{Env: Staging}.withDefaults().Cookie == c.Cookie,
	} {
		if !ok {
			t.Errorf("not by default: %s", what)
		}
	}
}

func TestConfigIsACopy(t *testing.T) {
	given := Config{
		Secrets: []Secret{secretA}, Cache: CacheConfig{EncryptionKeys: []Secret{hexKey}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	c := given.withDefaults()
	given.Secrets[0], given.Cache.EncryptionKeys[0], given.TrustedProxies[0] = "", "",
		netip.MustParsePrefix("0.0.0.0/0")
	if c.Secrets[0] != secretA || c.Cache.EncryptionKeys[0] != hexKey ||
		c.TrustedProxies[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Error("the caller's slices change the configuration")
	}
}

// With one fixed secret for development, any developer could sign cookies of
// every developer's server.
func TestDevelopmentSecret(t *testing.T) {
	secret := func(url Secret) Secret {
		return Config{Env: Development, DatabaseURL: url}.withDefaults().Secrets[0]
	}
	if one, two := secret(""), secret(""); one == two {
		t.Error("without a database, two processes have the same secret")
	}
	if a, b := secret("postgres://a"), secret("postgres://b"); a == b ||
		a != secret("postgres://a") {
		t.Error("with a database, the secret is not that database's own")
	}
	for _, url := range []Secret{"", "postgres://a", "x"} {
		if err := (Config{Env: Development, DatabaseURL: url}).withDefaults().check(); err != nil {
			t.Error(err)
		}
	}
	if got := (Config{
		Env: Development, Secrets: []Secret{secretA},
	}).withDefaults().Secrets; !slices.Equal(got, []Secret{secretA}) {
		t.Error("a secret that is set is not used")
	}
}

func TestEnvironmentNames(t *testing.T) {
	got := fmt.Sprint(Production, Staging, Development, Environment(3), Environment(-1))
	if got != "production staging development unknown unknown" {
		t.Error(got)
	}
}

func TestConfigFieldsAreDocumented(t *testing.T) {
	_, files := parseSources(t)
	structs := map[string]*ast.StructType{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	for name, typ := range map[string]reflect.Type{
		"Config": reflect.TypeFor[Config](), "CookieConfig": reflect.TypeFor[CookieConfig](),
		"LimitConfig":     reflect.TypeFor[LimitConfig](),
		"PrivacyConfig":   reflect.TypeFor[PrivacyConfig](),
		"SuspicionConfig": reflect.TypeFor[SuspicionConfig](),
		"CacheConfig":     reflect.TypeFor[CacheConfig](),
		"OutageConfig":    reflect.TypeFor[OutageConfig](),
	} {
		documented := 0
		for _, field := range structs[name].Fields.List {
			doc := field.Doc.Text()
			for _, ident := range field.Names {
				documented++
				if !strings.HasPrefix(strings.Replace(doc, ",", "", 1), ident.Name+" ") ||
					!strings.HasSuffix(strings.TrimSpace(doc), ".") {
					t.Errorf("%s.%s: %q is no sentence that begins with its name", name, ident.Name,
						doc)
				}
				// A bool's default is false, and its name says what true does.
				f, ok := typ.FieldByName(ident.Name)
				if !ok || f.Type.Kind() != reflect.Bool && !saysDefault(doc) {
					t.Errorf("%s.%s: %q does not say what happens when it is not set", name,
						ident.Name, doc)
				}
			}
		}
		if documented != typ.NumField() {
			t.Errorf("%s: %d fields found, want %d", name, documented, typ.NumField())
		}
	}
}

func saysDefault(doc string) bool {
	for _, word := range []string{
		"Defaults to", "defaults to", "Required", "Needed", "zero value", "The defaults",
	} {
		if strings.Contains(strings.ReplaceAll(doc, "\n", " "), word) {
			return true
		}
	}
	return false
}
