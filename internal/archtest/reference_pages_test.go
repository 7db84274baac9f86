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
	"slices"
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
	"Beside it is `goose_db_version`, the list of migrations, which `migrate status` prints.\n" +
	"Only the library writes to these tables; [roles](../operations/roles.md) says who may " +
	"read them.\n" +
	"`sessions_id_idx` stands beside the primary key, also on `id`: a hash index finds a row on " +
	"fewer pages, and only a B-tree can be unique " +
	"([ADR 1521](../adr/1521-rows-are-found-by-a-hash-index.md)).\n" +
	"A test makes this page: " +
	"`go test ./internal/archtest -run TestTheSchemaPage -write-schema`.\n"

const typesOfColumns = `((?:bigint|smallint|integer|boolean|interval|timestamptz|uuid|bytea|` +
	`text|inet|json|xid8)(?:\[\])?)`

var (
	createTable = regexp.MustCompile(`(?ms)^CREATE TABLE pgsession\.(\w+) \((.*?)^\)`)
	columnOf    = regexp.MustCompile(`(?m)^    (\w+) +` + typesOfColumns + `([^\n]*)$`)
	commentOn   = regexp.MustCompile(
		`COMMENT ON (TABLE|COLUMN|VIEW|FUNCTION|PROCEDURE) pgsession\.([\w.]+)` +
			`(?:\([^)]*\))? IS\s+((?:'(?:[^']|'')*'\s*)+);`)
	literalSQL  = regexp.MustCompile(`(?s)'((?:[^']|'')*)'`)
	remarkSQL   = regexp.MustCompile(`(?m)^\s*--.*\n`)
	createIndex = regexp.MustCompile(`(?ms)^CREATE ((?:UNIQUE )?)INDEX (?:CONCURRENTLY )?` +
		`(?:IF NOT EXISTS )?(\w+)\s+ON pgsession\.(\w+)\s+(.*?);`)
	alterTable = regexp.MustCompile(`(?ms)^ALTER TABLE pgsession\.(\w+)\s+(.*?);`)
	addColumn  = regexp.MustCompile(`(?s)^ADD COLUMN (?:IF NOT EXISTS )?(\w+)\s+` +
		typesOfColumns + `\b(.*)$`)
	addConstraint = regexp.MustCompile(`(?s)^ADD CONSTRAINT (.*)$`)
)

// schemaPage returns the page of the schema that these migrations make, and
// what it can't read of them.
func schemaPage(sql string) (page string, unread []string) {
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
	columns, parts := map[string]string{}, map[string]string{}
	column := func(table string, m []string) {
		null := "null"
		if strings.Contains(m[3], "NOT NULL") || strings.Contains(m[3], "IDENTITY") {
			null = ""
		}
		columns[table] += fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], m[2], null,
			comments[table+"."+m[1]])
	}
	part := func(table, name, text string) {
		text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "pg_catalog.", "")
		parts[table] += fmt.Sprintf("- `%s`: `%s`\n", name, strings.ReplaceAll(text, "( ", "("))
	}
	constraint := func(table, text string) {
		name, what, _ := strings.Cut(strings.TrimSpace(text), " ")
		part(table, name, strings.TrimSuffix(what, ","))
	}
	sql = remarkSQL.ReplaceAllString(sql, "")
	tables := createTable.FindAllStringSubmatch(sql, -1)
	for _, table := range tables {
		for _, m := range columnOf.FindAllStringSubmatch(table[2], -1) {
			column(table[1], m)
		}
		for _, text := range strings.Split(table[2], "\n    CONSTRAINT ")[1:] {
			constraint(table[1], text)
		}
	}
	for _, m := range alterTable.FindAllStringSubmatch(sql, -1) {
		if added := addColumn.FindStringSubmatch(m[2]); added != nil {
			column(m[1], added)
		} else if added := addConstraint.FindStringSubmatch(m[2]); added != nil {
			constraint(m[1], added[1])
		} else {
			unread = append(unread, "ALTER TABLE "+m[1]+" "+m[2])
		}
	}
	for _, m := range createIndex.FindAllStringSubmatch(sql, -1) {
		part(m[3], m[2], m[1]+"INDEX "+m[4])
	}
	page = schemaText
	for _, table := range tables {
		if comments[table[1]] == "" || columns[table[1]] == "" {
			unread = append(unread, "comment or columns of table "+table[1])
		}
		page += "\n## " + table[1] + "\n\n" +
			strings.ReplaceAll(comments[table[1]], ". ", ".\n") + ".\n\n" +
			"| column | type | null | comment |\n| --- | --- | --- | --- |\n" + columns[table[1]] +
			"\n" + parts[table[1]]
	}
	return page + "\n## Views and routines\n\n| kind | name | comment |\n| --- | --- | --- |\n" +
		others, unread
}

func TestTheSchemaPage(t *testing.T) {
	sql := ""
	for _, name := range tracked(t, "db/migrations/*.sql") {
		up, _, _ := strings.Cut(read(t, name), "-- +goose Down")
		sql += up
	}
	text, unread := schemaPage(sql)
	if len(unread) > 0 {
		t.Errorf("this test can't read %q", unread)
	}
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

// An owner of the data, and a tool that reads the comments, find what is about
// a person.
func TestPersonalDataIsMarked(t *testing.T) {
	personal := regexp.MustCompile("(?m)^\\| `" +
		"(user_id|pending_user_id|ip|user_agent|last_seen_at|actor)` " +
		"\\|[^|]*\\|[^|]*\\| (.*) \\|$")
	rows := personal.FindAllStringSubmatch(read(t, "docs/reference/schema.md"), -1)
	if len(rows) < 7 {
		t.Errorf("only %d columns", len(rows))
	}
	for _, row := range rows {
		if !strings.HasPrefix(row[2], "Personal data: ") {
			t.Errorf("the comment of %s does not begin with Personal data: %s", row[1], row[2])
		}
	}
}

// What a later migration adds to a table stands with the table.
func TestTheSchemaPageHasLaterMigrations(t *testing.T) {
	page, unread := schemaPage(`CREATE TABLE pgsession.a (
    n bigint NOT NULL,

    -- A remark.
    CONSTRAINT a_pkey PRIMARY KEY (n)
);
COMMENT ON TABLE pgsession.a IS 'Letters';
ALTER TABLE pgsession.a
    ADD COLUMN later text;
COMMENT ON COLUMN pgsession.a.later IS 'Came later';
ALTER TABLE pgsession.a ADD CONSTRAINT a_later_check CHECK (
    pg_catalog.octet_length(later) < 9);
CREATE UNIQUE INDEX CONCURRENTLY a_later_idx ON pgsession.a (later);
ALTER TABLE pgsession.a DROP COLUMN n;
`)
	if want := []string{"ALTER TABLE a DROP COLUMN n"}; !slices.Equal(unread, want) {
		t.Errorf("unread: %q, want %q", unread, want)
	}
	const want = "\n## a\n\nLetters.\n\n| column | type | null | comment |\n" +
		"| --- | --- | --- | --- |\n| `n` | bigint |  |  |\n| `later` | text | null | Came later |\n\n" +
		"- `a_pkey`: `PRIMARY KEY (n)`\n- `a_later_check`: `CHECK (octet_length(later) < 9)`\n" +
		"- `a_later_idx`: `UNIQUE INDEX (later)`\n"
	if !strings.Contains(page, want) {
		t.Errorf("the page is\n%s\nwithout\n%s", page, want)
	}
}
