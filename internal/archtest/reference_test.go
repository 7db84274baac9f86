package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A page of docs/reference has a row for each thing in the code, and none for
// another.
func TestTheReferenceIsComplete(t *testing.T) {
	for page, want := range map[string][]string{
		"errors.md": exportedErrors(t),
		"events.md": eventRows(t),
		"log.md":    logLines(t),
	} {
		var got []string
		for _, cells := range rowsOf(t, "docs/reference/"+page) {
			columns := map[string]int{"errors.md": 1, "events.md": 3, "log.md": 2}[page]
			got = append(got, strings.Join(cells[:columns], " | "))
			for _, cell := range cells {
				if words := len(strings.Fields(cell)); words > maxCellWords {
					t.Errorf("%s: a cell has %d words: %s", page, words, cell)
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(want) < 8 {
			t.Errorf("%s: found only %d in the code", page, len(want))
		}
		for _, row := range slices.Compact(want) {
			if !slices.Contains(got, row) {
				t.Errorf("docs/reference/%s lacks the row of %s", page, row)
			}
		}
		for i, row := range got {
			if !slices.Contains(want, row) || i > 0 && got[i-1] == row {
				t.Errorf("docs/reference/%s has a row too many: %s", page, row)
			}
		}
	}
}

const (
	maxCellWords    = 9
	maxMessageWords = 8
)

// rowsOf returns the cells of all tables of a document, without their headings
// and without the backquotes of a cell that is one code.
func rowsOf(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	lines := strings.Split(read(t, name), "\n")
	for i, line := range lines {
		isHeading := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "| ---")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || isHeading {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
			if strings.Count(cell, "`") == 2 {
				cells[i] = strings.Trim(cells[i], "`")
			}
		}
		rows = append(rows, cells)
	}
	return rows
}

// parsed parses the files of a package, without its tests.
func parsed(t *testing.T, dir string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, name := range tracked(t, dir+"/*.go") {
		if path.Dir(name) != dir || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files
}

// exportedErrors returns the variables Err… and the types …Error of
// sessionstore, and after them those of other public packages, with the
// package's name.
func exportedErrors(t *testing.T) (names []string) {
	of := func(dir string) (names []string) {
		for _, file := range parsed(t, dir) {
			for name, object := range file.Scope.Objects {
				isError := object.Kind == ast.Var && strings.HasPrefix(name, "Err") ||
					object.Kind == ast.Typ && errorType.MatchString(name)
				if isError && ast.IsExported(name) {
					names = append(names, name)
				}
			}
		}
		return names
	}
	names = of("sessionstore")
	own := slices.Clone(names)
	dirs := map[string]bool{}
	for _, name := range tracked(t, "*.go") {
		if dir := path.Dir(name); public.MatchString(dir) {
			dirs[dir] = true
		}
	}
	for dir := range dirs {
		for _, name := range of(dir) {
			// sessionstore has most of the store's under the same name.
			if path.Base(dir) != "store" || !slices.Contains(own, name) {
				names = append(names, path.Base(dir)+"."+name)
			}
		}
	}
	return names
}

var errorType = regexp.MustCompile(`Error$|^Mismatch$`)

// public are the packages that an application may import, but for sessionstore.
var public = regexp.MustCompile(`^(sessionstore/|cache|db|legacy|adapters/|otelsession)(/|\w|$)`)

// eventRows returns "name | message | level" for each row of eventFacts.
func eventRows(t *testing.T) (rows []string) {
	for _, file := range parsed(t, "sessionstore") {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "eventFacts" {
				return true
			}
			for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
				pair := element.(*ast.KeyValueExpr)
				facts := pair.Value.(*ast.CompositeLit).Elts
				message, _ := literalText(facts[0])
				level := facts[1].(*ast.SelectorExpr).Sel.Name
				rows = append(rows, pair.Key.(*ast.Ident).Name+" | "+message+" | "+
					strings.ToUpper(strings.TrimPrefix(level, "Level")))
			}
			return false
		})
	}
	return rows
}

// logging matches the calls that write a line, and the first of its arguments
// that is the message.
var logging = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "notice": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
}

// quiet are the packages with calls of that name that are no lines of the
// library's log.
var quiet = regexp.MustCompile(`^(sessionstore/storetest|internal/(archtest|.*test)|examples|` +
	`integration|otelsession|bench|tools)(/|$)`)

// logLines returns "message | level" for each line that the library writes to a
// logger, but for those of events.
func logLines(t *testing.T) (rows []string) {
	dirs := map[string]bool{}
	for _, name := range tracked(t, "*.go") {
		if dir := path.Dir(name); !quiet.MatchString(dir) {
			dirs[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		for name, file := range parsed(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				at, ok := logging[f.Sel.Name]
				if !ok || len(call.Args) <= at {
					return true
				}
				if of, ok := f.X.(*ast.Ident); ok && of.Name == "http" {
					return true
				}
				message, ok := literalText(call.Args[at])
				if !ok { // a notice that was made elsewhere, or no line
					return true
				}
				if words := len(strings.Fields(message)); words > maxMessageWords {
					t.Errorf("%s: a message of %d words: %s", name, words, message)
				}
				level := strings.ToUpper(strings.TrimSuffix(f.Sel.Name, "Context"))
				if f.Sel.Name == "notice" {
					level = "WARN"
				}
				rows = append(rows, message+" | "+level)
				return true
			})
		}
	}
	return rows
}

// literalText returns the text of a string literal.
func literalText(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
