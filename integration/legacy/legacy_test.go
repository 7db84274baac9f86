// Package legacy_test takes over sessions of Express from Postgres and Redis.
// The rows and keys are as connect-pg-simple and connect-redis write them; the
// real ones run in the tests of clients/express.
package legacy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestMain(m *testing.M) { testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers) }

const (
	// table is table.sql of connect-pg-simple.
	table = `CREATE TABLE "session" (
		"sid" varchar NOT NULL COLLATE "default",
		"sess" json NOT NULL,
		"expire" timestamp(6) NOT NULL,
		CONSTRAINT "session_pkey" PRIMARY KEY ("sid")
	)`

	cookieName = "reporadar.sid"
	oursName   = "__Host-session"
)

var (
	format = express.NewCookie(cookieName, "the secret of the Express application")
	random = express.NewCookie("", "x")
)

// sid is a session id of Express's own generator: 32 characters.
func sid() string { return random.New()[:32] }

// old is a database with the table of connect-pg-simple, and ours beside it.
func old(t *testing.T) (databaseURL string, pool *pgxpool.Pool) {
	t.Helper()
	databaseURL = pgtest.Database(t)
	pool = pgtest.Pool(t, databaseURL)
	pgtest.Exec(t, pool, table)
	return databaseURL, pool
}

// row stores a session as connect-pg-simple does, in the zone of the pool.
func row(t *testing.T, pool *pgxpool.Pool, sid, sess string, left time.Duration) {
	t.Helper()
	pgtest.Exec(t, pool,
		`INSERT INTO session (sid, sess, expire)
		VALUES ($1, $2::text::json, to_timestamp(extract(epoch FROM now()) + $3))`,
		sid, sess, left.Seconds())
}

const ofAda = `{"cookie":{"originalMaxAge":604800000,"expires":"2021-01-15T11:11:02.164Z",` +
	`"httpOnly":true,"path":"/"},"userId":"ada","cart":[1,2]}`

func TestConnectPgSimple(t *testing.T) {
	t.Parallel()
	_, pool := old(t)
	load := func(o express.PgOptions, sid string) (legacy.Session, error) {
		return express.ConnectPgSimple(pool, o).Load(t.Context(), sid)
	}
	good, expired, broken := sid(), sid(), sid()
	row(t, pool, good, ofAda, time.Hour)
	row(t, pool, expired, ofAda, -time.Second)
	row(t, pool, broken, `{"cookie":{},"userId":"ada","a":"\u0000"}`, time.Hour)

	s, err := load(express.PgOptions{}, good)
	if err != nil || s.UserID != "ada" || string(s.Data) != `{"cart":[1,2],"userId":"ada"}` ||
		!s.Persistent || (s.Idle-time.Hour).Abs() > time.Minute {
		t.Errorf("user %q, data %s, idle %s, persistent %t, %v",
			s.UserID, s.Data, s.Idle, s.Persistent, err)
	}
	for what, sid := range map[string]string{"expired": expired, "unknown": sid()} {
		if _, err := load(express.PgOptions{}, sid); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := load(express.PgOptions{}, broken); err != nil {
		t.Errorf("a NUL in json: %v", err)
	}
	for what, o := range map[string]express.PgOptions{
		"no such table":  {Table: `other"; DROP TABLE session; --`},
		"no such schema": {Schema: "other"},
		"no such zone":   {TimeZone: "Nowhere/At all"},
	} {
		_, err := load(o, good)
		if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), good) {
			t.Errorf("%s: %v", what, err)
		}
	}
	simple := express.ConnectPgSimple(pool, express.PgOptions{})
	for range 2 {
		if err := simple.End(t.Context(), good); err != nil {
			t.Errorf("End: %v", err)
		}
	}
	if _, err := load(express.PgOptions{}, good); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after End: %v", err)
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM session"); n != 2 {
		t.Errorf("%d rows, want the two others", n)
	}
}

// The Node program's connections had another zone than ours.
func TestConnectPgSimpleTimeZone(t *testing.T) {
	t.Parallel()
	databaseURL, _ := old(t)
	zone := func(name string) *pgxpool.Pool {
		return pgtest.Pool(t, databaseURL, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["timezone"] = name
		})
	}
	node, here := zone("Asia/Kathmandu"), zone("America/New_York")
	id := sid()
	row(t, node, id, ofAda, time.Hour)
	right := express.ConnectPgSimple(here, express.PgOptions{TimeZone: "Asia/Kathmandu"})
	if s, err := right.Load(t.Context(), id); err != nil || (s.Idle-time.Hour).Abs() > time.Minute {
		t.Errorf("idle %s, %v", s.Idle, err)
	}
	wrong := express.ConnectPgSimple(here, express.PgOptions{})
	if s, err := wrong.Load(t.Context(), id); err != nil || s.Idle < 9*time.Hour {
		t.Errorf("without the zone: idle %s, %v; the test proves nothing", s.Idle, err)
	}
}

func TestConnectRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	good, forever, sealed := sid(), sid(), sid()
	set := func(sid, sess string, left time.Duration) {
		t.Helper()
		if err := server.Client.Set(t.Context(), "sess:"+sid, sess, left).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set(good, ofAda, time.Hour)
	set(forever, ofAda, 0)
	set(sealed, "sealed:"+ofAda, time.Hour)
	open := func(value []byte) ([]byte, error) {
		sess, ok := strings.CutPrefix(string(value), "sealed:")
		if !ok {
			return nil, errors.New("not sealed")
		}
		return []byte(sess), nil
	}
	plain := express.ConnectRedis(server.Client, express.RedisOptions{})
	opened := express.ConnectRedis(server.Client, express.RedisOptions{Open: open})
	for what, tt := range map[string]struct {
		store legacy.Store
		sid   string
		err   error
		idle  time.Duration
	}{
		"good":              {plain, good, nil, time.Hour},
		"without an expiry": {plain, forever, nil, 0},
		"unknown":           {plain, sid(), store.ErrNotFound, 0},
		"sealed":            {opened, sealed, nil, time.Hour},
		"sealed, unopened":  {plain, sealed, legacy.ErrUnreadable, 0},
		"not sealed":        {opened, good, legacy.ErrUnreadable, 0},
		"another prefix": {
			express.ConnectRedis(server.Client, express.RedisOptions{Prefix: "other:"}), good,
			store.ErrNotFound, 0,
		},
		"no prefix": {
			express.ConnectRedis(server.Client, express.RedisOptions{NoPrefix: true}),
			"sess:" + good, nil, time.Hour,
		},
	} {
		s, err := tt.store.Load(t.Context(), tt.sid)
		if !errors.Is(err, tt.err) || err == nil && s.UserID != "ada" ||
			err == nil && (s.Idle-tt.idle).Abs() > time.Minute {
			t.Errorf("%s: user %q, idle %s, %v", what, s.UserID, s.Idle, err)
		}
	}
	for range 2 {
		if err := plain.End(t.Context(), good); err != nil {
			t.Errorf("End: %v", err)
		}
	}
	if _, err := plain.Load(t.Context(), good); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after End: %v", err)
	}
	server.Kill()
	if _, err := plain.Load(t.Context(), forever); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Redis is dead: %v", err)
	}
	if err := plain.End(t.Context(), forever); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Redis is dead: End: %v", err)
	}
}

// manager is one instance of an application that takes sessions over.
func manager(t *testing.T, pool *pgxpool.Pool, from legacy.Store) *sessionstore.Manager {
	t.Helper()
	m, err := sessionstore.New(t.Context(), pool, sessionstore.Config{
		Secrets:      []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
		RecordEvents: true,
		// hundreds of requests share the few connections of a pool
		StoreTimeout: time.Minute,
		Logger:       slog.New(slog.DiscardHandler),
		Observer: func(_ context.Context, e sessionstore.Event) {
			if e.Err != nil {
				t.Logf("%v: %v", e.Kind, e.Err)
			}
		},
		Legacy: sessionstore.LegacyConfig{
			Cookie: format, Store: from, Until: time.Now().Add(24 * time.Hour),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// visit makes a request and returns the user, or the status of a failure, and
// our cookie.
func visit(m *sessionstore.Manager, cookies ...string) (user, cookie string) {
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		user = s.UserID()
	})).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		user = http.StatusText(w.Code)
	}
	for _, c := range w.Result().Cookies() {
		if c.Name == oursName {
			cookie = c.Name + "=" + c.Value
		}
	}
	return user, cookie
}

func brings(sid string) string { return cookieName + "=" + format.Encode(sid) }

// The chain of the seed: Redis, then Postgres. Forty users come with six tabs
// each, at two instances.
func TestTakeOverAtOnce(t *testing.T) {
	t.Parallel()
	_, pool := old(t)
	server := redistest.Start(t)
	from := legacy.Chain(
		express.ConnectRedis(server.Client, express.RedisOptions{}),
		express.ConnectPgSimple(pool, express.PgOptions{}),
	)
	one, two := manager(t, pool, from), manager(t, pool, from)
	const users, tabs = 40, 6
	sids := make([]string, users)
	for i := range sids {
		sids[i] = sid()
		sess := fmt.Sprintf(`{"cookie":{"originalMaxAge":1},"passport":{"user":%d},"n":%d}`, i+1, i)
		if i%2 == 0 {
			row(t, pool, sids[i], sess, time.Hour)
			continue
		}
		err := server.Client.Set(t.Context(), "sess:"+sids[i], sess, time.Hour).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range users * tabs {
		all.Go(func() {
			n := i % users
			m := []*sessionstore.Manager{one, two}[i/users%2]
			user, cookie := visit(m, brings(sids[n]))
			if user != fmt.Sprint(n+1) || cookie == "" {
				t.Errorf("user %q, want %d; cookie %t", user, n+1, cookie != "")
			}
		})
	}
	all.Wait()
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.sessions"); n != users {
		t.Errorf("%d sessions, want %d", n, users)
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM session"); n != 0 {
		t.Errorf("%d rows are left in the old table", n)
	}
	if n, err := server.Client.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("%d keys are left in Redis, %v", n, err)
	}
	adopted := one.Count(sessionstore.EventAdopted) + two.Count(sessionstore.EventAdopted)
	recorded := pgtest.One[int](t, pool,
		"SELECT count(*) FROM pgsession.events WHERE kind = 'session adopted'")
	if adopted != users || recorded != users {
		t.Errorf("%d events, %d recorded, want %d", adopted, recorded, users)
	}
	events, _, err := one.Events(t.Context(), "")
	if err != nil || len(events) == 0 || events[0].Kind != sessionstore.EventAdopted {
		t.Errorf("%d recorded events, %v", len(events), err)
	}
}

// killed is a store whose End is never called: the process dies before.
type killed struct{ legacy.Store }

var errKilled = errors.New("killed")

func (killed) End(context.Context, string) error { return errKilled }

// A process dies between the create and the delete. Whatever ends the session
// meanwhile has ended it.
func TestTakeOverKilledAndRevoked(t *testing.T) {
	t.Parallel()
	_, pool := old(t)
	from := express.ConnectPgSimple(pool, express.PgOptions{})
	m, dying := manager(t, pool, from), manager(t, pool, killed{from})
	for what, tt := range map[string]struct {
		end  func(user, sid string) error
		left string
	}{
		"nothing": {func(string, string) error { return nil }, "ada"},
		"a revoke of the user": {func(user, _ string) error {
			_, err := m.RevokeUser(t.Context(), user)
			return err
		}, ""},
		"a revoke by its handle": {func(user, sid string) error {
			_, err := m.Revoke(t.Context(), user, legacy.ID(sid).Handle())
			return err
		}, ""},
	} {
		id := sid()
		user := "ada after " + what
		sess, _ := json.Marshal(map[string]any{"userId": user})
		row(t, pool, id, string(sess), time.Hour)
		if got, cookie := visit(dying, brings(id)); got != "Service Unavailable" || cookie != "" {
			t.Errorf("%s: the process that dies: %q, cookie %t", what, got, cookie != "")
		}
		if err := tt.end(user, id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		want := ""
		if tt.left != "" {
			want = user
		}
		for range 2 {
			if got, _ := visit(m, brings(id)); got != want {
				t.Errorf("%s: user %q, want %q", what, got, want)
			}
		}
		if n := pgtest.One[int](t, pool, "SELECT count(*) FROM session"); n != 0 {
			t.Errorf("%s: %d rows are left in the old table", what, n)
		}
	}
}

// A revoke commits between the create and the look for revokes that follows it.
// The take-over is refused, and recorded so.
func TestTakeOverRefusedIsRecorded(t *testing.T) {
	t.Parallel()
	databaseURL, pool := old(t)
	between := &afterCreate{}
	slow := pgtest.Pool(t, databaseURL, func(c *pgxpool.Config) { c.ConnConfig.Tracer = between })
	m := manager(t, slow, express.ConnectPgSimple(pool, express.PgOptions{}))
	id := sid()
	row(t, pool, id, ofAda, time.Hour)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.WithTx(tx).RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	between.do = func() {
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if user, cookie := visit(m, brings(id)); user != "" || cookie != "" {
		t.Errorf("user %q, cookie %t", user, cookie != "")
	}
	got := pgtest.One[string](t, pool, `SELECT string_agg(kind || ' ' || host(ip), ', ' ORDER BY id)
		FROM pgsession.events WHERE kind <> 'sessions revoked'`)
	if want := "session adopted 192.0.2.1, session login refused 192.0.2.1"; got != want {
		t.Errorf("recorded: %s; want %s", got, want)
	}
}

// afterCreate is a tracer that does something once, after the first statement
// that creates a session.
type afterCreate struct {
	once sync.Once
	do   func()
}

type creates struct{}

func (a *afterCreate) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData,
) context.Context {
	return context.WithValue(ctx, creates{},
		strings.HasPrefix(data.SQL, "-- name: SessionCreate"))
}

func (a *afterCreate) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if is, _ := ctx.Value(creates{}).(bool); is {
		a.once.Do(a.do)
	}
}

// Bad rows log nobody in, and stay where they are.
func TestTakeOverBadRows(t *testing.T) {
	t.Parallel()
	_, pool := old(t)
	m := manager(t, pool, express.ConnectPgSimple(pool, express.PgOptions{}))
	bad := map[string]string{
		"a NUL":              `{"userId":"ada","a":"\u0000"}`,
		"half a pair":        `{"userId":"ada","a":"\ud800"}`,
		"a huge number":      `{"userId":"ada","a":1e400000}`,
		"a list":             `[1]`,
		"a text":             `"ada"`,
		"a user of a list":   `{"userId":[1]}`,
		"a user that is NUL": `{"userId":"\u0000"}`,
	}
	var long strings.Builder // which does not compress
	for long.Len() < 3<<20 {
		long.WriteString(random.New())
	}
	bad["more than a row may hold"] = `{"userId":"ada","a":"` + long.String() + `"}`
	for what, sess := range bad {
		id := sid()
		row(t, pool, id, sess, time.Hour)
		if user, cookie := visit(m, brings(id)); user != "" || cookie != "" {
			t.Errorf("%s: user %q, cookie %t", what, user, cookie != "")
		}
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM session"); n != len(bad) {
		t.Errorf("%d rows are left, want %d", n, len(bad))
	}
	if n := m.Count(sessionstore.EventAdoptFailed); n != int64(len(bad)) {
		t.Errorf("%d events, want %d", n, len(bad))
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// A logout ends the session in the old table, whichever cookies came.
func TestTakeOverLogout(t *testing.T) {
	t.Parallel()
	_, pool := old(t)
	from := express.ConnectPgSimple(pool, express.PgOptions{})
	m := manager(t, pool, from)
	id := sid()
	row(t, pool, id, ofAda, time.Hour)
	_, ours := visit(m, brings(id))
	row(t, pool, id, ofAda, time.Hour) // a backup was restored, or Node still runs
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.Header["Cookie"] = []string{ours, brings(id)}
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Logout(r.Context())
		}
		if err != nil {
			t.Error(err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	for what, table := range map[string]string{"ours": "pgsession.sessions", "theirs": "session"} {
		if n := pgtest.One[int](t, pool, "SELECT count(*) FROM "+table); n != 0 {
			t.Errorf("%s: %d rows", what, n)
		}
	}
	row(t, pool, id, ofAda, time.Hour)
	if user, _ := visit(m, brings(id)); user != "" {
		t.Errorf("the session that was logged out is back: %q", user)
	}
}
