package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tracked lists the matching files of the repository, with those not added yet.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", pattern)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestFilesAreShort(t *testing.T) {
	for _, name := range tracked(t, "*.go") {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/gen/") {
			continue
		}
		if lines := strings.Count(read(t, name), "\n"); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: it holds more than one noun", name, lines,
				maxLines)
		}
	}
}

func TestVariablesAreDocumented(t *testing.T) {
	variables := matches(`"((?:SESSION|COOKIE|REDIS|DATABASE|APP|NODE|USE|TRUSTED)_[A-Z_]+)"`,
		read(t, "sessionstore/env.go"))
	if len(variables) < 10 {
		t.Fatalf("found only %d variables in env.go", len(variables))
	}
	env := read(t, ".env.example") // sessionstore compares the page of the configuration
	for _, v := range variables {
		if !strings.Contains(env, v[1]) {
			t.Errorf(".env.example does not mention %s", v[1])
		}
	}
	for _, name := range []string{".env.example", ".env.reporadar.example"} {
		for _, v := range matches(`(?m)^#?([A-Z_]+)=`, read(t, name)) {
			if !strings.Contains(read(t, "sessionstore/env.go"), `"`+v[1]+`"`) {
				t.Errorf("%s has %s, which nothing reads", name, v[1])
			}
		}
	}
}

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, name := range tracked(t, "*.md") {
		for _, m := range matches("make ([a-z]+(?:/[a-z]+)?)`", read(t, name)) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s says make %s, which the Makefile does not have", name, m[1])
			}
		}
	}
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	for _, name := range tracked(t, "*.md") {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, name), ""), -1) {
			target, anchor := name, m[2]
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to #%s of %s, which has no such heading", name, anchor, target)
			}
		}
	}
}

// matches returns what a pattern and its groups match in a text.
func matches(pattern, text string) [][]string {
	return regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
}

// anchors returns the anchors that GitHub gives to the headings of a document.
func anchors(text string) (names []string) {
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, m := range matches(`(?m)^#+ (.*)$`, text) {
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[1])
		names = append(names, name)
	}
	return names
}

// A program in a document is part of an example, so that it compiles.
func TestProgramsInDocumentsAreExamples(t *testing.T) {
	var examples [][]byte
	for _, pattern := range []string{
		"**/example_*test.go", "examples/**/*.go", "integration/oidc/*.go",
	} {
		for _, name := range tracked(t, pattern) {
			examples = append(examples, squeeze(read(t, name)))
		}
	}
	for _, document := range append(tracked(t, "docs/*.md"), "README.md") {
		blocks := matches("(?s)```go[^\n]*\n(.*?)```", read(t, document))
		if len(blocks) == 0 && document == "README.md" {
			t.Fatal("the README shows no program")
		}
		for _, block := range blocks {
			if !slices.ContainsFunc(examples, func(text []byte) bool {
				return bytes.Contains(text, squeeze(block[1]))
			}) {
				t.Errorf("this program of %s is no part of an example:\n%s", document, block[1])
			}
		}
	}
}

// squeeze removes the white space that gofmt decides.
func squeeze(text string) []byte {
	return []byte(strings.Join(strings.Fields(text), " "))
}

// A row of a document whose last cell names the output of `make bench` or `make
// bench/churn` has figures from that output only.
func TestFiguresInDocumentsWerePrinted(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\|[^|\n]*\|([^|\n]*)\| ((?:RESULTS|CHURN)\.md) \|$`)
	figure := regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?`)
	figures := func(text string) []string {
		return figure.FindAllString(strings.ReplaceAll(text, ",", ""), -1)
	}
	for _, name := range tracked(t, "docs/*.md") {
		for _, m := range row.FindAllStringSubmatch(read(t, name), -1) {
			printed := figures(read(t, "bench/"+m[2]))
			for _, f := range figures(m[1]) {
				if !slices.Contains(printed, f) {
					t.Errorf("%s has %s from %s, which does not have it", name, f, m[2])
				}
			}
		}
	}
}

// A line of prose that links to a page of bench has figures of that page only,
// also where it rounds them. Figures of one or two digits are mostly settings.
func TestFiguresInProseWerePrinted(t *testing.T) {
	link := regexp.MustCompile(`\(((?:\.\./)*bench/(?:RESULTS|CHURN|NOTES)\.md)[^)]*\)`)
	code := regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")
	figure := regexp.MustCompile(`\b[0-9][0-9,]*(?:\.[0-9]+)?\b`)
	lines := 0
	for _, name := range append(tracked(t, "docs/*.md"), "README.md") {
		if strings.HasPrefix(name, "docs/adr/") {
			continue // of its day
		}
		for _, line := range strings.Split(read(t, name), "\n") {
			m := link.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			lines++
			printed := strings.ReplaceAll(read(t, filepath.Join(filepath.Dir(name), m[1])), ",", "")
			for _, f := range figure.FindAllString(code.ReplaceAllString(line, ""), -1) {
				if f = strings.ReplaceAll(f, ",", ""); len(f) > 2 &&
					!regexp.MustCompile(`\b`+regexp.QuoteMeta(f)+`\b`).MatchString(printed) {
					t.Errorf("%s has %s, which %s does not have", name, f, m[1])
				}
			}
		}
	}
	if lines < 5 {
		t.Errorf("only %d lines link to bench", lines)
	}
}

// The bound of the exposure stands in SECURITY.md, and once more where its
// setting is explained.
func TestThePromiseHasOneHome(t *testing.T) {
	bound := regexp.MustCompile(`(?i)freshness[^.|]{0,40}(grace|250 ?ms)`)
	for _, name := range tracked(t, "*.md") {
		if name != "SECURITY.md" && name != "docs/guides/caches.md" &&
			name != "docs/operations/checklist.md" && !strings.HasPrefix(name, "docs/adr/") &&
			bound.MatchString(read(t, name)) {
			t.Errorf("%s says how long a revoked session is served: link to SECURITY.md", name)
		}
	}
}

// An id such as COH-10 means something only to who has the paper.
func TestNoIdIsUndefined(t *testing.T) {
	id := regexp.MustCompile(`\b[A-Z]{3}-[0-9]{2}\b`)
	for _, pattern := range []string{"*.md", "*.go", "*.sql"} {
		for _, name := range tracked(t, pattern) {
			if found := id.FindString(read(t, name)); found != "" &&
				name != "internal/archtest/documents_test.go" {
				t.Errorf("%s has %s, which no document defines", name, found)
			}
		}
	}
}

// The table of README has the rates of the committed run, for each number of
// callers that the benchmarks load with.
func TestREADMEHasTheRatesOfTheCommittedRun(t *testing.T) {
	results := read(t, "bench/RESULTS.md")
	_, table, _ := strings.Cut(results, "## Loads by primary key, per second\n")
	rows := map[string][]string{}
	for _, line := range strings.Split(table, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		for i, cell := range cells {
			cells[i], _, _ = strings.Cut(cell, " ±")
		}
		rows[cells[0]] = cells[1:]
	}
	callers := rows["callers"]
	if len(callers) < 4 {
		t.Fatalf("RESULTS.md has loads by %q callers", callers)
	}
	readme := read(t, "README.md")
	for i, n := range callers {
		row := "| " + n + " callers"
		if n == "1" {
			row = "| 1 caller"
		}
		for _, contestant := range []string{"pgsession", "pgx", "scs_pgx", "scs_redis"} {
			row += " | " + rows[contestant][i]
		}
		if !strings.Contains(readme, row+" |\n") {
			t.Errorf("README.md has no row %q", row)
		}
	}
}

// Each decision is in the index with its title.
func TestDecisionsAreInTheirIndex(t *testing.T) {
	index := read(t, "docs/adr/README.md")
	for _, name := range tracked(t, "docs/adr/*.md") {
		file := filepath.Base(name)
		if file == "README.md" {
			continue
		}
		number := file[:4]
		heading, _, _ := strings.Cut(read(t, name), "\n")
		title, ok := strings.CutPrefix(heading, "# "+number+": ")
		row := "| [" + number + "](" + file + ") | " + title + " |"
		if !ok || !strings.Contains(index, row) {
			t.Errorf("%s begins with %q, and docs/adr/README.md has no row %q", file, heading, row)
		}
	}
}

// Prose has one sentence a line, so that a diff shows a changed sentence alone.
// Tables, code and generated text are exempt.
func TestDocumentsHaveOneSentenceALine(t *testing.T) {
	free := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`|\\]\\([^)]*\\)")
	second := regexp.MustCompile(`[^.A-Z0-9 ][.?!] [A-Z\x60]|[^ ][0-9][.?!] [A-Z\x60]`)
	for _, name := range tracked(t, "*.md") {
		if strings.HasPrefix(name, "bench/RESULTS") || strings.HasPrefix(name, "bench/CHURN") {
			continue
		}
		text := free.ReplaceAllStringFunc(read(t, name), func(s string) string {
			return strings.Repeat("\n", strings.Count(s, "\n")) + "`"
		})
		for n, line := range strings.Split(text, "\n") {
			if !strings.HasPrefix(line, "|") && second.MatchString(line) {
				t.Errorf("%s:%d has a second sentence: %s", name, n+1, line)
			}
		}
	}
}

// integration/ops runs the blocks that begin in the first column.
func TestNoBlockIsIndented(t *testing.T) {
	for _, name := range tracked(t, "docs/*.md") {
		if len(matches("(?m)^[ \t]+```", read(t, name))) > 0 {
			t.Errorf("%s has a block that no test runs: begin it in the first column", name)
		}
	}
}

// A rendered page does not show the role after the fence, so a block of another
// role than a superuser begins with it.
func TestABlockShowsItsRole(t *testing.T) {
	fence := regexp.MustCompile("(?m)^```(?:sh|sql)[^\n]* role=(\\w+)[^\n]*\n([^\n]*)$")
	shown := 0
	for _, name := range tracked(t, "docs/*.md") {
		for _, m := range fence.FindAllStringSubmatch(read(t, name), -1) {
			if m[1] == "superuser" {
				continue
			}
			shown++
			if !regexp.MustCompile(`^(--|#) as pgsession_` + m[1] + `\b`).MatchString(m[2]) {
				t.Errorf("%s has a block of role=%s that begins with %q", name, m[1], m[2])
			}
		}
	}
	if shown < 10 {
		t.Errorf("only %d blocks are of another role", shown)
	}
}

// Comments, errors and alerts name pages that exist, and addresses of the
// newest release.
func TestCodeNamesDocumentsThatExist(t *testing.T) {
	newest := matches(`(?m)^## ([0-9.]+)`, read(t, "CHANGELOG.md"))[0][1]
	for _, pattern := range []string{"*.go", "*.sql", "*.yaml", "*.json", "Makefile"} {
		for _, name := range tracked(t, pattern) {
			if name == "internal/archtest/documents_test.go" {
				continue
			}
			text := read(t, name)
			for _, m := range matches(`\b(docs/[\w/-]*\.md)\b`, text) {
				if _, err := os.Stat(filepath.Join("..", "..", m[1])); err != nil {
					t.Errorf("%s names %s, which does not exist", name, m[1])
				}
			}
			for _, m := range matches(`pgsession/blob/([\w.]+)/docs`, text) {
				if m[1] != "v"+newest {
					t.Errorf("%s has an address of %s, and the newest release is %s", name, m[1],
						newest)
				}
			}
		}
	}
}

// A longer sentence is two.
const maxWords = 40

func TestSentencesAreShort(t *testing.T) {
	free := regexp.MustCompile("(?s)```.*?```|<!--.*?-->")
	address := regexp.MustCompile(`\]\([^)]*\)`)
	for _, name := range append(tracked(t, "docs/*.md"), "README.md", "SECURITY.md",
		"CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md") {
		if strings.HasPrefix(name, "docs/adr/") {
			continue
		}
		text := free.ReplaceAllStringFunc(read(t, name), func(s string) string {
			return strings.Repeat("\n", strings.Count(s, "\n"))
		})
		for n, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "    ") {
				continue
			}
			words := len(strings.Fields(address.ReplaceAllString(line, "]")))
			if words > maxWords {
				t.Errorf("%s:%d has a sentence of %d words", name, n+1, words)
			}
		}
	}
}

// The table of CONTRIBUTING that says where to look names what exists.
func TestWhereToLookExists(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| [^|]*\| (.*\x60.*) \|$`)
	rows := row.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1)
	if len(rows) < 10 {
		t.Fatalf("found only %d rows", len(rows))
	}
	for _, row := range rows {
		for _, m := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(row[1], -1) {
			if _, err := os.Stat(filepath.Join("..", "..", m[1])); err != nil {
				t.Errorf("CONTRIBUTING.md says to look in %s, which does not exist", m[1])
			}
		}
	}
}

// Fewer pages are read, and long ones are not.
const (
	maxPages     = 25
	maxPageLines = 200
	maxREADME    = 150
)

// A page is written, but for decisions, for the reference, which is held
// against the code, and for the transcripts and measurements of design.
func TestDocumentsAreFewAndShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines > maxREADME {
		t.Errorf("README.md has %d lines, more than %d", lines, maxREADME)
	}
	var pages []string
	for _, name := range tracked(t, "docs/*.md") {
		kind, _, _ := strings.Cut(strings.TrimPrefix(name, "docs/"), "/")
		if slices.Contains([]string{"adr", "reference", "design"}, kind) {
			continue
		}
		pages = append(pages, name)
		if lines := strings.Count(read(t, name), "\n"); lines > maxPageLines {
			t.Errorf("%s has %d lines, more than %d: it has more than one purpose", name, lines,
				maxPageLines)
		}
	}
	if len(pages) > maxPages {
		t.Errorf("%d pages, more than %d: %v", len(pages), maxPages, pages)
	}
}

// Each page is two clicks from README: one to the index, one to the page.
func TestTheIndexHasEveryPage(t *testing.T) {
	if !strings.Contains(read(t, "README.md"), "](docs/README.md)") {
		t.Error("README.md does not link to docs/README.md")
	}
	index := read(t, "docs/README.md")
	for _, name := range tracked(t, "docs/*.md") {
		link := "](" + strings.TrimPrefix(name, "docs/") + ")"
		if name != "docs/README.md" && !strings.HasPrefix(name, "docs/adr/0") &&
			!strings.HasPrefix(name, "docs/adr/1") && !strings.Contains(index, link) {
			t.Errorf("docs/README.md has no link to %s", name)
		}
	}
}

// Each page of the reference is made or compared by a test, which names it.
func TestTheReferenceIsHeld(t *testing.T) {
	var tests strings.Builder
	for _, name := range tracked(t, "*_test.go") {
		tests.WriteString(read(t, name))
	}
	for _, name := range tracked(t, "docs/reference/*.md") {
		if !strings.Contains(tests.String(), filepath.Base(name)) {
			t.Errorf("no test names %s", name)
		}
	}
}
