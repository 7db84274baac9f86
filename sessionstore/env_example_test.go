package sessionstore

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// example reads a file of the repository's root as an environment. With
// commented it also reads the settings that are commented out.
func example(t *testing.T, name string, commented bool) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`)
	if commented {
		setting = regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`)
	}
	vars := map[string]string{}
	for _, m := range setting.FindAllStringSubmatch(string(text), -1) {
		vars[m[1]] = m[2]
	}
	return vars
}

// An example is copied unread, so it must trust no proxy and set no domain.
func TestEnvExampleIsTheDefaults(t *testing.T) {
	if vars := example(t, ".env.example", false); len(vars) > 0 {
		t.Errorf("not commented out: %v", vars)
	}
	vars := example(t, ".env.example", true)
	for _, name := range envNamesOfTheReadme {
		if _, ok := vars[name]; !ok && name != "NODE_ENV" {
			t.Errorf("%s is not in .env.example", name)
		}
		delete(vars, name)
	}
	if len(vars) > 0 {
		t.Errorf(".env.example has what nothing reads: %v", vars)
	}

	vars = example(t, ".env.example", true)
	delete(vars, "DATABASE_URL")
	delete(vars, "SESSION_SECRET")
	got, err := configWith(vars)
	if err != nil {
		t.Fatal(err)
	}
	want, err := configWith(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, want = got.withDefaults(), want.withDefaults()
	for i := range reflect.TypeFor[Config]().NumField() {
		field := reflect.TypeFor[Config]().Field(i)
		if field.Type.Kind() == reflect.Func || field.Name == "Logger" {
			continue
		}
		g, w := reflect.ValueOf(got).Field(i), reflect.ValueOf(want).Field(i)
		if !field.IsExported() {
			if g.Len() > 0 {
				t.Errorf("%s is not empty", field.Name)
			}
		} else if !reflect.DeepEqual(g.Interface(), w.Interface()) {
			t.Errorf("%s is not the default", field.Name)
		}
	}
}

// The example of an application trusts no proxy and disables nothing.
func TestSeedExampleIsAsStrict(t *testing.T) {
	vars := example(t, ".env.reporadar.example", false)
	for _, name := range []string{
		"TRUSTED_PROXIES", "COOKIE_DOMAIN", "SESSION_COOKIE_SAMESITE",
		"SESSION_REGENERATE_ON_LOGIN", "SESSION_TRACK_METADATA",
		"SESSION_SUSPICIOUS_ACTIVITY_CHECK", "SESSION_EMERGENCY_GRACE", "SESSION_CACHE_FRESHNESS",
		"NODE_ENV",
	} {
		if v, ok := vars[name]; ok {
			t.Errorf("%s=%s", name, v)
		}
	}
	for name, v := range vars {
		if strings.Contains(v, " ") {
			t.Errorf("%s=%q", name, v)
		}
	}
	vars["SESSION_SECRET"] = string(secretA)
	cfg, err := ConfigFrom(lookupIn(vars))
	if err != nil || cfg.Env != Production || len(cfg.notices) > 0 {
		t.Errorf("%+v, %v", cfg.notices, err)
	}
}
