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
				"cache/", "adapters/", "internal/operator/",
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

// The owner of a database sets the search_path of those who connect to it, also
// of a superuser, and may put pg_catalog last. So what an administrator runs
// names the schema of each table, operator and type as well.
// TestSlowNoNameIsHijacked of integration/ops runs it under such a path.
func TestSQLForAdministratorsNamesAllSchemas(t *testing.T) {
	const alarms = "db/ops/alarms.sql"
	for _, name := range hijackable(read(t, alarms)) {
		t.Errorf("%s: %s names no schema", alarms, name)
	}
	blocks := 0
	for _, file := range tracked(t, "docs/*.md") {
		for _, block := range administratorsBlock.FindAllStringSubmatch(read(t, file), -1) {
			blocks++
			for _, name := range hijackable(block[1]) {
				t.Errorf("%s: %s names no schema", file, name)
			}
		}
	}
	if blocks < 15 {
		t.Errorf("only %d blocks for administrators in the documents", blocks)
	}
}

var (
	administratorsBlock = regexp.MustCompile(
		"(?s)\n```sql role=(?:superuser|owner|monitor)[^\n]*\n(.*?)\n```")
	qualifiedOperator = regexp.MustCompile(`OPERATOR\(pg_catalog\.[^)]+\)`)
	// noExpressions are statements and clauses without an expression.
	noExpressions = regexp.MustCompile(`(?is)\b(ALTER|CREATE|CALL|GRANT|REVOKE)\b[^;]*|` +
		`\bSET\s+\w+\s*=|\bSELECT\s+\*`)
	// Some words mean an operator that is looked up.
	operatorOf = regexp.MustCompile(
		`(?i)[-+/<>=~!@#%^&|]+|[\w)]\s+\*\s+[\w(]|\b(?:IN|USING|NULLIF)\s*\(|\b(?:I?LIKE|BETWEEN)\b`)
	// The types without a schema are those of the grammar.
	lookedUpType = regexp.MustCompile(
		`(?i)::(?:text|regclass|oid|name|jsonb|bytea|inet|uuid|timestamptz|xid8?)\b`)
	lookedUpTable = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|UPDATE|INTO)\s+(?:ONLY\s+)?(\w+)(\.?)`)
)

// hijackable returns what search_path decides in SQL, but for functions.
func hijackable(sql string) (names []string) {
	sql = lineComment.ReplaceAllString(sql, "")
	sql = stringInSQL.ReplaceAllString(sql, "''")
	sql = noExpressions.ReplaceAllString(qualifiedOperator.ReplaceAllString(sql, ""), "")
	names = append(names, lookedUpType.FindAllString(sql, -1)...)
	for _, found := range lookedUpTable.FindAllStringSubmatch(sql, -1) {
		if found[2] == "" && !strings.EqualFold(found[1], "LATERAL") {
			names = append(names, found[1])
		}
	}
	return append(names, operatorOf.FindAllString(sql, -1)...)
}

func TestHijackableNamesAreFound(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT a - b FROM pg_class":                                   "pg_class -",
		"SELECT * FROM pg_catalog.pg_class AS c WHERE oid = '1'::oid":  "::oid =",
		"SELECT 1 FROM a.b JOIN c.d USING (pid) WHERE x IN (1)":        "USING ( IN (",
		"SELECT 100.0 * x, nullif(x, 0) FROM a.b -- x = y":             "0 * x nullif(",
		"ALTER ROLE a SET b = 'c'; UPDATE a.b SET tx = '3'":            "",
		"SELECT x OPERATOR(pg_catalog.=) 'a = b', count(*) FROM a.b":   "",
		"SELECT 1::bigint FROM a.b CROSS JOIN LATERAL (SELECT 1) AS c": "",
	} {
		if got := strings.Join(hijackable(sql), " "); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
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
