package sessionstore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// withoutVariable are the settings that have faults and no variable.
var withoutVariable = map[string]bool{
	"Cookie.Path": true, "Cookie.Insecure": true,
	"Limits.MaxDataSize": true, "StoreTimeout": true, "Cache.LocalBytes": true, "Bearer": true,
}

// A fault of a setting that came from the environment names its variable.
func TestEachFaultNamesItsVariable(t *testing.T) {
	t.Parallel()
	reported := map[string]bool{}
	for _, name := range faultNames(t) {
		reported[name] = true
		if _, ok := envNames[name]; ok == withoutVariable[name] {
			t.Errorf("check reports a fault of %s: "+
				"list it either in envNames or, without a variable, in withoutVariable", name)
		}
	}
	for name := range envNames {
		if !reported[name] {
			t.Errorf("envNames lists %s, of which check reports no fault", name)
		}
	}
	for name := range withoutVariable {
		if !reported[name] {
			t.Errorf("withoutVariable lists %s, of which check reports no fault", name)
		}
	}
}

// faultNames returns the names in calls of fault, from the source: a test that
// makes each fault would miss a new one.
func faultNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if called, ok := call.Fun.(*ast.Ident); !ok || called.Name != "fault" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a fault's name is no literal", file)
				return true
			}
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
			return true
		})
	}
	if len(names) < 30 {
		t.Fatalf("only %d faults found", len(names))
	}
	return names
}
