package archtest

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is a package in the output of `go list`.
type pkg struct {
	ImportPath, Dir, Doc        string
	Standard                    bool
	GoFiles, TestGoFiles        []string
	XTestGoFiles, Imports, Deps []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// list runs go list in the root of the module.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	return listIn(t, ".", args...)
}

// listIn runs go list in a folder.
func listIn(t *testing.T, dir string, args ...string) (pkgs []pkg) {
	t.Helper()
	const fields = "ImportPath,Dir,Doc,Standard,GoFiles,TestGoFiles,XTestGoFiles,Imports,Deps"
	cmd := exec.Command("go", append([]string{"list", "-json=" + fields}, args...)...)
	cmd.Dir = filepath.Join("..", "..", dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func allowed(rules []string, path string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		prefix, below := strings.CutSuffix(rule, "/...")
		return path == prefix || below && strings.HasPrefix(path, prefix+"/")
	})
}

func thirdParty(path string) bool { return strings.Contains(strings.Split(path, "/")[0], ".") }

func TestPackagesImportWhatTheyMay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range append(list(t, "./..."), listIn(t, demo, "./...")...) {
		seen[p.name()] = true
		rules, ruled := imports[p.name()]
		if !ruled {
			t.Errorf("package %s has no rule: say in rules_test.go what it may import", p.name())
			continue
		}
		used := map[string]bool{}
		for _, path := range p.Imports {
			if thirdParty(path) && !allowed(rules, path) {
				t.Errorf("%s must not import %s", p.name(), path)
			}
			for _, rule := range rules {
				used[rule] = used[rule] || allowed([]string{rule}, path)
			}
		}
		for _, rule := range rules {
			if !used[rule] {
				t.Errorf("the rule that %s may import %s is not used", p.name(), rule)
			}
		}
		if p.Doc == "" && p.name() != "internal/gen" {
			t.Errorf("package %s has no doc comment", p.name())
		}
	}
	for name := range imports {
		if !seen[name] {
			t.Errorf("there is a rule for %s, and no such package", name)
		}
	}
}

func TestPackagesDoNotDependOnWhatTheyMustNot(t *testing.T) {
	for name, forbidden := range never {
		deps := listIn(t, name, ".")[0].Deps
		for _, path := range forbidden {
			if slices.Contains(deps, path) {
				t.Errorf("%s depends on %s", name, path)
			}
			if len(list(t, path)) == 0 {
				t.Errorf("a rule names %s, which does not exist", path)
			}
		}
	}
}

func TestExamplesCanBeCopied(t *testing.T) {
	found := 0
	for _, p := range list(t, "./...") {
		for _, file := range p.XTestGoFiles {
			if !strings.HasPrefix(file, "example_") {
				continue
			}
			found++
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil,
				parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				if strings.Contains(path, "internal") || strings.HasSuffix(path, "/storetest") {
					t.Errorf("%s/%s imports %s: no application could copy it", p.name(), file, path)
				}
			}
		}
		for _, file := range p.TestGoFiles {
			if strings.HasPrefix(file, "example_") {
				t.Errorf("%s/%s is an example inside its package: make it %s_test", p.name(), file,
					filepath.Base(p.name()))
			}
		}
	}
	if found == 0 {
		t.Error("there is no example")
	}
}
