package ops_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

// block is a fenced block of a document:
//
//	```sql role=app
//	```sh role=superuser needs=pg_cron
type block struct {
	line        int
	language    string
	role, needs string
	text        string
	unknown     string // the first word of its first line that the test can't read
	closed      bool
}

var attribute = regexp.MustCompile(`^(role|needs)=(\w+)$`)

// made is a part of a document that a test makes and compares, which the
// comments around it name.
var made = regexp.MustCompile(`(?s)<!-- (Test\w+) -->.*?<!-- end of (Test\w+) -->`)

func blocks(text string) []block {
	text = made.ReplaceAllStringFunc(text, func(part string) string {
		return strings.Repeat("\n", strings.Count(part, "\n"))
	})
	var all []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		fence, ok := strings.CutPrefix(line, "```")
		switch {
		case !ok && open != nil:
			open.text += line + "\n"
		case ok && open != nil:
			open.closed = true
			all = append(all, *open)
			open = nil
		case ok:
			words := strings.Fields(fence)
			open = &block{line: i + 1}
			for n, word := range words {
				found := attribute.FindStringSubmatch(word)
				switch {
				case n == 0:
					open.language = word
				case found == nil:
					open.unknown = word
				case found[1] == "role":
					open.role = found[2]
				default:
					open.needs = found[2]
				}
			}
		}
	}
	if open != nil {
		all = append(all, *open)
	}
	return all
}

// Every command in docs runs, in order, on a database that is empty at first,
// as the role that its block names, in an empty folder with the programs
// migrate and pgsession at hand. A page whose first block does not migrate
// begins with the schema and the roles.
//
// Slow: each document has a server of its own.
func TestSlowEveryBlockOfTheDocumentsRuns(t *testing.T) {
	// The roles have the names in the documents, so the server is one of its
	// own.
	t.Setenv("DATABASE_URL", "")
	docs := filepath.Join("..", "..", "docs")
	var files []string
	for _, pattern := range []string{"*.md", "*/*.md"} {
		found, err := filepath.Glob(filepath.Join(docs, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatalf("only %d documents", len(files))
	}
	bin := programs(t)
	for _, file := range files {
		switch filepath.Base(file) {
		case "outages.md":
			continue // integration/webapp makes it, and compares it at every run
		case "getting-started.md":
			continue // integration/release follows it
		}
		name := strings.TrimPrefix(file, docs+string(filepath.Separator))
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found := slices.DeleteFunc(blocks(string(text)), func(b block) bool {
				// internal/archtest finds programs among the examples.
				return b.language == "go" || b.language == "mermaid"
			})
			if len(found) == 0 {
				t.Skip("it holds no command")
			}
			if !strings.Contains(found[0].text, "migrate up") {
				found = slices.Insert(found, 0, installation)
			}
			r := newReader(t, bin)
			if sql, ok := had[filepath.Base(file)]; ok {
				pgtest.Exec(t, r.admin, sql)
			}
			for _, b := range found {
				if !t.Run(strings.TrimSpace(b.language+" in line "+strconv.Itoa(b.line)),
					func(t *testing.T) { r.run(t, b) }) {
					t.Fatal("what follows is not tried")
				}
			}
		})
	}
}

// installation is what docs/operations/pruning.md begins with.
var installation = block{
	language: "sh", role: "superuser", closed: true,
	text: "migrate up\n" +
		"migrate ops roles | psql \"$DATABASE_URL\" -X -v ON_ERROR_STOP=1\n",
}

// TestSlowBackupAsTheRoleThatDeploys follows backup.md as the role that
// deploying.md makes: the schema and the roles are its own.
//
// Slow: it has a server of its own.
func TestSlowBackupAsTheRoleThatDeploys(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", "backup.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t, programs(t))
	pgtest.Exec(t, r.admin, "CREATE ROLE deployer LOGIN CREATEROLE PASSWORD '"+r.secret+"'")
	pgtest.Exec(t, r.admin, "GRANT CREATE ON DATABASE "+
		pgtest.One[string](t, r.admin, "SELECT quote_ident(current_database())")+" TO deployer")
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	u.User = url.UserPassword("deployer", r.secret)
	r.url = u.String()
	for _, b := range blocks(string(text)) {
		if !t.Run(b.language+" in line "+strconv.Itoa(b.line),
			func(t *testing.T) { r.run(t, b) }) {
			t.Fatal("what follows is not tried")
		}
	}
}

// programs builds migrate and pgsession, and returns their folder.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "-C", "../..", "build", "-o", bin,
		"./cmd/migrate", "./cmd/pgsession")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// had is what the readers of a page have in their databases.
var had = map[string]string{
	"moving-express.md": `
		CREATE TABLE public.session (
			sid varchar NOT NULL PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)`,
}

// reader follows a document to the letter.
type reader struct {
	url    string // for a superuser
	admin  *pgxpool.Pool
	cron   bool
	secret string
	path   string
	folder string // an empty one: nothing of the repository is at hand
}

func newReader(t *testing.T, bin string) *reader {
	t.Helper()
	server, err := servers.Cron(t.Context(), servers.Options{Logf: t.Logf})
	cron := err == nil
	if errors.Is(err, servers.ErrAbsent) {
		server, err = servers.Postgres(t.Context(), servers.Options{Logf: t.Logf})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	admin := pgtest.Pool(t, server.URL, func(c *pgxpool.Config) {
		delete(c.ConnConfig.RuntimeParams, "search_path")
	})
	programs := pgtest.One[string](t, admin, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
	return &reader{
		server.URL, admin, cron, strings.ToLower(rand.Text()),
		bin + ":" + os.Getenv("PATH") + ":" + programs, t.TempDir(),
	}
}

func (r *reader) run(t *testing.T, b block) {
	if b.unknown != "" || !b.closed || b.needs != "" && b.needs != "pg_cron" {
		t.Fatalf("the block can't be understood: %+v", b)
	}
	if b.needs == "pg_cron" && !r.cron {
		t.Skip("there is no pg_cron here")
	}
	switch b.language {
	case "sql":
		pool := pgtest.Pool(t, r.as(t, b.role), func(c *pgxpool.Config) {
			delete(c.ConnConfig.RuntimeParams, "search_path")
			if b.role == "owner" {
				c.ConnConfig.RuntimeParams["role"] = "pgsession_owner"
			}
		})
		for _, statement := range statements(b.text) {
			if err := run(t.Context(), pool, statement); err != nil {
				t.Errorf("%s\n%v", statement, err)
			}
		}
	case "sh":
		if b.role == "owner" {
			t.Fatal("the owner is a role without login: a shell has to SET ROLE itself")
		}
		ctx, stop := context.WithTimeout(t.Context(), testkit.Patience)
		defer stop()
		cmd := exec.CommandContext(ctx, "sh", "-euc", b.text)
		cmd.Dir = r.folder
		for _, variable := range os.Environ() {
			if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable,
				"DATABASE_URL=") && !strings.HasPrefix(variable, "PATH=") {
				cmd.Env = append(cmd.Env, variable)
			}
		}
		cmd.Env = append(cmd.Env, "DATABASE_URL="+r.as(t, b.role), "PATH="+r.path)
		if strings.Contains(b.text, "psql ") &&
			exec.CommandContext(ctx, "sh", "-c", "PATH="+r.path+" command -v psql").Run() != nil {
			t.Skip("there is no psql here")
		}
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s%v\n%s", b.text, err, output)
		}
	default:
		t.Errorf("a block in %q can't be tried: use sql or sh, or no block", b.language)
	}
}

// as returns the database's URL for a role.
func (r *reader) as(t *testing.T, role string) string {
	t.Helper()
	switch role {
	case "superuser", "owner":
		return r.url
	case "app", "pruner", "monitor", "support", "auditor":
		name := "pgsession_" + role
		pgtest.Exec(t, r.admin, "ALTER ROLE "+name+" PASSWORD '"+r.secret+"'")
		u, err := url.Parse(r.url)
		if err != nil {
			t.Fatal("the server's URL is not valid")
		}
		u.User = url.UserPassword(name, r.secret)
		return u.String()
	}
	t.Fatalf("the block does not say as whom it runs: role=%q", role)
	return ""
}

// statements splits SQL where a line ends with a semicolon, as psql does.
func statements(sql string) []string {
	var all []string
	for _, statement := range regexp.MustCompile(`;\n`).Split(sql, -1) {
		if statement = strings.TrimSpace(statement); statement != "" {
			all = append(all, statement)
		}
	}
	return all
}
