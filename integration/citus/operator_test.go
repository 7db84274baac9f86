package citus_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// operate runs the command pgsession as a role. It wants this exit status and
// this pattern in the output.
func (c *cluster) operate(
	t *testing.T, role string, status int, output string, args ...string,
) (stdout string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + c.roles.URL(t, role)}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run() // the status says it
	if got := cmd.ProcessState.ExitCode(); got != status ||
		!regexp.MustCompile(output).MatchString(out.String()+problems.String()) {
		t.Errorf("pgsession %s: status %d, want %d and %q:\n%s%s", strings.Join(args, " "), got,
			status, output, &out, &problems)
	}
	return out.String()
}

// operates runs each command of pgsession that reads or ends sessions.
func operates(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	app := c.roles.App
	ids := sessions(t, inner, "ada", 4)
	sessions(t, inner, "bob", 3)
	pgtest.Exec(t, c.admin, pgtest.Fill, 5)

	c.operate(t, app, 0, string(ids[1].Handle()), "sessions", "-user", "ada")
	c.operate(t, app, 0, "ada", "sessions", "-handle", string(ids[1].Handle()))
	c.operate(t, app, 0, "bob", "sessions", "-all")
	c.operate(t, app, 0, "alive +12 +counted\nexpired, not pruned yet +5\n", "stats")
	c.operate(t, app, 0, "alive +12 +counted\n", "stats", "-exact")
	var exported struct {
		Sessions []struct{ Handle store.Handle }
	}
	out := c.operate(t, app, 0, "", "export", "-user", "ada")
	if err := json.Unmarshal([]byte(out), &exported); err != nil || len(exported.Sessions) != 4 {
		t.Errorf("an export of %d sessions, want 4: %v", len(exported.Sessions), err)
	}

	c.operate(t, app, 0, "ended: 1 ", "revoke", "-handle", string(ids[0].Handle()))
	c.operate(t, app, 0, "ended: 1 ", "revoke", "-handle", string(ids[1].Handle()), "-user", "ada")
	c.operate(t, app, 0, "ended: 2 ", "revoke", "-user", "ada")
	c.operate(t, app, 0, "no live session", "sessions", "-user", "ada")

	visitor := testkit.NewID()
	if _, err := inner.Create(t.Context(), store.Draft{ID: visitor}); err != nil {
		t.Fatal(err)
	}
	c.operate(t, app, 0, "ended: 1 ", "revoke", "-handle", string(visitor.Handle()))

	pgtest.Exec(t, c.admin, `INSERT INTO pgsession.sessions
			(id, user_id, authenticated_at, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('old ' || i, 'UTF8')), 'eve', now(), now() - interval '3 days',
			now() + interval '1 hour', now() + interval '1 day' FROM generate_series(1, 6) AS i`)
	c.operate(t, app, 2, "began before .*: 6: add -yes", "revoke", "-before", "2d")
	c.operate(t, app, 0, "ended: 11, ", "revoke", "-before", "2d", "-yes")
	expect(t, "sessions of before", pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions WHERE created_at < now() - interval '2 days'"), 0)
	expect(t, "sessions of others", pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'bob'"), 3)

	c.operate(t, app, 1, "may not change events", "erase", "-user", "bob")
	pgtest.Exec(t, c.admin, `UPDATE pgsession.sessions SET expires_at = now() - interval '1 s'
		WHERE id = (SELECT id FROM pgsession.sessions WHERE user_id = 'bob' LIMIT 1)`)
	c.operate(t, c.roles.Owner, 2, "end: 2, expired ones it would delete: 1, .*: add -yes",
		"erase", "-user", "bob")
	c.operate(t, c.roles.Owner, 0, "ended: 2 .*\n.*\nexpired sessions deleted: 1\n",
		"erase", "-user", "bob", "-yes")

	c.operate(t, app, 2, "end all sessions .*: 5: add -yes", "revoke", "-all")
	c.operate(t, app, 0, "ended: 5, ", "revoke", "-all", "-yes")
	c.operate(t, app, 3, "ok +alarms", "doctor")
	expect(t, "sessions", pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions"), 0)
}

// revokesBefore ends what began before a time, and nothing younger. A new id
// keeps the time at which its session began.
func revokesBefore(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	ids := sessions(t, inner, "ada", 12)
	at := pgtest.One[time.Time](t, c.admin, "SELECT clock_timestamp()")
	younger := sessions(t, inner, "ada", 12)
	for i := range ids {
		for _, id := range []*store.ID{&ids[i], &younger[i]} {
			next := testkit.NewID()
			if _, err := inner.Rotate(t.Context(), *id, next, store.Change{}); err != nil {
				t.Fatal(err)
			}
			*id = next
		}
	}
	_, r, err := inner.Revoke(t.Context(), store.Selection{All: true, Before: at})
	if err != nil || !r.Committed || r.Count != len(ids) {
		t.Errorf("revoked %d of %d: %v", r.Count, len(ids), err)
	}
	alive, ended, err := inner.Alive(t.Context(), append(ids, younger...))
	if err != nil || len(alive) != len(younger) || len(ended) != len(ids) {
		t.Errorf("%d are alive and %d have ended: %v", len(alive), len(ended), err)
	}
}

// refusesSupport: support.sql is for one Postgres. It refuses Citus, and
// citus.sql refuses a database with the schema of support.
func refusesSupport(t *testing.T, c *cluster) {
	refused := func(file, text string) {
		t.Helper()
		sql := c.roles.Rename(pgtest.Ops(t, file))
		_, err := c.admin.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", file, err, text)
		}
	}
	refused("support.sql", "use the command `pgsession revoke`")
	const schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgsession_support'"
	expect(t, "schemas of support", pgtest.One[int](t, c.admin, schemas), 0)
	pgtest.Exec(t, c.admin, "CREATE SCHEMA pgsession_support")
	defer pgtest.Exec(t, c.admin, "DROP SCHEMA pgsession_support")
	refused("citus.sql", "DROP SCHEMA pgsession_support CASCADE")
}
