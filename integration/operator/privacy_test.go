package operator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// An export has all that the database has of a user, and nothing of another.
func TestExport(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *sessionstore.Config) { c.RecordEvents = true })
	admin := pgtest.Pool(t, s.url)
	token, handle := s.login(t, `ada "the first"`)
	s.comeAndGo(t, `ada "the first"`)
	s.login(t, "eve")
	pgtest.Exec(t, admin, `UPDATE pgsession.sessions SET data = '{"theme": "dark"}'
		WHERE user_id LIKE 'ada%'`)
	ctx := sessionstore.WithActor(t.Context(), `ada "the first"`, "an incident of eve")
	if _, err := s.RevokeUser(ctx, "eve"); err != nil {
		t.Fatal(err)
	}
	r := s.env.run(t, "export", "-user", `ada "the first"`)
	var out struct {
		UserID     string    `json:"user_id"`
		ExportedAt time.Time `json:"exported_at"`
		Sessions   []struct {
			Handle string
			Data   map[string]string
		}
		Events []struct {
			Kind, Session, IP string
			UserAgent         string `json:"user_agent"`
		}
		Acted []map[string]any
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || r.status != 0 {
		t.Fatalf("%v: %d\n%s\n%s", err, r.status, r.stdout, r.stderr)
	}
	if out.UserID != `ada "the first"` || len(out.Sessions) != 1 ||
		out.Sessions[0].Handle != handle || out.Sessions[0].Data["theme"] != "dark" ||
		len(out.Events) != 3 || out.Events[0].Session != handle || out.Events[0].IP != "" ||
		out.Events[2].IP != "192.0.2.1" || out.Events[2].UserAgent != "Test/1" ||
		len(out.Acted) != 2 {
		t.Errorf("the export: %s", r.stdout)
	}
	r.wantNoSecret(t, token, `"eve"`)
	s.env.run(t, "export", "-user", "eve").wants(t, 0,
		`"sessions":\[\],(?s:.*)"revoked_at":\[\n"2`, "")
	s.env.run(t, "export", "-user", "nobody").wants(t, 0,
		`(?s)"sessions":\[\],\n"events":\[\],\n"acted":\[\],\n"revoked_at":\[\]}`, "")
	s.env.run(t, "export").wants(t, 2, "", `export needs -user`)

	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET default_transaction_read_only = on")
	s.env.run(t, "export", "-user", "eve").wants(t, 0, `"sessions":\[\]`, "") // it only reads
	s.env.run(t, "export", "-user", "eve", "-schema", "shop").wants(t, 1, "", `migrate.* up`)
}

// comeAndGo logs a user in, and out again by a request.
func (s *site) comeAndGo(t *testing.T, user string) {
	t.Helper()
	token, _ := s.login(t, user)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("User-Agent", "Test/1")
	s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		session, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = session.Logout(r.Context())
		}
		if err != nil {
			t.Error(err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

// The address and the user agent of an event are data of its user.
func TestEraseTakesTheClientOutOfTheEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *sessionstore.Config) { c.RecordEvents = true })
	admin := pgtest.Pool(t, s.url)
	s.comeAndGo(t, "ada")
	s.comeAndGo(t, "eve")
	const clients = `SELECT concat_ws(', ', count(*), count(ip), count(user_agent))
		FROM pgsession.events`
	if got := pgtest.One[string](t, admin, clients); got != "4, 2, 2" {
		t.Fatalf("events, addresses, user agents: %s", got)
	}
	owner := environment{"DATABASE_URL": s.url}
	owner.run(t, "erase", "-user", "ada", "-yes").wants(t, 0, "2 of the user", "")
	if got := pgtest.One[string](t, admin, clients); got != "4, 1, 1" {
		t.Errorf("events, addresses, user agents afterwards: %s", got)
	}
	if left := pgtest.One[string](t, admin,
		"SELECT user_id FROM pgsession.events WHERE ip IS NOT NULL"); left != "eve" {
		t.Errorf("left is the address of %s", left)
	}
}

// An erasure ends the sessions and takes the user out of the events. A reader
// of events goes on from its cursor.
func TestErase(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *sessionstore.Config) { c.RecordEvents = true })
	admin := pgtest.Pool(t, s.url)
	token, _ := s.login(t, "ada")
	eves, _ := s.login(t, "eve")
	ctx := sessionstore.WithActor(t.Context(), "ada", "asked by phone")
	if _, err := s.RevokeUser(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	s.login(t, "ada")
	_, cursor, err := s.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	const named = "SELECT count(*) FROM pgsession.events WHERE to_jsonb(events)::text LIKE '%ada%'"
	before := pgtest.One[int](t, admin, named)

	s.env.run(t, "erase", "-user", "ada", "-yes").wants(t, 1, "",
		`nothing erased: role \S+_app may not change events \(4 name the user\): .*owner`)
	s.env.run(t, "erase", "-user", "nobody", "-yes").wants(t, 1, "", `\(0 name the user\)`)
	wantUser(t, s.Manager, token, "ada")
	owner := environment{"DATABASE_URL": s.url}
	owner.run(t, "erase", "-user", "ada").wants(t, 2, "",
		`nothing erased: sessions it would end: 2, expired .*: 0, events .*: 4, in schema .*: add -yes`)
	if n := pgtest.One[int](t, admin, named); n != before {
		t.Errorf("without -yes %d events name her, before %d", n, before)
	}
	owner.run(t, "erase", "-user", "ada", "-yes").wants(t, 0,
		`(?s)^sessions ended: 2`+installation+
			`.*no user now: 2 of the user, 2 in which the user acted\nleft: `,
		"")
	if n := pgtest.One[int](t, admin, named); n != 0 {
		t.Errorf("%d events name her", n)
	}
	wantUser(t, s.Manager, token, "")
	wantUser(t, s.Manager, eves, "eve")
	if _, _, err := s.Events(t.Context(), cursor); err != nil {
		t.Errorf("the cursor of a reader: %v", err)
	}
	out := s.env.run(t, "export", "-user", "ada").stdout
	if strings.Count(out, "[]") != 3 {
		t.Errorf("left: %s", out)
	}
	owner.run(t, "erase", "-user", "ada", "-yes").wants(t, 0, `^sessions ended: 0`, "")

	s.login(t, "ada")
	s.env.run(t, "erase", "-user", "ada", "-yes", "-keep-events", "-json").wants(t, 0,
		`^{"ended":1,"committed":true,"cache":"none".*"events":0,"acted":0,"expired":0}`, "")
	if n := pgtest.One[int](t, admin, named); n != 1 {
		t.Errorf("%d events name her, want the one of the login", n)
	}
}

// What has expired is data of the user until the prune has reached it.
func TestEraseReachesExpiredRows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	s.login(t, "ada")
	pgtest.Exec(t, admin, `UPDATE pgsession.sessions SET created_at = now() - interval '3 h',
		last_seen_at = now() - interval '3 h', authenticated_at = now() - interval '3 h',
		expires_at = now() - interval '1 h'`)
	s.login(t, "ada")
	s.login(t, "eve")
	pgtest.Exec(t, admin, `INSERT INTO pgsession.sessions
		(id, expires_at, absolute_expires_at, pending_user_id, pending_since)
		VALUES (sha256('p'), now() + interval '1 h', now() + interval '1 h', 'ada', now())`)
	owner := environment{"DATABASE_URL": s.url}
	owner.run(t, "erase", "-user", "ada").wants(t, 2, "", `would end: 2, expired .*: 1, events`)
	owner.run(t, "erase", "-user", "ada", "-yes").wants(t, 0,
		`(?s)^sessions ended: 2`+installation+`.*\nexpired sessions deleted: 1\n`, "")
	if left := pgtest.One[string](t, admin,
		"SELECT string_agg(user_id, ' ') FROM pgsession.sessions"); left != "eve" {
		t.Errorf("left are rows of %s", left)
	}
}
