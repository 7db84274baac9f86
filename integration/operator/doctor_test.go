package operator_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
)

// finding is one of doctor -json.
type finding struct{ Check, State, Detail, Remedy string }

// examine runs the doctor and returns its findings that are not ok.
func examine(t *testing.T, e environment, args ...string) (found []finding) {
	t.Helper()
	r := e.run(t, append([]string{"doctor", "-json"}, args...)...)
	var out struct {
		Healthy  bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatalf("%v: status %d\n%s\n%s", err, r.status, r.stdout, r.stderr)
	}
	if (r.status == 0) != out.Healthy || r.status != 0 && r.status != 3 {
		t.Errorf("status %d, healthy %v", r.status, out.Healthy)
	}
	for _, f := range out.Findings {
		if f.State != "ok" {
			found = append(found, f)
		}
	}
	return found
}

// wantFinding checks that a finding is there, with its remedy.
func wantFinding(t *testing.T, found []finding, check, state, detail, remedy string) {
	t.Helper()
	for _, f := range found {
		if f.Check == check && f.State == state && strings.Contains(f.Detail, detail) &&
			strings.Contains(f.Remedy, remedy) {
			return
		}
	}
	t.Errorf("no finding %s, %s: %s -> %s in:\n%+v", check, state, detail, remedy, found)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	wrongs := func(found []finding) (n int) {
		for _, f := range found {
			if f.State == "wrong" && f.Check != "settings" { // a test's server may lose data
				n++
			}
		}
		return n
	}
	found := examine(t, s.env)
	if wrongs(found) > 0 {
		t.Errorf("a good installation: %+v", found)
	}
	wantFinding(t, found, "environment", "note", "SESSION_SECRET: is not set", "this command")
	wantFinding(t, found, "alarms", "note", "does not see", "pg_monitor")

	pgtest.Exec(t, admin, "REVOKE DELETE ON pgsession.sessions FROM "+s.roles.App)
	wantFinding(t, examine(t, s.env), "rights", "wrong", "lacks rights",
		"pgsession ops roles | psql \"$DATABASE_URL\" as a superuser, or GRANT DELETE ON pgsession.sessions TO ")
	pgtest.Exec(t, admin, "GRANT DELETE ON pgsession.sessions TO "+s.roles.App)

	pgtest.Exec(t, admin, "DROP INDEX pgsession.sessions_tags_idx")
	pgtest.Exec(t, admin, `INSERT INTO pgsession.marks (id, key, revoked_at)
		VALUES (substr(sha256('m'), 1, 16), sha256('k'), now() + interval '1 hour')`)
	found = examine(t, s.env)
	wantFinding(t, found, "schema", "wrong", "index sessions_tags_idx is missing",
		"pgsession migrate up")
	wantFinding(t, found, "revoke from the future", "wrong", "a revoke has the time",
		"set the clock")

	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET synchronous_commit = off")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET default_transaction_read_only = on")
	large, err := url.Parse(s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	query := large.Query()
	query.Set("pool_max_conns", "5000")
	large.RawQuery = query.Encode()
	found = examine(t, s.env, "-database-url", large.String())
	wantFinding(t, found, "settings", "wrong", "synchronous_commit is off", "set it on")
	wantFinding(t, found, "settings", "wrong", "one instance may take 5000", "pool_max_conns")
	wantFinding(t, found, "rights", "wrong", "transactions are read-only",
		"default_transaction_read_only")

	super := environment{"DATABASE_URL": pgtest.EmptyDatabase(t)}
	found = examine(t, super)
	wantFinding(t, found, "schema", "wrong", "schema pgsession is missing", "pgsession migrate up")
	wantFinding(t, found, "connection", "note", "is a superuser", "pgsession ops roles")
	found = examine(t, super, "-schema", "shop")
	wantFinding(t, found, "schema", "wrong", "schema shop is missing",
		"pgsession migrate up -schema shop")

	found = examine(t, environment{"DATABASE_URL": "postgres://me:sesame@127.0.0.1:1/x"})
	wantFinding(t, found, "connection", "wrong", "127.0.0.1:1", "DATABASE_URL")
	wantFinding(t, examine(t, environment{}), "environment", "wrong", "no database", "set it")
	s.env.run(t, "doctor").wants(t, 3, `(?m)^wrong  schema: .*\n       -> pgsession migrate up`, "")
}

func TestDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := newSite(t)
	s.env["USE_REDIS_SESSIONS"], s.env["REDIS_URL"] = "true", redis.URL
	found := examine(t, s.env)
	wantFinding(t, found, "environment", "wrong", "SESSION_ENCRYPTION_KEY", "set it")
	wantFinding(t, found, "alarms", "note", "does not see", "pg_monitor") // the rest goes on
	key := strings.Repeat("0123456789abcdef", 4)
	s.env["SESSION_ENCRYPTION_KEY"] = key
	s.env.run(t, "doctor").wants(t, 3, `(?m)^ok     redis: it takes`, "") // fsync is off
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	wantFinding(t, examine(t, s.env), "redis", "wrong", "OOM", "INFO memory")
	redis.Kill()
	wantFinding(t, examine(t, s.env), "redis", "wrong", "refused", "Postgres serves")
	s.env.run(t, "doctor").wantNoSecret(t, key, redis.URL)
}
