package archtest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var writeSchema = flag.Bool("write-schema", false,
	"write docs/reference/schema.md instead of comparing with it")

// Each row of the limits ends with a constant, and has its value.
func TestTheLimitsAreThoseOfTheCode(t *testing.T) {
	rows := rowsOf(t, "docs/reference/limits.md")
	if len(rows) < 15 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		dot := strings.LastIndex(row[2], ".")
		value := evaluate(t, row[2][:dot], row[2][dot+1:])
		if value.Kind() != constant.Int {
			t.Errorf("%s is no number: %v", row[2], value)
			continue
		}
		n, _ := constant.Int64Val(value)
		if !writes(row[1], n) {
			t.Errorf("%q of limits.md is %s, which is %d", row[1], row[2], n)
		}
	}
}

// writes reports whether a text begins with a number in one of its units.
func writes(text string, n int64) bool {
	text = strings.ReplaceAll(text, ",", "")
	for unit, names := range map[int64][]string{
		1: {"", " bytes", " levels"}, 1 << 10: {" KiB"}, 1 << 20: {" MiB"},
		int64(time.Millisecond): {" ms"}, int64(time.Second): {" seconds"},
		int64(time.Minute): {" minutes"}, int64(24 * time.Hour): {" days"},
	} {
		for _, name := range names {
			if want := fmt.Sprint(n/unit) + name; n%unit == 0 &&
				(text == want || strings.HasPrefix(text, want+" ")) {
				return true
			}
		}
	}
	return false
}

// evaluate returns the value of a constant of a package.
func evaluate(t *testing.T, dir, name string) constant.Value {
	t.Helper()
	for _, file := range parsed(t, dir) {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.CONST {
				continue
			}
			for _, spec := range general.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, of := range spec.Names {
					if of.Name == name && i < len(spec.Values) {
						return valueOf(t, dir, spec.Values[i])
					}
				}
			}
		}
	}
	t.Fatalf("%s has no constant %s", dir, name)
	return nil
}

func valueOf(t *testing.T, dir string, e ast.Expr) constant.Value {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.Ident:
		return evaluate(t, dir, e.Name)
	case *ast.SelectorExpr:
		units := map[string]time.Duration{
			"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute,
			"Hour": time.Hour,
		}
		if d, ok := units[e.Sel.Name]; ok {
			return constant.MakeInt64(int64(d))
		}
	case *ast.BinaryExpr:
		x, y := valueOf(t, dir, e.X), valueOf(t, dir, e.Y)
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	t.Fatalf("an expression that this test can't read: %T", e)
	return nil
}

const schemaText = "# Schema\n\n" +
	"What the migrations make, by their comments; `\\d+` of psql shows the same.\n" +
	"Only the library writes to these tables; [roles](../operations/roles.md) says who may " +
	"read them.\n" +
	"A test makes this page: " +
	"`go test ./internal/archtest -run TestTheSchemaPage -write-schema`.\n"

var (
	createTable = regexp.MustCompile(`(?ms)^CREATE TABLE pgsession\.(\w+) \((.*?)^\)`)
	columnOf    = regexp.MustCompile(
		`(?m)^    (\w+) +((?:bigint|smallint|integer|boolean|interval|timestamptz|uuid|bytea|` +
			`text|inet|json|xid8)(?:\[\])?)([^\n]*)$`)
	commentOn = regexp.MustCompile(
		`COMMENT ON (TABLE|COLUMN|VIEW|FUNCTION|PROCEDURE) pgsession\.([\w.]+)` +
			`(?:\([^)]*\))? IS\s+((?:'(?:[^']|'')*'\s*)+);`)
	literalSQL = regexp.MustCompile(`(?s)'((?:[^']|'')*)'`)
)

func TestTheSchemaPage(t *testing.T) {
	sql := ""
	for _, name := range tracked(t, "db/migrations/*.sql") {
		up, _, _ := strings.Cut(read(t, name), "-- +goose Down")
		sql += up
	}
	comments, others := map[string]string{}, ""
	for _, m := range commentOn.FindAllStringSubmatch(sql, -1) {
		text := ""
		for _, part := range literalSQL.FindAllStringSubmatch(m[3], -1) {
			text += strings.ReplaceAll(part[1], "''", "'")
		}
		comments[m[2]] = text
		if kind := strings.ToLower(m[1]); kind != "table" && kind != "column" {
			others += fmt.Sprintf("| %s | `%s` | %s |\n", kind, m[2], text)
		}
	}
	text := schemaText
	for _, table := range createTable.FindAllStringSubmatch(sql, -1) {
		if comments[table[1]] == "" {
			t.Errorf("table %s has no comment", table[1])
		}
		text += "\n## " + table[1] + "\n\n" +
			strings.ReplaceAll(comments[table[1]], ". ", ".\n") + ".\n\n" +
			"| column | type | null | comment |\n| --- | --- | --- | --- |\n"
		columns := columnOf.FindAllStringSubmatch(table[2], -1)
		if len(columns) == 0 {
			t.Errorf("table %s has no columns", table[1])
		}
		for _, column := range columns {
			null := "null"
			if strings.Contains(column[3], "NOT NULL") || strings.Contains(column[3], "IDENTITY") {
				null = ""
			}
			text += fmt.Sprintf("| `%s` | %s | %s | %s |\n", column[1], column[2], null,
				comments[table[1]+"."+column[1]])
		}
	}
	text += "\n## Views and routines\n\n| kind | name | comment |\n| --- | --- | --- |\n" + others
	const name = "docs/reference/schema.md"
	if *writeSchema {
		if err := os.WriteFile(filepath.Join("..", "..", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != text {
		t.Errorf("%s is not of the migrations: make it again with -write-schema", name)
	}
}
