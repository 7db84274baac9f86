package operator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// Wrong input says what is right, and ends nothing.
func TestWrongInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token, handle := s.login(t, "ada")
	for _, c := range []struct {
		args   string
		status int
		stderr string
	}{
		{"", 2, `no command`},
		{"sideways", 2, `unknown command "sideways"`},
		{"-user ada revoke", 2, `the command comes first`},
		{"revoke", 2, `revoke needs one of -user, -handle, -before, -all`},
		{"revoke -user ada -all", 2, `needs one of`},
		{"revoke -user ada -before 1h", 2, `needs one of`},
		{"revoke -user ada -handle " + handle + " -all", 2, `needs one of`},
		{"revoke -all=false -yes", 2, `revoke needs one of`},
		{"revoke -all -yes=false", 2, `nothing ended: .* add -yes`},
		{"revoke -user ada -all=0 -before 1h -yes", 2, `needs one of`},
		{"sessions -all=false", 2, `sessions needs one of`},
		{"revoke -user", 2, `needs an argument: -user`},
		{"revoke -user=", 2, `-user is empty`},
		{"revoke -user " + strings.Repeat("x", 257), 2, `-user is longer than 256 bytes`},
		{"export -user a\xff", 2, `-user is not valid UTF-8`},
		{"sessions -all -limit 10001", 2, `-limit must be 1 to 10000`},
		{"revoke -handle short", 2, `a handle has 22 letters`},
		{"revoke -handle " + token, 2, `a token is none`},
		{"revoke -handle " + strings.Repeat("A", 22), 1, `no live session has the handle`},
		{"revoke ada", 2, `unexpected "ada"`},
		{"revoke -before yesterday -yes", 2, `write a time with its zone`},
		{"revoke -before 2026-13-45 -yes", 2, `write a time with its zone`},
		{"revoke -before -5h -yes", 2, `write a time with its zone`},
		{"revoke -before 9999-01-01 -yes", 2, `in the future`},
		{"revoke -before 0001-01-01 -yes", 2, `no session is as old`},
		{"revoke -limit 5 -user ada", 2, `not defined: -limit`},
		{"revoke -user ada -timeout 0", 2, `(invalid value "0"|must be a duration)`},
		{"sessions", 2, `sessions needs one of -user, -handle, -all`},
		{"sessions -user ada -limit 0", 2, `-limit must be 1 to`},
		{"sessions -user ada -yes", 2, `not defined: -yes`},
		{"stats now", 2, `unexpected "now"`},
		{"ops", 1, `use one of alarms, citus`},
		{"ops ../db", 1, `use one of alarms, citus`},
		{"ops roles alarms", 2, `unexpected "alarms"`},
		{"migrate sideways", 2, `unknown command "sideways"`},
	} {
		s.env.run(t, strings.Fields(c.args)...).wants(t, c.status, "", c.stderr)
	}
	wantUser(t, s.Manager, token, "ada")
}

// Without SESSION_SECRET everything works, and a database is needed.
func TestTheEnvironment(t *testing.T) {
	t.Parallel()
	none := environment{}
	none.run(t, "stats").wants(t, 2, "", `set DATABASE_URL`)
	none.run(t, "-h").wants(t, 0, `Usage: pgsession COMMAND`, "")
	none.run(t, "revoke", "-h").wants(t, 0, `Usage: pgsession COMMAND`, "")
	none.run(t, "ops", "roles").wants(t, 0, `CREATE ROLE pgsession_owner`, "")
	none.run(t, "ops", "roles", "-schema", "shop").wants(t, 0, `CREATE ROLE shop_owner`, "")
	none.run(t, "ops", "-schema", "shop", "roles").wants(t, 0, `CREATE ROLE shop_owner`, "")
	none.run(t, "migrate", "print", "up").wants(t, 0, `CREATE TABLE pgsession\.sessions`, "")
	r := environment{"DATABASE_URL": "postgres://me:sesame@127.0.0.1:1/shop"}.run(t, "stats")
	r.wants(t, 1, "", `127\.0\.0\.1:1`)
	r.wantNoSecret(t, "sesame")

	url := pgtest.EmptyDatabase(t)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(pgtest.Database(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := environment{"DATABASE_URL_FILE": file}
	fromFile.run(t, "stats").wants(t, 0, `(?m)^alive +0 +counted$`, "")
	fromFile.run(t, "stats", "-database-url", url).wants(t, 1, "", `migrate.* up`)
	e := environment{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/x", "SESSION_COOKIE_SAMESITE": "no",
	}
	e.run(t, "migrate", "-database-url", url, "-schema", "shop", "up").wants(t, 0, `applied`, "")
	e.run(t, "stats", "-database-url", url, "-schema", "shop").wants(t, 0,
		`(?m)^alive +0 +counted$`, "")
	e.run(t, "stats", "-database-url", url, "-schema", "shop", "-json", "-exact").wants(t, 0,
		`"active":0,"expired":0,"exact":true`, "")
	e.run(t, "stats", "-database-url", url).wants(t, 1, "", `migrate.* up`)
}

// The error of a role without a right has the GRANT.
func TestARoleWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token, _ := s.login(t, "ada")
	pgtest.Exec(t, pgtest.Pool(t, s.url), "REVOKE DELETE ON pgsession.sessions FROM "+s.roles.App)
	s.env.run(t, "revoke", "-user", "ada").wants(t, 1, "",
		`(?s)GRANT DELETE ON pgsession\.sessions`)
	wantUser(t, s.Manager, token, "ada")
	monitor := environment{"DATABASE_URL": s.roles.URL(t, s.roles.Monitor)}
	monitor.run(t, "sessions", "-user", "ada").wants(t, 1, "", `(GRANT|read-only|read only)`)
}
