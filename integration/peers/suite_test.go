package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// suite are tests of another library. They are compiled from the module cache,
// as a package of this module whose folder is empty: `go test -overlay` sees
// them. So no line of them is in the repository.
type suite struct {
	// module and dir are where the tests are.
	module, dir string
	// files are those of dir that are compiled, by a pattern.
	files []string
	// edits replace text in a file: the constructor. Each occurs once.
	edits map[string][]edit
	// constructor is a folder of testdata, whose files join the package.
	constructor string
	// env is what the tests need, as NAME=value.
	env []string

	// passed is how many tests pass, subtests included.
	passed int
	// failed are tests that fail on purpose, with the reason.
	failed map[string]string
}

type edit struct{ old, now string }

// run runs the tests and compares their results.
func (s suite) run(t *testing.T) {
	t.Helper()
	folder, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(folder, "overlay", s.constructor)
	if err := os.MkdirAll(place, 0o700); err != nil { // where the tests run
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(place) })
	overlay := map[string]string{}
	for _, file := range s.sources(t) {
		name := filepath.Base(file)
		if edits, ok := s.edits[name]; ok {
			file = edited(t, file, edits)
		}
		overlay[filepath.Join(place, name)] = file
	}
	own, err := filepath.Glob(filepath.Join(folder, "testdata", s.constructor, "*.go"))
	if err != nil || len(own) == 0 {
		t.Fatalf("no constructor: %v", err)
	}
	for _, file := range own {
		overlay[filepath.Join(place, "pgsession_"+filepath.Base(file))] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-vet=off",
		"-tags", "nomsgpack", "-overlay", list, "./overlay/"+s.constructor)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.Output()
	s.compare(t, out, err)
}

// sources returns the files of the module cache.
func (s suite) sources(t *testing.T) (files []string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		s.module).Output()
	if err != nil {
		t.Fatalf("%s: %v", s.module, err)
	}
	for _, pattern := range s.files {
		found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), s.dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s has no %s: %v", s.module, pattern, err)
		}
		files = append(files, found...)
	}
	return files
}

// edited returns a copy of a file with other text.
func edited(t *testing.T, file string, edits []edit) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		if strings.Count(string(text), e.old) != 1 {
			t.Fatalf("%s has %q not once", file, e.old)
		}
		text = []byte(strings.Replace(string(text), e.old, e.now, 1))
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// compare reads the results of go test -json.
func (s suite) compare(t *testing.T, out []byte, ran error) {
	t.Helper()
	results, log := map[string]string{}, map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch e.Action {
		case "pass", "fail", "skip":
			if e.Test != "" {
				results[e.Test] = e.Action
			}
		case "output", "build-output":
			log[e.Test] += e.Output
		}
	}
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		switch why := s.failed[name]; {
		case results[name] == "pass" && why != "":
			t.Errorf("%s passes, and was to fail: %s", name, why)
		case results[name] == "pass":
			passed++
		case results[name] == "fail" && why == "":
			t.Errorf("%s: %s\n%s", name, results[name], log[name])
		case why == "":
			t.Errorf("%s: %s", name, results[name])
		}
	}
	for name, why := range s.failed {
		if results[name] != "fail" {
			t.Errorf("%s was to fail: %s", name, why)
		}
	}
	of := fmt.Sprintf("%d of %d tests of %s pass", passed, len(results),
		filepath.Join(s.module, s.dir))
	if t.Log(of); passed != s.passed {
		t.Errorf("%s, want %d: %v\n%s", of, s.passed, ran, log[""])
	}
}
