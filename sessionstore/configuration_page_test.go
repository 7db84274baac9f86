package sessionstore

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var writeConfiguration = flag.Bool("write-configuration", false,
	"write docs/reference/configuration.md instead of comparing with it")

const configurationText = `# Configuration

[sessionstore.ConfigFromEnv](https://pkg.go.dev/github.com/reporadar/pgsession/sessionstore#ConfigFromEnv) reads the variables into a ` + "`Config`" + `; what has no variable is set in the ` + "`Config`" + ` that it returns.
All faults are reported at once, by name, without values.
Durations are milliseconds, or have a unit: ` + "`168h`, `15m`" + `.
An empty variable counts as not set.
A variable ` + "`SESSION_…`" + ` that is not in the table, such as a mistyped one, has no effect: the log names it at start, and so does [` + "`pgsession doctor`" + `](pgsession.md).
` + "`DATABASE_URL_FILE`, `SESSION_SECRET_FILE`, `SESSION_ENCRYPTION_KEY_FILE`, `REDIS_URL_FILE` and `LEGACY_SESSION_SECRET_FILE`" + ` name a file that has the value, [in place of the variable](../operations/deploying.md#secrets-as-files); line breaks at its end are cut.
[.env.example](../../.env.example) has all variables, commented out.

In development (` + "`APP_ENV=development`" + `) the cookie is ` + "`SameSite=Lax`" + `, and not ` + "`Secure`" + ` on plain http; without ` + "`DATABASE_URL`" + ` sessions live in memory, and without ` + "`SESSION_SECRET`" + ` one is derived from it.
` + "`NODE_ENV`" + ` can make ` + "`APP_ENV`" + ` stricter, never looser.
To replace a secret see the [checklist](../operations/checklist.md#replace-a-secret).

A test makes this page from the comments of the fields, and tries each variable, default and bound: ` + "`go test ./sessionstore -run TestTheConfigurationPage -write-configuration`" + `.

`

// settings are values that each variable is tried with: the field that changes
// is the variable's.
var settings = map[string]string{
	"DATABASE_URL": "postgres://other/db", "SESSION_SCHEMA": "other",
	"SESSION_SECRET": strings.Repeat("zyxwvuts", 4), "APP_ENV": "staging",
	"SESSION_PROFILE": "aal1", "SESSION_TIMEOUT": "1h", "SESSION_ABSOLUTE_TIMEOUT": "2000h",
	"SESSION_SLIDING_WINDOW": "false", "SESSION_REGENERATE_ON_LOGIN": "false",
	"SESSION_MAX_PER_USER": "7", "SESSION_DENY_AT_MAX": "true",
	"SESSION_TRACK_METADATA": "false", "SESSION_IP_PREFIX": "24,48",
	"SESSION_CLEAR_SITE_DATA": "true", "SESSION_SUSPICIOUS_ACTIVITY_CHECK": "false",
	"SESSION_SUSPICIOUS_ACTION": "login", "SESSION_COOKIE_NAME": "__Host-other",
	"COOKIE_DOMAIN": "example.com", "SESSION_COOKIE_SAMESITE": "lax",
	"SESSION_COOKIE_MARKER": "false", "SESSION_COOKIE_PARTITIONED": "true",
	"SESSION_COOKIE_FORMAT": "express", "SESSION_COOKIE_PERSISTENT": "true",
	"LEGACY_SESSION_SECRET": strings.Repeat("legacy-s", 4), "LEGACY_SESSION_COOKIE": "other.sid",
	"LEGACY_SESSION_UNTIL": time.Now().AddDate(0, 1, 0).Format(time.DateOnly),
	"TRUSTED_PROXIES":      "10.0.0.0/8,unix", "SESSION_PRUNE_INTERVAL": "1h",
	"SESSION_RECORD_EVENTS": "true", "USE_REDIS_SESSIONS": "true",
	"REDIS_URL": "redis://other:6379", "SESSION_ENCRYPTION_KEY": strings.Repeat("0f", 32),
	"SESSION_CACHE_FRESHNESS": "1m", "SESSION_LOCAL_FRESHNESS": "1s",
	"SESSION_EMERGENCY": "false", "SESSION_EMERGENCY_GRACE": "1m",
}

// beside are the variables that a variable needs beside it.
var beside = map[string][]string{
	"USE_REDIS_SESSIONS":        {"REDIS_URL", "SESSION_ENCRYPTION_KEY"},
	"LEGACY_SESSION_UNTIL":      {"LEGACY_SESSION_SECRET"},
	"LEGACY_SESSION_SECRET":     {"LEGACY_SESSION_UNTIL"},
	"LEGACY_SESSION_COOKIE":     {"LEGACY_SESSION_UNTIL", "LEGACY_SESSION_SECRET"},
	"SESSION_COOKIE_PERSISTENT": {"LEGACY_SESSION_UNTIL", "LEGACY_SESSION_SECRET"},
}

// others are values to compare with where a variable can't be left out.
var others = map[string]string{
	"LEGACY_SESSION_SECRET": strings.Repeat("other-se", 4), "LEGACY_SESSION_UNTIL": "2026-01-01",
}

// never are the variables that turn something off with 0.
var never = []string{"SESSION_PRUNE_INTERVAL", "SESSION_CACHE_FRESHNESS"}

// limits are the least and the greatest value of a field: check refuses what is
// beyond.
var limits = map[string][2]int64{
	"IdleTimeout":               {int64(time.Second), 400 * 24 * int64(time.Hour)},
	"AbsoluteTimeout":           {int64(time.Second), 400 * 24 * int64(time.Hour)},
	"Limits.MaxSessionsPerUser": {0, 1_000_000},
	"Limits.MaxDataSize":        {0, 512 << 10},
	"Privacy.IPv4Prefix":        {0, 32},
	"Privacy.IPv6Prefix":        {0, 128},
	"Cache.LocalFreshness":      {0, int64(time.Minute)},
	"Cache.LocalBytes":          {1 << 20, 1 << 62},
	"Cache.Freshness":           {0, 5 * int64(time.Minute)},
	"Outage.Grace":              {0, int64(time.Hour)},
}

// leaf is a field of Config, or of a struct in it.
type leaf struct {
	path, doc string
	value     func(Config) reflect.Value
}

// leaves returns the exported fields of Config in the order of the source.
func leaves(t *testing.T) (all []leaf) {
	docs := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, name := range field.Names {
						words := strings.Fields(field.Doc.Text())
						docs[spec.Name.Name+"."+name.Name] = strings.Join(words, " ")
					}
				}
			}
			return true
		})
	}
	var walk func(of reflect.Type, path string, index []int)
	walk = func(of reflect.Type, path string, index []int) {
		for i := range of.NumField() {
			f := of.Field(i)
			at := append(slices.Clone(index), i)
			switch {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Struct && strings.HasSuffix(f.Type.Name(), "Config"):
				walk(f.Type, path+f.Name+".", at)
			default:
				all = append(all, leaf{
					path + f.Name, docs[of.Name()+"."+f.Name],
					func(c Config) reflect.Value { return reflect.ValueOf(c).FieldByIndex(at) },
				})
			}
		}
	}
	walk(reflect.TypeFor[Config](), "", nil)
	return all
}

// variablesOf returns the variables of each field: those that change it.
func variablesOf(t *testing.T, fields []leaf) map[string][]string {
	t.Helper()
	asked := map[string]bool{}
	load := func(set map[string]string) Config {
		cfg, err := ConfigFrom(func(name string) (string, bool) {
			asked[name] = true
			v, ok := set[name]
			return v, ok
		})
		if err != nil {
			t.Errorf("%v: %v", set, err)
		}
		return cfg
	}
	of := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		set := map[string]string{
			"DATABASE_URL": "postgres://host/db", "SESSION_SECRET": strings.Repeat("abcdefgh", 4),
		}
		for _, other := range beside[name] {
			set[other] = settings[other]
		}
		if value, ok := others[name]; ok {
			set[name] = value
		}
		without := load(set)
		if name == "SESSION_COOKIE_FORMAT" {
			set["LEGACY_SESSION_SECRET"] = settings["LEGACY_SESSION_SECRET"]
		}
		set[name] = settings[name]
		with := load(set)
		changed := false
		for _, f := range fields {
			if !reflect.DeepEqual(f.value(with).Interface(), f.value(without).Interface()) {
				of[f.path] = append(of[f.path], "`"+name+"`")
				changed = true
			}
		}
		if !changed {
			t.Errorf("%s changes no field", name)
		}
		if !slices.Contains(never, name) {
			continue
		}
		set[name] = "0"
		with = load(set)
		for _, f := range fields {
			if f.value(with).Kind() == reflect.Bool &&
				f.value(with).Bool() != f.value(without).Bool() {
				of[f.path] = append(of[f.path], "`"+name+"=0`")
			}
		}
	}
	for name := range asked {
		if strings.HasSuffix(name, "_FILE") {
			if !strings.Contains(configurationText, "`"+name+"`") {
				t.Errorf("the page does not name %s", name)
			}
		} else if settings[name] == "" && name != "NODE_ENV" {
			t.Errorf("%s is read, and not in settings", name)
		}
	}
	return of
}

var (
	defaultsTo = regexp.MustCompile(`Defaults to (.*?)(?:; (.*?))?\.(?: |$)`)
	reference  = regexp.MustCompile(`\[([\w./]+)\]`)
)

func TestTheConfigurationPage(t *testing.T) {
	fields := leaves(t)
	of := variablesOf(t, fields)
	text := configurationText + "| variable | field | default | bounds | meaning |\n" +
		"| --- | --- | --- | --- | --- |\n"
	defaults := Config{DatabaseURL: "x", Secrets: []Secret{"x"}}.withDefaults()
	for _, f := range fields {
		value := f.value(defaults)
		byDefault, bounds := "", ""
		switch found := defaultsTo.FindStringSubmatch(f.doc); {
		case found != nil:
			byDefault, bounds = found[1], found[2]
			if !strings.HasPrefix(bounds, "at ") && bounds != "" {
				byDefault, bounds = byDefault+"; "+bounds, ""
			}
			for _, before := range []string{"or ", "; ", "Development "} {
				byDefault = strings.ReplaceAll(byDefault, before+"to ", before)
			}
		case strings.Contains(f.doc, "Required"):
			byDefault = "required"
		case value.Kind() == reflect.Bool:
			byDefault = fmt.Sprintf("`%t`", value.Bool())
		}
		if byDefault == "" {
			t.Errorf("the comment of %s has no default", f.path)
		}
		if d, ok := value.Interface().(time.Duration); ok && !says(byDefault, d) {
			t.Errorf("the comment of %s has default %q, and it is %v", f.path, byDefault, d)
		}
		if byDefault == "0" {
			byDefault = "`0`"
		}
		meaning, _, _ := strings.Cut(f.doc, ". ")
		meaning = strings.TrimSuffix(meaning, ".")
		name := f.path[strings.LastIndex(f.path, ".")+1:]
		meaning = strings.TrimPrefix(meaning, name+" ")
		meaning = strings.TrimPrefix(strings.TrimPrefix(meaning, "is "), "are ")
		flips := value.Kind() == reflect.Bool && len(of[f.path]) == 1 &&
			settings[strings.Trim(of[f.path][0], "`")] == "false"
		field := "`" + f.path + "`"
		if flips { // the variable says the opposite of the field
			field = "not " + field
			byDefault, meaning = "`true`", "`false` "+meaning
		}
		text += fmt.Sprintf("| %s | %s | %s | %s | %s |\n", strings.Join(of[f.path], ", "), field,
			code(byDefault), code(bounds), code(meaning))
	}
	const page = "../docs/reference/configuration.md"
	if *writeConfiguration {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(was) != text {
		t.Errorf("%s is not of the code: make it again with -write-configuration", page)
	}
}

// code makes the links of a comment code.
func code(text string) string { return reference.ReplaceAllString(text, "`$1`") }

// says reports whether a text has a duration in one of its usual forms.
func says(text string, d time.Duration) bool {
	for unit, names := range map[time.Duration][]string{
		24 * time.Hour: {"days"}, time.Hour: {"h", "hour"},
		time.Minute: {"minutes"}, time.Second: {"s", "seconds"},
	} {
		for _, name := range names {
			if d%unit == 0 && strings.Contains(text, fmt.Sprint(int64(d/unit), " ", name)) {
				return true
			}
		}
	}
	return d == 0 && strings.HasPrefix(text, "0")
}

func TestTheBoundsOfSettings(t *testing.T) {
	accepts := func(f leaf, n int64) bool {
		c := Config{DatabaseURL: "postgres://host/db", Secrets: []Secret{
			Secret(strings.Repeat("abcdefgh", 4)),
		}}.withDefaults()
		if f.path == "AbsoluteTimeout" {
			c.IdleTimeout = time.Second
		} else {
			c.AbsoluteTimeout = 400 * 24 * time.Hour
		}
		v := reflect.ValueOf(&c).Elem()
		for _, name := range strings.Split(f.path, ".") {
			v = v.FieldByName(name)
		}
		v.SetInt(n)
		return c.check() == nil
	}
	for _, f := range leaves(t) {
		bounds, ok := limits[f.path]
		if kind := f.value(Config{}).Kind(); !ok {
			if kind == reflect.Int && f.path != "Env" && f.path != "Profile" &&
				f.path != "Suspicion.Action" && f.path != "Cookie.SameSite" {
				t.Errorf("%s is a number, and not in limits", f.path)
			}
			continue
		}
		for n, want := range map[int64]bool{
			bounds[0]: true, bounds[1]: true, bounds[0] - 1: false,
		} {
			if accepts(f, n) != want {
				t.Errorf("%s of %d: accepted %v", f.path, n, !want)
			}
		}
		if bounds[1] < 1<<62 && accepts(f, bounds[1]+1) {
			t.Errorf("%s of %d is accepted", f.path, bounds[1]+1)
		}
	}
}
