package migrate_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// connectPgSimple is the table that connect-pg-simple's table.sql makes.
const connectPgSimple = `
	CREATE TABLE "session" (
		"sid" varchar NOT NULL COLLATE "default",
		"sess" json NOT NULL,
		"expire" timestamp(6) NOT NULL
	) WITH (OIDS=FALSE);
	ALTER TABLE "session" ADD CONSTRAINT "session_pkey" PRIMARY KEY ("sid") NOT DEFERRABLE INITIALLY IMMEDIATE;
	CREATE INDEX "IDX_session_expire" ON "session" ("expire")`

// quiet matches no line but those of progress, on a slow machine.
const quiet = `^(\w+( move)?: \d+ so far, .*\n)*$`

const week = 7 * 24 * time.Hour

// node is a database with the schema and with the table of an Express
// application.
type node struct {
	*database
	zone string // of the application's connections
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{newDatabase(t), "UTC"}
	n.up(t)
	n.exec(t, connectPgSimple)
	return n
}

// newSID returns a session id as express-session makes it: 24 bytes in URL-safe
// Base64.
func newSID() string { return rand.Text() + "-_7890"[:6] }

// store inserts a session as connect-pg-simple does, whose cookie ends after
// left. values are members of the JSON.
func (n *node) store(t *testing.T, sid, values string, left time.Duration) {
	t.Helper()
	end := time.Now().Add(left)
	cookie := fmt.Sprintf(`{"cookie":{"originalMaxAge":%d,"expires":%q,"httpOnly":true,"path":"/"}`,
		week.Milliseconds(), end.UTC().Format("2006-01-02T15:04:05.000Z"))
	n.storeRaw(t, sid, strings.Replace(cookie+","+values[1:], ",}", "}", 1), end)
}

func (n *node) storeRaw(t *testing.T, sid, sess string, end time.Time) {
	t.Helper()
	_, err := n.pool.Exec(t.Context(), `
		WITH zone AS (SELECT set_config('TimeZone', $4, true) AS set)
		INSERT INTO "session" (sess, expire, sid)
		SELECT $1::json, (to_timestamp($2::bigint) AT TIME ZONE zone.set)::timestamp, $3 FROM zone`,
		sess, end.Unix()+1, sid, n.zone)
	if err != nil {
		t.Fatal(err)
	}
}

// left returns how many rows the application's table has.
func (n *node) left(t *testing.T) int {
	t.Helper()
	return n.number(t, `SELECT count(*) FROM "session"`)
}

func idOf(sid string) store.ID {
	token := []byte(sid)
	if len(token) != 32 {
		sum := sha256.Sum256(token)
		token = sum[:]
	}
	return sha256.Sum256(token)
}

func (n *node) load(t *testing.T, sid string) (store.Record, error) {
	t.Helper()
	s := postgres.New(n.pool, store.Expiry{Idle: week, Absolute: 30 * 24 * time.Hour},
		5*time.Second)
	return s.Load(t.Context(), idOf(sid), 0)
}

// wantLive returns the session that a session id of Express leads to.
func (n *node) wantLive(t *testing.T, sid string) store.Record {
	t.Helper()
	rec, err := n.load(t, sid)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestImportMovesEveryUser(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.zone = "Europe/Berlin"
	const users = 50
	left := map[string]time.Duration{}
	for i := range users {
		sid := newSID()
		if i%5 == 4 {
			sid = fmt.Sprintf("a-generator-of-the-application's-own-%d", i)
		}
		left[sid] = week - time.Duration(i)*3*time.Hour
		n.store(t, sid, fmt.Sprintf(`{"userId":"user %d","cart":{"ü\n":[1.50,"<&>"],"n":null}}`, i),
			left[sid])
	}
	n.store(t, newSID(), `{"seen":true}`, time.Hour)
	n.store(t, newSID(), `{}`, time.Hour)
	n.store(t, newSID(), `{"userId":"late"}`, -time.Minute)

	dry := migrate(t, n.url, "import", "express", "-zone", "Europe/Berlin", "-dry-run")
	dry.want(t, 0, `(?s)\b51 +would move, 50 of them with a user\n.*\b1 +left: expired\n.*`+
		`\b1 +left: no user and no value\n.*rows/s in`, quiet)
	if n.left(t) != users+3 || n.number(t, `SELECT count(*) FROM pgsession.sessions`) != 0 {
		t.Error("a dry run has changed something")
	}
	migrate(t, n.url, "-zone", "Europe/Berlin", "import", "express").want(t, 0,
		`(?s)\b51 +moved, 50 of them with a user\n.*\b1 +left: expired\n.*no value\n.*\d rows/s in`,
		quiet)
	if n.left(t) != 2 {
		t.Errorf("%d rows are left, want those of one who was late and one without values",
			n.left(t))
	}
	migrate(t, n.url, "import", "express", "-zone", "Europe/Berlin").want(t, 0, `\b0 +moved`, quiet)

	now := time.Now()
	moved := 0
	for sid, want := range left {
		rec := n.wantLive(t, sid)
		if strings.HasPrefix(rec.UserID, "user ") {
			moved++
		}
		var data map[string]any
		if err := json.Unmarshal(rec.Data, &data); err != nil {
			t.Fatal(err)
		}
		cart, _ := data["cart"].(map[string]any)
		if len(data) != 2 || data["userId"] != rec.UserID || cart["n"] != nil ||
			fmt.Sprint(cart["ü\n"]) != "[1.5 <&>]" {
			t.Errorf("the values are %s", rec.Data)
		}
		if got := rec.ExpiresAt.Sub(now); got < want-time.Minute || got > want+time.Minute {
			t.Errorf("ends in %v, want %v", got, want)
		}
		if got := now.Sub(rec.LastSeenAt); got < week-want-time.Minute ||
			got > week-want+time.Minute {
			t.Errorf("was used %v ago, want %v", got, week-want)
		}
		if got := rec.AbsoluteExpiresAt.Sub(now); got < 30*24*time.Hour-time.Minute ||
			got > 30*24*time.Hour+time.Minute {
			t.Errorf("ends in %v at the latest, want 30 days", got)
		}
		if !rec.AuthenticatedAt.Equal(time.Unix(0, 0)) || rec.LoginID == (store.LoginID{}) {
			t.Errorf("the login is of %v, as %q", rec.AuthenticatedAt, rec.LoginID)
		}
	}
	if moved != users {
		t.Errorf("%d of %d users are logged in", moved, users)
	}
}

// A time of the application's table has no zone. A wrong one is refused, where
// the rows say so.
func TestImportReadsTheZoneOfTheApplication(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"America/New_York", "Asia/Kolkata"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.zone = zone
			sids := map[string]time.Duration{}
			for i := range 8 {
				sid := newSID()
				sids[sid] = time.Duration(i+1) * time.Hour
				n.store(t, sid, `{"userId":1}`, sids[sid])
			}
			wrong := "Pacific/Auckland"
			migrate(t, n.url, "import", "express", "-zone", wrong).want(t, 1, "",
				`-zone Pacific/Auckland does not fit: of \d sessions 8 end with their cookies`)
			if n.left(t) != 8 {
				t.Error("rows have moved with a wrong zone")
			}
			url := n.with(t, "TimeZone", zone)
			migrate(t, url, "import", "express").want(t, 0, `\b8 +moved`, quiet)
			for sid, want := range sids {
				got := time.Until(n.wantLive(t, sid).ExpiresAt)
				if got < want-time.Minute || got > want+time.Minute {
					t.Errorf("ends in %v, want %v", got, want)
				}
			}
		})
	}
}

func TestImportFindsTheUser(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, c := range []struct{ flag, values, want string }{
		{"", `{"userId":"ada"}`, "ada"},
		{"", `{"userId":4711}`, "4711"},
		{"", `{"passport":{"user":"ada"}}`, "ada"},
		{"", `{"passport":{"user":"eve"},"userId":"ada"}`, "ada"},
		{"account.owner.id", `{"account":{"owner":{"id":"ada"}}}`, "ada"},
		{"uid, userId", `{"userId":"eve","uid":"ada"}`, "ada"},
	} {
		sid := newSID()
		n.store(t, sid, c.values, time.Hour)
		args := []string{"import", "express"}
		if c.flag != "" {
			args = append(args, "-user", c.flag)
		}
		migrate(t, n.url, args...).want(t, 0, `\b1 +moved, 1 of them with a user`, quiet)
		if got := n.wantLive(t, sid).UserID; got != c.want {
			t.Errorf("%s: the user is %q, want %q", c.values, got, c.want)
		}
	}
	sid := newSID()
	n.store(t, sid, `{"uid":"ada"}`, time.Hour)
	migrate(t, n.url, "import", "express").want(t, 1, "",
		`none of 1 sessions has a user at userId or passport.user: give the path`)
	migrate(t, n.url, "import", "express", "-user", "none").want(t, 0, `\b1 +moved, 0 of them`,
		quiet)
	if got := n.wantLive(t, sid).UserID; got != "" {
		t.Errorf("the user is %q, want none", got)
	}
}

// The application's timeouts bound the time that a session has left.
func TestImportTakesTheTimeoutsOfTheApplication(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	short, long := newSID(), newSID()
	n.store(t, short, `{"userId":"ada"}`, 20*time.Minute)
	n.store(t, long, `{"userId":"eve"}`, week)
	migrate(t, n.url, "import", "express", "-idle", "2h", "-absolute", "10800000").want(t, 0,
		`\b2 +moved`, quiet)
	for sid, want := range map[string]time.Duration{short: 20 * time.Minute, long: 2 * time.Hour} {
		rec := n.wantLive(t, sid)
		if got := time.Until(rec.ExpiresAt); got < want-time.Minute || got > want+2*time.Minute {
			t.Errorf("ends in %v, want %v", got, want)
		}
		if got := time.Until(rec.AbsoluteExpiresAt); got < 3*time.Hour-time.Minute ||
			got > 3*time.Hour {
			t.Errorf("ends in %v at the latest, want 3 h", got)
		}
	}
}

// Of the rows that can't be moved none is in the way of the others, and each is
// named without what it holds.
func TestImportLeavesBadRows(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const secret = "sesame-of-the-user"
	cookie := `{"cookie":{"path":"/"},"userId":"u",`
	bad := map[string]string{
		"an array":                  `["` + secret + `"]`,
		"null":                      `null`,
		"a text":                    `"` + secret + `"`,
		"NUL":                       cookie + `"a":"` + secret + `\u0000"}`,
		"NUL in a name":             cookie + `"` + secret + `\u0000":1}`,
		"half a surrogate pair":     cookie + `"a":"` + secret + `\ud83d"}`,
		"the other half":            cookie + `"a":"` + secret + `\uDe00"}`,
		"a number that is too wide": cookie + `"a":1e400000,"b":"` + secret + `"}`,
		"a user that is an object":  `{"userId":{"` + secret + `":1}}`,
		"a user that is true":       `{"userId":true}`,
		"a long user":               `{"userId":"` + strings.Repeat("u", 257) + `"}`,
		"large":                     cookie + `"a":"` + strings.Repeat("x", 1<<20) + `"}`,
	}
	good := map[string]string{
		"a pair":           cookie + `"a":"\ud83d\ude00"}`,
		"no escape at all": cookie + `"a":"\\u0000 \\\\u0000 \\ud83d"}`,
		"two of a name":    cookie + `"a":1,"a":2}`,
		"spaces":           " {\n\"userId\" : \"u\" } ",
		"nested": cookie + `"a":` + strings.Repeat("[", 5000) + strings.Repeat("]",
			5000) + `}`,
		"reserved": `{"userId":"u","__proto__":{"a":1},"toString":"x"}`,
	}
	handles := map[string]string{}
	sids := map[string]string{}
	end := time.Now().Add(time.Hour)
	for name, sess := range bad {
		sid := newSID()
		handles[name] = string(idOf(sid).Handle())
		n.storeRaw(t, sid, sess, end)
	}
	n.storeRaw(t, "short", `{"userId":"u"}`, end)
	handles["a short id"] = string(idOf("short").Handle())
	for name, sess := range good {
		sids[name] = newSID()
		n.storeRaw(t, sids[name], sess, end)
	}
	for _, dry := range []bool{true, false} {
		args := []string{"import", "express", "-batch", "7"}
		what := "moved"
		if dry {
			args, what = append(args, "-dry-run"), "would move"
		}
		r := migrate(t, n.url, args...)
		r.want(t, 0, fmt.Sprintf(`(?s)\b%d +%s.*\b%d +left: can't be moved`, len(good), what,
			len(handles)),
			"level=WARN")
		for name, handle := range handles {
			if strings.Count(r.stderr, "session="+handle+" ") != 1 {
				t.Errorf("%s: the row is not named once (dry run: %v)", name, dry)
			}
		}
		wantNoSecret(t, r.stdout+r.stderr, secret)
		for _, sid := range sids {
			wantNoSecret(t, r.stdout+r.stderr, sid)
		}
		if t.Failed() {
			t.Fatal(r.stderr)
		}
	}
	if got := n.left(t); got != len(handles) {
		t.Errorf("%d rows are left, want %d", got, len(handles))
	}
	for name, sid := range sids {
		if rec := n.wantLive(t, sid); rec.UserID != "u" {
			t.Errorf("%s: %q, %s", name, rec.UserID, rec.Data)
		}
	}
	if got := n.wantLive(t, sids["no escape at all"]).Data; !strings.Contains(string(got),
		`\\u0000`) {
		t.Errorf("the values are %s", got)
	}
}

func TestImportRefusesTablesThatAreNotConnectPgSimples(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for i, c := range []struct {
		make string // T is the table
		args []string
		want string
	}{
		{`DROP TABLE T`, nil, `no table "public"\."t0" in this database: name it with -table`},
		{
			`ALTER TABLE T DROP COLUMN expire`, nil,
			`no column expire of type timestamp, timestamptz`,
		},
		{`ALTER TABLE T ALTER COLUMN sess TYPE bytea USING ''`, nil, `no column sess of type json`},
		{
			`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			CREATE TRIGGER t BEFORE DELETE ON T FOR EACH ROW EXECUTE FUNCTION f()`, nil,
			`has a trigger, which would run with your rights`,
		},
		{`CREATE RULE r AS ON DELETE TO T DO INSTEAD NOTHING`, nil, `has a rule`},
		{
			`ALTER TABLE T RENAME TO s; CREATE VIEW T AS SELECT * FROM s`, nil,
			`is not a plain table`,
		},
		{
			`ALTER TABLE T ADD PRIMARY KEY (sid); CREATE TABLE logins (sid varchar REFERENCES T ON DELETE CASCADE)`,
			nil, `is referenced by a foreign key`,
		},
		{`ALTER TABLE T ENABLE ROW LEVEL SECURITY`, nil, `has row-level security`},
		{`CREATE TABLE child () INHERITS (T)`, nil, `shares its rows`},
		{`CREATE INDEX ON T (length(sid))`, nil, `has an index on an expression`},
		{``, []string{"-zone", "Europe/Nowhere"}, `Postgres has no such time zone`},
		{``, []string{"-zone", "+01:00"}, `Postgres has no such time zone`},
		{``, []string{"-batch", "-1"}, `batch of -1 rows: must be 1 to`},
		{`DROP TABLE pgsession.marks`, nil, `table marks is missing`},
	} {
		table := fmt.Sprintf("t%d", i)
		n.exec(t, `CREATE TABLE `+table+` (sid varchar, sess json, expire timestamp(6));
			INSERT INTO `+table+` VALUES ('a-session-of-the-application-1', '{"userId":1}', now() + interval '1 hour')`)
		if c.make != "" {
			n.exec(t, regexp.MustCompile(`\bT\b`).ReplaceAllString(c.make, table))
		}
		migrate(t, n.url, append([]string{"import", "express", "-table", table},
			c.args...)...).want(t, 1, "", c.want)
		if n.number(t, `SELECT count(*) FROM pgsession.sessions`) != 0 {
			t.Errorf("%s: a session has moved", c.want)
		}
	}
}

// Tables differ from application to application.
func TestImportReadsTablesOfOtherNamesAndTypes(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.exec(t, `CREATE SCHEMA "Web"; ALTER TABLE session SET SCHEMA "Web"; ALTER TABLE "Web".session RENAME TO "User's Sessions"`)
	n.exec(t, `ALTER TABLE "Web"."User's Sessions" ALTER COLUMN sess TYPE jsonb, ALTER COLUMN expire TYPE timestamptz,
		DROP CONSTRAINT session_pkey, ADD COLUMN created timestamptz DEFAULT now()`)
	sid := newSID()
	if _, err := n.pool.Exec(t.Context(), `INSERT INTO "Web"."User's Sessions" (sid, sess, expire)
		VALUES ($1, '{"cookie":{},"userId":7}', now() + interval '1 hour'), ('always-here-for-ever', '{"userId":8}', 'infinity'),
			('never-at-all-or-before', '{"userId":8}', '-infinity')`, sid); err != nil {
		t.Fatal(err)
	}
	migrate(t, n.url, "import", "express", "-table", "Web.User's Sessions").want(t, 0,
		`(?s)\b2 +moved, 2 of.*\b1 +left: expired`, quiet)
	if got := n.wantLive(t, sid); got.UserID != "7" ||
		time.Until(got.ExpiresAt) > time.Hour+time.Minute {
		t.Errorf("user %q, ends %v", got.UserID, got.ExpiresAt)
	}
	if got := time.Until(n.wantLive(t, "always-here-for-ever").ExpiresAt); got > week+2*time.Hour {
		t.Errorf("ends in %v, want the idle timeout", got)
	}
}

// Another name for the schema is that of the application, too.
func TestImportIntoAnotherSchema(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	sid := newSID()
	n.store(t, sid, `{"userId":"ada"}`, time.Hour)
	migrate(t, n.url, "up", "-schema", "shop").want(t, 0, "applied", "")
	migrate(t, n.url, "import", "express", "-schema", "shop").want(t, 0, `\b1 +moved`, quiet)
	id := idOf(sid)
	if n.number(t, `SELECT count(*) FROM shop.sessions WHERE id = $1`, id[:]) != 1 {
		t.Error("the session is not in the schema")
	}
}

// As the design of the roles has it, and with no right more.
func TestImportAsTheOwnerOfTheSchema(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	sid := newSID()
	n.store(t, sid, `{"userId":"ada"}`, time.Hour)
	role := newRole(t)
	n.exec(t, `DROP SCHEMA pgsession CASCADE; GRANT CREATE ON DATABASE `+n.name+` TO `+role+`;
		GRANT CREATE ON SCHEMA public TO `+role)
	owner := n.with(t, "role", role)
	migrate(t, owner, "up").want(t, 0, "applied", "")
	migrate(t, owner, "import", "express").want(t, 1, "",
		`GRANT SELECT, UPDATE, DELETE ON "public"\."session" TO that role`)
	n.exec(t, `GRANT SELECT ON session TO `+role)
	migrate(t, owner, "import", "express", "-dry-run").want(t, 0, `\b1 +would move`, quiet)
	migrate(t, owner, "import", "express").want(t, 1, "", `GRANT SELECT, UPDATE, DELETE`)
	n.exec(t, `GRANT UPDATE, DELETE ON session TO `+role)
	migrate(t, owner, "import", "express").want(t, 0, `\b1 +moved`, quiet)
	n.wantLive(t, sid)
	n.exec(t, `REVOKE ALL ON session FROM `+role)
	n.exec(t, `REVOKE CREATE ON SCHEMA public FROM `+role)
	n.exec(t, `DROP OWNED BY `+role+` CASCADE`)
}

// A session that has moved is no recent login, however recent it was.
func TestImportedLoginIsNotFresh(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	m, err := sessionstore.New(t.Context(), n.pool, sessionstore.Config{
		Env:     sessionstore.Development,
		Secrets: []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessionstore.FromContext(r.Context()); err != nil || s.Login(r.Context(),
			"ada") != nil {
			t.Error("no login")
		}
	})
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(w, "%s, fresh %t", s.UserID(), s.Fresh(400*24*time.Hour))
	})
	mux.Handle("/page", page)
	mux.Handle("/fresh", sessionstore.RequireFresh(365*24*time.Hour, nil)(page))
	handler := m.Handler(mux)
	get := func(path string, cookies []*http.Cookie) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result()
	}
	body := func(r *http.Response) string {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cookies := get("/login", nil).Cookies()
	if got := body(get("/fresh", cookies)); got != "ada, fresh true" {
		t.Fatalf("logged in: %q", got)
	}

	// The session that has moved takes the place of the one behind the cookie.
	sid := newSID()
	n.store(t, sid, `{"userId":"eve"}`, time.Hour)
	migrate(t, n.url, "import", "express").want(t, 0, `\b1 +moved`, quiet)
	id := idOf(sid)
	if _, err := n.pool.Exec(t.Context(), `WITH gone AS (
			DELETE FROM pgsession.sessions WHERE user_id = 'ada' RETURNING id
		) UPDATE pgsession.sessions AS s SET id = gone.id FROM gone WHERE s.id = $1`, id[:]); err != nil {
		t.Fatal(err)
	}
	if got := body(get("/page", cookies)); got != "eve, fresh false" {
		t.Errorf("after the import: %q", got)
	}
	if r := get("/fresh", cookies); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("RequireFresh: status %d", r.StatusCode)
	}
}
