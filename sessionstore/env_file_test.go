package sessionstore

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// secretFile writes a file and returns its path.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileVariables are the secrets, and what each needs beside it.
var fileVariables = map[string]struct {
	value string
	with  map[string]string
}{
	"DATABASE_URL":   {value: "postgres://me:Canary-7355608@db.example/app"},
	"SESSION_SECRET": {value: string(secretB + "," + secretA)},
	"SESSION_ENCRYPTION_KEY": {
		value: string(hexKey),
		with: map[string]string{
			"USE_REDIS_SESSIONS": "true", "REDIS_URL": "redis://cache.example",
		},
	},
	"REDIS_URL": {
		value: "redis://:Canary-7355608@cache.example",
		with: map[string]string{
			"USE_REDIS_SESSIONS": "true", "SESSION_ENCRYPTION_KEY": string(hexKey),
		},
	},
	"LEGACY_SESSION_SECRET": {
		value: " Canary-7355608, with spaces ",
		with: map[string]string{
			"LEGACY_SESSION_UNTIL": time.Now().AddDate(0, 1, 0).Format(time.DateOnly),
		},
	},
}

// variables returns what a secret needs, and those of every Config but itself.
func variables(name string) map[string]string {
	vars := map[string]string{
		"SESSION_SECRET": string(secretA), "DATABASE_URL": "postgres://db.example/app",
	}
	maps.Copy(vars, fileVariables[name].with)
	delete(vars, name)
	return vars
}

// A secret in a file makes the Config that it makes in the variable.
func TestASecretInAFile(t *testing.T) {
	t.Parallel()
	for name, secret := range fileVariables {
		vars := variables(name)
		vars[name] = secret.value
		want, err := ConfigFrom(lookupIn(vars))
		if err != nil {
			t.Fatal(name, err)
		}
		for _, end := range []string{"", "\n", "\r\n", "\n\n"} {
			vars := variables(name)
			vars[name+"_FILE"] = " " + secretFile(t, secret.value+end) + " "
			vars[name] = " " // counts as not set
			got, err := ConfigFrom(lookupIn(vars))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s with %q at its end: %v", name, end, err)
			}
		}
	}
}

// Each fault is one, names its variables and shows neither value nor path.
func TestFaultsOfAFile(t *testing.T) {
	t.Parallel()
	for name, secret := range fileVariables {
		file := name + "_FILE"
		for problem, tt := range map[string]struct {
			value, path, want string
		}{
			"both":     {secret.value, secretFile(t, secret.value), name + ", " + file},
			"missing":  {"", "/Canary-7355608/none", file},
			"no path":  {"", "Canary-7355608 " + secret.value, file},
			"empty":    {"", secretFile(t, "\n"), file},
			"a folder": {"", t.TempDir(), file},
		} {
			vars := variables(name)
			vars[name], vars[file] = tt.value, tt.path
			_, err := ConfigFrom(lookupIn(vars))
			faults := faultsOf(t, err)
			if len(faults) != 1 || faults[0].Name != tt.want {
				t.Errorf("%s, %s: %v", name, problem, err)
				continue
			}
			if text := err.Error(); strings.Contains(text, "Canary") ||
				strings.Contains(text, tt.path) {
				t.Errorf("%s, %s: it shows too much: %v", name, problem, err)
			}
		}
	}
}

// A fault of the content names the variable as if it stood there.
func TestABadSecretInAFile(t *testing.T) {
	t.Parallel()
	vars := variables("SESSION_SECRET")
	vars["SESSION_SECRET_FILE"] = secretFile(t, "Canary-7355608\n")
	_, err := ConfigFrom(lookupIn(vars))
	if faults := faultsOf(t, err); len(faults) != 1 || faults[0].Name != "SESSION_SECRET" ||
		strings.Contains(err.Error(), "Canary") {
		t.Errorf("%v", err)
	}
}

// A variable that names a file belongs to a secret.
func TestEachSecretMayBeInAFile(t *testing.T) {
	t.Parallel()
	var names []string
	for _, name := range envNamesOfTheReadme {
		if secret, ok := strings.CutSuffix(name, "_FILE"); ok {
			names = append(names, secret)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(fileVariables)); !slices.Equal(names, want) {
		t.Errorf("variables of files for %v, tested %v", names, want)
	}
}
