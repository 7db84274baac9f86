package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// grammar are the words before a parenthesis that belong to the grammar of SQL,
// so search_path can't change them. substring is one only with FROM; types take
// a length or stand in a list.
var grammar = strings.Fields(`
	all and any array as at by case check coalesce columns conflict default distinct each else except exists filter for from function greatest
	grouping having if in index inner insert interval into join key lateral least limit not nullif offset on only or order over partition
	operator primary references returning returns row select set setof sets some table then to union unique update using values view when where with
	within trigger is key elsif while return loop perform and procedure routine
	numeric varchar bigint integer text bytea boolean
`)

var (
	lineComment  = regexp.MustCompile(`--[^\n]*`)
	stringInSQL  = regexp.MustCompile(`'(?:[^']|'')*'`)
	calledInSQL  = regexp.MustCompile(`[\w.:"]*[A-Za-z_]\w*\(`)
	sqlBlock     = regexp.MustCompile("(?s)\n```sql[^\n]*\n(.*?)\n```")
	alias        = regexp.MustCompile(`(?i)\bAS\s+$`)
	looksLikeSQL = regexp.MustCompile(
		`(?s)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|SET|LOCK|CALL|DO|GRANT)\s|` +
			`\bpg_catalog\.|\b(WHERE|FROM|JOIN) \w`)
)

// unqualified returns the functions in SQL without a schema.
func unqualified(sql string) (names []string) {
	sql = lineComment.ReplaceAllString(sql, "")
	sql = stringInSQL.ReplaceAllString(sql, "''")
	for _, at := range calledInSQL.FindAllStringIndex(sql, -1) {
		name := strings.ToLower(sql[at[0] : at[1]-1])
		switch {
		case strings.ContainsAny(name, `.:"`), slices.Contains(grammar, name),
			alias.MatchString(sql[:at[0]]):
		case name == "substring" && strings.Contains(outermost(sql[at[1]:]), " FROM "):
		default:
			names = append(names, name)
		}
	}
	return names
}

// outermost returns the content of the open parenthesis, without nested ones.
func outermost(sql string) string {
	var out strings.Builder
	depth := 0
	for _, c := range sql {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth == 0:
			return out.String()
		case c == ')':
			depth--
		case depth == 0:
			out.WriteRune(c)
		}
	}
	return out.String()
}

// The search_path of the caller decides which function a name without a schema
// means. TestSlowNoNameIsHijacked of integration/ops shows that an exact match
// in public wins under the default path, and any function if pg_catalog is
// last.
func TestEveryFunctionInSQLNamesItsSchema(t *testing.T) {
	files := slices.Concat(tracked(t, "db/queries/*.sql"), tracked(t, "db/migrations/*.sql"),
		tracked(t, "db/ops/*.sql"))
	if len(files) < 10 {
		t.Fatalf("only %v", files)
	}
	for _, file := range files {
		for _, name := range unqualified(read(t, file)) {
			t.Errorf("%s: %s( names no schema", file, name)
		}
	}
	blocks := 0
	for _, file := range tracked(t, "docs/*.md") {
		for _, block := range sqlBlock.FindAllStringSubmatch(read(t, file), -1) {
			blocks++
			for _, name := range unqualified(block[1]) {
				t.Errorf("%s: %s( names no schema", file, name)
			}
		}
	}
	if blocks < 10 {
		t.Errorf("only %d blocks of SQL in the documents", blocks)
	}
	statements := 0
	for _, file := range tracked(t, "*.go") {
		shipped := slices.ContainsFunc(
			[]string{
				"db/", "internal/schema/", "sessionstore/", "cmd/", "examples/", "otelsession/",
				"cache/",
			},
			func(dir string) bool { return strings.HasPrefix(file, dir) })
		if !shipped || strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(literal.Value); err == nil &&
				looksLikeSQL.MatchString(text) {
				statements++
				for _, name := range unqualified(text) {
					t.Errorf("%s: %s( names no schema in %q", file, name, text)
				}
			}
			return true
		})
	}
	if statements < 15 {
		t.Errorf("only %d statements in Go code", statements)
	}
}

func TestUnqualifiedFunctionsAreFound(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT now(), pg_catalog.now()":                                          "now",
		"SELECT count(*) FILTER (WHERE x IN (1)) FROM s AS f(a) -- max(x)":        "count",
		"SELECT substring(pg_catalog.sha256(x || y) FROM 1 FOR 16), 'now()'":      "",
		"SELECT substring(x, 1)":                                                  "substring",
		"WITH a AS (SELECT coalesce(unnest(b), nullif(c, ''))) VALUES (x::text)":  "unnest",
		"INSERT INTO pgsession.sessions (id) SELECT x OPERATOR(pg_catalog.=) (1)": "",
	} {
		if got := strings.Join(unqualified(sql), " "); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
