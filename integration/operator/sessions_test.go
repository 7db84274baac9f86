package operator_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// The handles are those of the list of devices, and nothing logs a user in.
func TestSessionsOfAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token, first := s.login(t, "ada")
	_, second := s.login(t, "ada")
	_, eves := s.login(t, "eve")

	r := s.env.run(t, "sessions", "-user", "ada")
	r.wants(t, 0, `(?s)^HANDLE .*LEVEL.*\n`+second+` +ada +Unknown device .*\n`+first+` +ada`, "")
	r.wantNoSecret(t, token)
	if strings.Contains(r.stdout, eves) {
		t.Errorf("it has a session of another user:\n%s", r.stdout)
	}
	r = s.env.run(t, "sessions", "-all", "-limit", "2")
	r.wants(t, 0, `(?s)^HANDLE .*\n`+eves+` +eve .*\n`+second, `there are more: -limit 20`)
	s.env.run(t, "sessions", "-handle", first).
		wants(t, 0, `(?s)^HANDLE.*\n`+first+` +ada [^\n]*\n$`, "")

	var list struct {
		Sessions []struct {
			Handle, UserID, Device string
			ExpiresAt              time.Time `json:"expires_at"`
		}
		More bool
	}
	r = s.env.run(t, "sessions", "-user", "ada", "-limit", "1", "-json")
	r.wants(t, 0, `"user_id":"ada"`, "")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list.Sessions) != 1 ||
		!list.More || list.Sessions[0].Handle != second ||
		!list.Sessions[0].ExpiresAt.After(time.Now()) {
		t.Errorf("%v: %s", err, r.stdout)
	}
	s.env.run(t, "sessions", "-user", "nobody").wants(t, 0, `^no live session\n$`, "")
	s.env.run(t, "sessions", "-user", "nobody", "-json").wants(t, 0,
		regexp.QuoteMeta(`{"sessions":[],"more":false}`), "")
}

// A visitor's session has a handle too, and so has a pending login.
func TestSessionsWithoutAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	pgtest.Exec(t, admin, `INSERT INTO pgsession.sessions
		(id, expires_at, absolute_expires_at, pending_user_id, pending_since)
		VALUES (sha256('v'), now() + interval '1 h', now() + interval '1 h', NULL, NULL),
			(sha256('p'), now() + interval '1 h', now() + interval '1 h', 'ada', now())`)
	handles := regexp.MustCompile(`(?m)^[\w-]{22}`)
	all := handles.FindAllString(s.env.run(t, "sessions", "-all").stdout, -1)
	if len(all) != 2 {
		t.Fatalf("handles %q", all)
	}
	for _, args := range [][]string{{"-user", "ada"}, {"-all"}} {
		args = append([]string{"sessions"}, args...)
		s.env.run(t, args...).wants(t, 0, ` ada \(login not completed\) `, "")
		r := s.env.run(t, append(args, "-json")...)
		r.wants(t, 0, `"user_id":"","pending":true.*"pending_user_id":"ada"`, "")
		if strings.Contains(r.stdout, "0001-01-01") {
			t.Errorf("a login that was not yet has a time: %s", r.stdout)
		}
	}
	for _, handle := range all {
		s.env.run(t, "sessions", "-handle", handle).wants(t, 0, `\n`+handle, "")
		s.env.run(t, "revoke", "-handle", handle).wants(t, 0, `^sessions ended: 1`, "")
		s.env.run(t, "sessions", "-handle", handle).
			wants(t, 1, "", `no live session has the handle`)
	}
	if n := pgtest.One[int](t, admin, "SELECT count(*) FROM pgsession.endings"); n != 2 {
		t.Errorf("%d endings, want 2", n)
	}
}

// The index of the documents finds a session by its handle, and passes as a
// part of the schema.
func TestTheIndexOfHandles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", "operator.md"))
	if err != nil {
		t.Fatal(err)
	}
	index := regexp.MustCompile(`CREATE INDEX CONCURRENTLY (?s:.*?);\n`).Find(page)
	pgtest.Exec(t, admin, string(index))
	_, handle := s.login(t, "ada")
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET enable_seqscan = off")
	s.env.run(t, "sessions", "-handle", handle).wants(t, 0, `\n`+handle+` +ada`, "")
	const scans = `SELECT pg_stat_get_numscans('pgsession.sessions_handle_idx'::regclass)`
	testkit.Eventually(t, "the index was used", func() bool {
		return pgtest.One[int](t, admin, scans) > 0
	})
	s.env.run(t, "doctor").wants(t, 3, `(?m)^ok     schema: `, "") // fsync is off
}

// What a terminal would obey is quoted.
func TestAUserIDWithControlCharacters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.login(t, "a\x1b[2Jb\n")
	s.env.run(t, "sessions", "-all").wants(t, 0, `"a\\x1b\[2Jb\\n"`, "")
	s.env.run(t, "revoke", "-user", "a\x1b[2Jb\n").wants(t, 0, `^sessions ended: 1`, "")
}
