package archtest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var writeSlow = flag.Bool("write-slow", false,
	"write docs/reference/slow-tests.md instead of comparing with it")

const slowText = `# Slow tests

` + "`make test`" + ` leaves out the tests whose name begins with TestSlow, and ` + "`make test/all`" + ` runs them.
It also runs the tests of two modules.
[bench](../../bench) measures.
[integration/telemetry](../../integration/telemetry) needs Prometheus and its 200 modules.
[ADR 1310](../adr/1310-slow-tests.md) says why a name decides.

The reasons stand in the tests.
To make this page again: ` + "`go test ./internal/archtest -run TestTheSlowTestsSayWhy -write-slow`" + `

`

// A test that make test leaves out says why, and stands in the list.
func TestTheSlowTestsSayWhy(t *testing.T) {
	of := map[string][]string{} // by directory
	for _, name := range tracked(t, "*_test.go") {
		dir := filepath.Dir(name)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", name), nil,
			parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "TestSlow") {
				continue
			}
			why := reason(f.Doc.Text())
			if why == "" {
				why = packageReason(t, dir)
			}
			if why == "" {
				t.Errorf("%s: the comment of %s says no reason after Slow:", name, f.Name.Name)
			}
			of[dir] = append(of[dir], fmt.Sprintf("- `%s`: %s\n", f.Name.Name, why))
		}
	}
	text := slowText
	for _, dir := range slices.Sorted(maps.Keys(of)) {
		slices.Sort(of[dir])
		text += "## " + dir + "\n\n" + strings.Join(of[dir], "") + "\n"
	}
	text = strings.TrimSuffix(text, "\n")
	const name = "docs/reference/slow-tests.md"
	if *writeSlow {
		if err := os.WriteFile(filepath.Join("..", "..", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != text {
		t.Errorf("%s is not the list of the slow tests: make it again with -write-slow", name)
	}
}

var slowParagraph = regexp.MustCompile(`(?ms)^Slow: (.*?)(?:\n\n|\z)`)

// reason returns what a comment says after "Slow:", in one line.
func reason(comment string) string {
	found := slowParagraph.FindStringSubmatch(comment)
	if found == nil {
		return ""
	}
	return strings.Join(strings.Fields(found[1]), " ")
}

// packageReason is that of all tests of a package.
func packageReason(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range tracked(t, dir+"/*_test.go") {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", name), nil,
			parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if why := reason(file.Doc.Text()); why != "" {
			return why
		}
	}
	return ""
}
