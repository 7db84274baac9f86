package migrate_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// result is the outcome of a run of the command.
type result struct {
	status         int
	stdout, stderr string
}

// migrate runs the built command with DATABASE_URL set, unless url is empty.
func migrate(t *testing.T, url string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (r result) want(t *testing.T, status int, stdout, stderr string) {
	t.Helper()
	if r.status != status || !matches(stdout, r.stdout) || !matches(stderr, r.stderr) {
		t.Errorf("status %d, stdout:\n%s\nstderr:\n%s\nwant %d, /%s/ and /%s/", r.status, r.stdout,
			r.stderr, status, stdout, stderr)
	}
}

// matches reads an empty pattern as no output at all.
func matches(pattern, output string) bool {
	if pattern == "" {
		return output == ""
	}
	return regexp.MustCompile(pattern).MatchString(output)
}

func TestTheCommandFromEmptyToFullAndBack(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	names := migrationNames(t)
	each := func(before, after string) string {
		var lines strings.Builder
		for i, name := range names {
			lines.WriteString(strings.ReplaceAll(before, "N", strconv.Itoa(i+1)))
			lines.WriteString(regexp.QuoteMeta(name) + after)
		}
		return lines.String()
	}
	newest := strconv.Itoa(len(names))
	type step struct {
		command string
		status  int
		stdout  string
		stderr  string
	}
	steps := []step{
		{"version", 0, `^database 0, this program \d+\n$`, ""},
		{"status", 0, `(?m)^VERSION +MIGRATION +APPLIED\n` + each("N +", ` +pending\n`) + `$`, ""},
		{"validate", 3, "", `schema pgsession is missing.*migrate@latest up`},
		{"up", 0, "^" + each("applied ", ` \([\d.]+m?s\)\n`) + "$", ""},
		{"up", 0, `^nothing to do`, ""},
		{"status", 0, each("N +", ` +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n`) + "$", ""},
		{"version", 0, "^database " + newest + ", this program " + newest + `\n$`, ""},
		{"validate", 0, `is what this version`, ""},
	}
	for i, name := range slices.Backward(names) {
		command := "down"
		if i == 0 { // all sessions go
			steps = append(steps, step{"down", 1, "", `all sessions of schema pgsession: add -yes`},
				step{"version", 0, `^database 1, `, ""})
			command = "down -yes"
		}
		steps = append(steps,
			step{command, 0, "^undone " + regexp.QuoteMeta(name) + ` \([\d.]+m?s\)\n$`, ""})
	}
	steps = append(steps,
		step{"validate", 3, "", `table sessions is missing`},
		step{"down", 0, `^nothing to do`, ""})
	for _, c := range steps {
		migrate(t, d.url, strings.Fields(c.command)...).want(t, c.status, c.stdout, c.stderr)
	}
}

func TestTheCommandsStatusForWrongUse(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	migrate(t, d.url).want(t, 2, "", `no command`)
	migrate(t, d.url, "sideways").want(t, 2, "", `unknown command "sideways"`)
	migrate(t, "", "up").want(t, 2, "", `DATABASE_URL`)
	migrate(t, d.url, "-h").want(t, 0, `Usage: migrate`, "")
	migrate(t, "postgres://me@127.0.0.1:1/shop", "up").want(t, 1, "", `127\.0\.0\.1:1`)
}

func TestTheCommandTakesFlagsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	migrate(t, "", "up", "-database-url", d.url, "-schema", "shop").want(t, 0, `applied 00001`, "")
	migrate(t, "postgres://nobody@127.0.0.1:1/x", "-database-url="+d.url, "-schema=shop",
		"version").want(t, 0, fmt.Sprintf("database %d", len(migrationNames(t))), "")
	migrate(t, d.url, "version").want(t, 0, `database 0`, "")
	migrate(t, d.url, "-schema", "shop", "validate").want(t, 0, `is what`, "")
	d.exec(t, `DROP TABLE shop.prune_state CASCADE`)
	migrate(t, d.url, "-schema", "shop", "validate").want(t, 3, "",
		`table prune_state is missing.*migrate@latest -schema shop up`)
	migrate(t, d.url, "-schema", "x;y", "up").want(t, 1, "", `schema name "x;y"`)
}

func TestTheCommandNeverPrintsThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://me:sesame@127.0.0.1:1/shop",
		"postgres://me:sesame@" + refuseEverybody(t) + "/shop?sslmode=disable",
		"postgres://me:ses%ame@127.0.0.1:1/shop",
		"host=127.0.0.1 port=x password=sesame",
	} {
		r := migrate(t, url, "up")
		r.want(t, 1, "", `migrate`)
		wantNoSecret(t, r.stdout+r.stderr, "sesame")
		wantNoSecret(t, r.stdout+r.stderr, "ses%ame")
	}
}

func TestInterruptWhileWaitingForTheLock(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	holdLock(t, d)
	r := interrupt(t, d, func() { waitForWaiter(t, d) })
	r.want(t, 1, "", `(?s)interrupted.*another migration holds the lock`)
}

func TestInterruptInTheMiddleOfAMigration(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `CREATE SCHEMA pgsession`); err != nil {
		t.Fatal(err)
	}
	const stuck = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	r := interrupt(t, d, func() { d.eventually(t, "stuck", stuck) })
	r.want(t, 1, "", `interrupted`)
	d.eventually(t, "the server stopped, too", `SELECT ((`+stuck+`) = 0)::int`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	migrate(t, d.url, "up").want(t, 0, `applied 00001_sessions\.sql`, "")
}

// interrupt runs up, sends it a SIGINT when ready returns, and returns how it
// ended.
func interrupt(t *testing.T, d *database, ready func()) result {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command(program, "-database-url", d.url, "up")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status is in the result
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
