package coherence

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// The decisions use no clock, network, goroutine or randomness. So production,
// the search and the simulation run the same code.
func TestPurity(t *testing.T) {
	fromTime := map[string]bool{
		"Duration": true, "Time": true, "Nanosecond": true, "Microsecond": true,
		"Millisecond": true, "Second": true, "Minute": true, "Hour": true,
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var read int
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		read++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if i.Path.Value != `"time"` || i.Name != nil {
				t.Errorf("%s restores %s", set.Position(i.Pos()), i.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: a goroutine or a channel", set.Position(n.Pos()))
			case *ast.GenDecl:
				if n.Tok == token.VAR && packageLevel(f, n) {
					t.Errorf("%s: a variable of the package is state", set.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && !fromTime[n.Sel.Name] {
					t.Errorf("%s: time.%s", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
	if read == 0 {
		t.Error("no files were read")
	}
}

func packageLevel(f *ast.File, d *ast.GenDecl) bool {
	for _, x := range f.Decls {
		if x == ast.Decl(d) {
			return true
		}
	}
	return false
}
