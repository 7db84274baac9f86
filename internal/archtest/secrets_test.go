package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// random lists the files that may import crypto/rand, guessable those that may
// import math/rand.
var (
	random = []string{
		"adapters/gorillastore/token.go",
		"cache/ping.go",
		"internal/cookie/token.go",
		"internal/outage/restore.go",
		"sessionstore/secret.go",
		"sessionstore/store/login.go",
		"sessionstore/store/mark.go",
		"sessionstore/storetest/storetest.go",
	}
	guessable = []string{"sessionstore/prune.go", "cache/breaker.go"}
)

// sources parses the files of the packages that an application can import.
func sources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	fset, files := token.NewFileSet(), map[string]*ast.File{}
	for _, name := range tracked(t, "*.go") {
		top, _, _ := strings.Cut(name, "/")
		inside := slices.Contains(
			[]string{"adapters", "cache", "internal", "sessionstore", "otelsession"}, top)
		if !inside || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, read(t, name), parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return fset, files
}

func importsOf(file *ast.File) (paths []string) {
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

func TestSecretsComeFromCryptoRand(t *testing.T) {
	_, files := sources(t)
	for _, name := range random {
		if files[name] == nil || !slices.Contains(importsOf(files[name]), "crypto/rand") {
			t.Errorf("the rule that %s may import crypto/rand is not used", name)
		}
	}
	for name, file := range files {
		for _, path := range importsOf(file) {
			may := slices.ContainsFunc(guessable,
				func(s string) bool { return strings.HasPrefix(name, s) })
			if !may && (strings.HasPrefix(path, "math/rand") || strings.Contains(path, "uuid")) {
				t.Errorf("%s imports %s, which is guessable", name, path)
			}
			if path == "crypto/rand" && !slices.Contains(random, name) {
				t.Errorf("%s imports %s: %q may", name, path, random)
			}
		}
	}
}

// Comparing a MAC byte by byte reveals how much of a forgery is right. So each
// file that imports crypto/hmac compares with hmac.Equal once, and has no other
// comparison of a MAC.
func TestMACsAreComparedInConstantTime(t *testing.T) {
	fset, files := sources(t)
	equal := 0
	for _, file := range files {
		if !slices.Contains(importsOf(file), "crypto/hmac") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				x, _ := n.X.(*ast.Ident)
				if x == nil {
					break
				}
				switch name := x.Name + "." + n.Sel.Name; {
				case name == "hmac.Equal":
					equal++
				case x.Name == "bytes", x.Name == "subtle", x.Name == "reflect",
					name == "slices.Equal", name == "slices.Compare", name == "strings.Compare":
					t.Errorf("%v: %s has no place near MACs", fset.Position(n.Pos()), name)
				}
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					for _, operand := range []ast.Expr{n.X, n.Y} {
						if what := holdsMAC(operand); what != "" {
							t.Errorf("%v: %s is compared with %v", fset.Position(n.Pos()), what,
								n.Op)
						}
					}
				}
			}
			return true
		})
	}
	if equal != 1 {
		t.Errorf("%d comparisons of MACs, want 1", equal)
	}
}

// holdsMAC returns the name in an operand that may be a MAC: its own, that of
// its method, or that of its buffer.
func holdsMAC(operand ast.Expr) (what string) {
	ast.Inspect(operand, func(n ast.Node) bool {
		ident, ok := n.(*ast.Ident)
		if ok && slices.Contains([]string{"mac", "sum", "Sum", "buf", "out"}, ident.Name) {
			what = ident.Name
		}
		return true
	})
	return what
}
