package release_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	module = "github.com/reporadar/pgsession"
	root   = "../.."
)

// nested are the other modules that are published, each with a tag of its own.
var nested = []string{"otelsession", "adapters/ginsession", "adapters/gorillastore"}

// version is the newest one of CHANGELOG.md.
func version(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^## ([0-9.]+)`).FindSubmatch(text)
	if found == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	return "v" + string(found[1])
}

// published makes a folder that is a proxy with the modules of this checkout,
// as if they were released. The examples listen on addr.
func published(t *testing.T, addr string) string {
	t.Helper()
	proxy := t.TempDir()
	for _, dir := range append([]string{"."}, nested...) {
		name := path.Join(module, dir)
		at := filepath.Join(proxy, filepath.FromSlash(name), "@v")
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		mod, err := os.ReadFile(filepath.Join(root, dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := json.Marshal(map[string]any{
			"Version": version(t), "Time": time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC),
		})
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string][]byte{
			"list": []byte(version(t) + "\n"), version(t) + ".mod": mod,
			version(t) + ".info": info,
			version(t) + ".zip":  archive(t, dir, name+"@"+version(t), addr),
		} {
			if err := os.WriteFile(filepath.Join(at, file), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return proxy
}

// archive is what the proxy of Go makes of a tag: the files of the module
// without those of the modules in it.
func archive(t *testing.T, dir, prefix, addr string) []byte {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", "--deduplicate")
	cmd.Dir = filepath.Join(root, dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimSpace(string(out)), "\n")
	var inner []string
	for _, file := range files {
		if path.Base(file) == "go.mod" && file != "go.mod" {
			inner = append(inner, path.Dir(file)+"/")
		}
	}
	var text bytes.Buffer
	w := zip.NewWriter(&text)
	for _, file := range files {
		isInner := func(dir string) bool { return strings.HasPrefix(file, dir) }
		if slices.ContainsFunc(inner, isInner) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, dir, file))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(file, "examples/") {
			content = bytes.ReplaceAll(content, []byte(documented), []byte(addr))
		}
		f, err := w.Create(prefix + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// goEnv is the environment of a machine that has Go and the proxy, and has
// fetched nothing of ours yet. Modules of others come from the cache of this
// machine.
func goEnv(t *testing.T, proxy string) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache, others, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{
			"DATABASE_URL", "SESSION_SECRET", "APP_ENV", "NODE_ENV", "GOFLAGS", "GOPROXY",
			"GOMODCACHE", "GOBIN", "GOWORK", "GOSUMDB",
		}, name) && !strings.HasPrefix(name, "PG") {
			env = append(env, v)
		}
	}
	return append(env, fmt.Sprintf("GOPROXY=file://%s,file://%s/cache/download,%s", proxy, cache,
		others), "GOSUMDB=off", "GOFLAGS=-modcacherw -trimpath", "GOWORK=off",
		"GOMODCACHE="+t.TempDir())
}
