package archtest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var writeStatements = flag.Bool("write-statements", false,
	"write statements.json of clients/express instead of comparing with it")

// sharedStatement is a statement of the library as the store for
// express-session has it. Params names $1 and those after it.
type sharedStatement struct {
	Text   string   `json:"text"`
	Params []string `json:"params"`
}

// Go and Node run the same statements, so a change of one reaches both. The
// file names those that Node uses.
func TestExpressRunsTheStatementsOfTheLibrary(t *testing.T) {
	const name = "clients/express/lib/statements.json"
	ours := sharedStatements(t)
	var theirs map[string]sharedStatement
	if err := json.Unmarshal([]byte(read(t, name)), &theirs); err != nil || len(theirs) == 0 {
		t.Fatalf("%s: %d statements, %v", name, len(theirs), err)
	}
	for of := range theirs {
		if _, ok := ours[of]; !ok {
			t.Errorf("%s has %s, which db/queries does not", name, of)
		}
		theirs[of] = ours[of]
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(theirs); err != nil {
		t.Fatal(err)
	}
	if *writeStatements && !t.Failed() {
		path := filepath.Join("..", "..", filepath.FromSlash(name))
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != text.String() {
		t.Errorf("%s does not have the statements of db/queries: make it again with"+
			" `make generate`", name)
	}
	source := ""
	for _, name := range tracked(t, "clients/express/lib/*.js") {
		source += read(t, name)
	}
	for of := range theirs {
		if !strings.Contains(source, "'"+of+"'") {
			t.Errorf("%s has %s, which no code uses", name, of)
		}
	}
}

// sharedStatements returns the text of each statement, as sqlc has numbered its
// parameters, with their names, as db/queries has them.
func sharedStatements(t *testing.T) map[string]sharedStatement {
	t.Helper()
	head := regexp.MustCompile(`(?m)^-- name: (\w+) :\w+$`)
	comment := regexp.MustCompile(`(?m)^\s*--.*$`)
	param := regexp.MustCompile(`sqlc\.n?arg\((\w+)\)|@(\w+)`)
	argument := regexp.MustCompile(`\b(?:arg\.)?(\w+)`)

	params := map[string][]string{}
	for _, name := range tracked(t, "db/queries/*.sql") {
		text := read(t, name)
		found := head.FindAllStringSubmatchIndex(text, -1)
		for i, at := range found {
			end := len(text)
			if i+1 < len(found) {
				end = found[i+1][0]
			}
			query := text[at[2]:at[3]]
			body := comment.ReplaceAllString(text[at[1]:end], "")
			for _, m := range param.FindAllStringSubmatch(body, -1) {
				if of := m[1] + m[2]; !slices.Contains(params[query], of) {
					params[query] = append(params[query], of)
				}
			}
		}
	}

	found := map[string]sharedStatement{}
	for _, name := range tracked(t, "internal/gen/*.sql.go") {
		text := read(t, name)
		for _, m := range matches("(?s)const (\\w+) = `-- name: (\\w+) :\\w+\n(.*?)`", text) {
			s := sharedStatement{Text: strings.TrimSpace(m[3]), Params: []string{}}
			// sqlc numbers parameters in an order of its own.
			call := regexp.MustCompile(`(?s)\bdb\.\w+\(ctx, ` + m[1] + `\b,?(.*?)\)\n`)
			for _, a := range argument.FindAllStringSubmatch(call.FindStringSubmatch(text)[1], -1) {
				arg := a[1]
				i := slices.IndexFunc(params[m[2]], func(of string) bool {
					return strings.EqualFold(strings.ReplaceAll(of, "_", ""), arg)
				})
				if i < 0 {
					t.Fatalf("%s has an argument %s and the parameters %q", m[2], arg, params[m[2]])
				}
				s.Params = append(s.Params, params[m[2]][i])
			}
			if len(s.Params) != len(params[m[2]]) {
				t.Fatalf("%s has the arguments %q and the parameters %q", m[2], s.Params,
					params[m[2]])
			}
			found[m[2]] = s
		}
	}
	return found
}
