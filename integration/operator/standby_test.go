package operator_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// An operator may look on a standby, which says that it may lag. What ends
// sessions names the primary.
func TestCommandsOnAStandby(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, map[string]string{"wal_level": "replica"})
	s := siteOn(t, cluster.URL, pgtest.NewRolesOn(t, cluster.URL))
	_, handle := s.login(t, "ada")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A server that has this file replays what there is, and takes no writes.
	admin := cluster.Pool()
	pgtest.Exec(t, admin, "CHECKPOINT")
	pgtest.Exec(t, admin, "CREATE TABLE public.later ()") // to be replayed
	signal := filepath.Join(pgtest.One[string](t, admin, "SHOW data_directory"), "standby.signal")
	pgtest.Exec(t, admin, "COPY (SELECT 1 WHERE false) TO '"+signal+"'")
	admin.Close()
	cluster.Stop()
	cluster.Restart()

	const lags = `^the server is a standby: it may lack the latest changes, the newest that it` +
		` has is of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n$`
	s.env.run(t, "sessions", "-user", "ada").wants(t, 0, `\n`+handle+` +ada `, lags)
	s.env.run(t, "sessions", "-handle", handle).wants(t, 0, `\n`+handle+` +ada `, lags)
	s.env.run(t, "sessions", "-all").wants(t, 0, `\n`+handle+` +ada `, lags)
	s.env.run(t, "stats").wants(t, 0, `^alive +1 `, lags)
	s.env.run(t, "stats", "-exact").wants(t, 0, `^alive +1 `, lags)
	s.env.run(t, "export", "-user", "ada").wants(t, 0, handle, lags)
	for _, command := range []string{"sessions -all", "stats", "export -user ada"} {
		r := s.env.run(t, append(strings.Fields(command), "-json")...)
		r.wants(t, 0, `.`, "")
		var out struct {
			Sessions []struct {
				ReadAt time.Time `json:"read_at"`
			}
			Standby struct {
				ReplayedAt time.Time `json:"replayed_at"`
			}
		}
		if err := json.Unmarshal([]byte(r.stdout), &out); err != nil ||
			time.Since(out.Standby.ReplayedAt).Abs() > time.Hour {
			t.Errorf("%s: %v: %s", command, err, r.stdout)
		}
		for _, listed := range out.Sessions {
			if strings.HasPrefix(command, "sessions") && time.Since(listed.ReadAt) > time.Hour {
				t.Errorf("%s: read at %v", command, listed.ReadAt)
			}
		}
	}
	for _, command := range []string{
		"revoke -user ada", "revoke -handle " + handle, "revoke -all -yes",
		"revoke -before 1s -yes", "erase -user ada -yes",
	} {
		s.env.run(t, strings.Fields(command)...).wants(t, 1, "",
			`the server is a standby: list all hosts in DATABASE_URL, with target_session_attrs=read-write`)
	}

	found := examine(t, s.env)
	wantFinding(t, found, "standby", "note", "the server is a standby: it may lack the latest",
		"for an application list all hosts in DATABASE_URL")
	for _, f := range found {
		if f.State == "wrong" && f.Check != "settings" { // a test's server may lose data
			t.Errorf("on a standby: %+v", f)
		}
	}
}

// A command that only reads needs no right to write, and no rows are hidden
// from it.
func TestCommandsThatOnlyRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, handle := s.login(t, "ada")
	admin := pgtest.Pool(t, s.url)
	pgtest.Exec(t, admin, "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgsession FROM "+
		s.roles.App)
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET default_transaction_read_only = on")
	s.env.run(t, "sessions", "-user", "ada").wants(t, 0, `\n`+handle+` +ada `, "")
	s.env.run(t, "stats").wants(t, 0, `^alive +1 `, "")
	s.env.run(t, "export", "-user", "ada").wants(t, 0, handle, "")
	r := s.env.run(t, "stats", "-json")
	if r.wants(t, 0, `.`, ""); strings.Contains(r.stdout, "standby") {
		t.Errorf("a primary is called a standby: %s", r.stdout)
	}
	s.env.run(t, "revoke", "-user", "ada").wants(t, 1, "", `transactions are read-only`)
	pgtest.Exec(t, admin, "ALTER TABLE pgsession.sessions ENABLE ROW LEVEL SECURITY")
	for _, command := range []string{"sessions -all", "stats", "export -user ada"} {
		s.env.run(t, strings.Fields(command)...).wants(t, 1, "", `row-level security can hide rows`)
	}
}
