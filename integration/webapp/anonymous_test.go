package webapp_test

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// crowd sends concurrent requests of many visitors, and checks each response.
func crowd(t *testing.T, requests int, one func(i int) answer) {
	t.Helper()
	const abreast = 16
	var all sync.WaitGroup
	for worker := range abreast {
		all.Go(func() {
			for i := worker; i < requests; i += abreast {
				got := one(i)
				if got.header["Set-Cookie"] != nil {
					t.Errorf("request %d sets a cookie", i)
				}
				if got.status >= http.StatusInternalServerError {
					t.Errorf("request %d: %d", i, got.status)
				}
			}
		})
	}
	all.Wait()
}

// Requests without a session leave no row and no cookie.
func TestStrangersLeaveNothing(t *testing.T) {
	t.Parallel()
	leaveNothing(t, 1_000)
}

// The same with 10,000.
//
// Slow: 10,000 requests.
func TestSlowTenThousandStrangersLeaveNothing(t *testing.T) {
	t.Parallel()
	leaveNothing(t, 10_000)
}

func leaveNothing(t *testing.T, strangers int) {
	databaseURL, pool := database(t)
	a := start(t, production, withSecret, "DATABASE_URL="+databaseURL)
	alice := login(t, a.url, "alice")
	left := login(t, a.url, "bob")
	gone := left.cookie
	left.want("POST /api/logout", http.StatusOK, "")
	const table = `SELECT md5(string_agg(s::text, ' ' ORDER BY id)) || count(*)
		FROM pgsession.sessions AS s`
	before := pgtest.One[string](t, pool, table)

	cookies := append(forgeries(alice.cookie), "", gone, "other=1")
	requests := []string{
		"GET /api/me", "POST /api/logout", "GET /", "GET /api/get?k=color",
		"POST /logout-of-nothing", "GET /healthz",
	}
	crowd(t, strangers, func(i int) answer {
		v := visit(t, a.url)
		v.cookie = cookies[i%len(cookies)]
		got, err := v.try(requests[i/len(cookies)%len(requests)])
		if err != nil {
			t.Error(err)
		}
		return got
	})
	if after := pgtest.One[string](t, pool, table); after != before {
		t.Error("the table has changed")
	}
	alice.want("GET /api/me", http.StatusOK, "alice")
}

// forgeries are cookies with a wrong signature, made from a good one.
func forgeries(cookie string) []string {
	name, value, _ := strings.Cut(cookie, "=")
	dot := strings.LastIndex(value, ".")
	swapped := func(at int) string {
		c := byte('A')
		if value[at] == c {
			c = 'B'
		}
		return value[:at] + string(c) + value[at+1:]
	}
	forged := []string{
		"x", "v1", value[:len(value)-1], value + "A", value[:dot], swapped(dot - 2),
		swapped(dot + 1), swapped(len(value) - 2), swapped(len("v1.") + 1),
		"v2" + value[2:], strings.ToUpper(value), rand.Text(), strings.Repeat("A", 4000),
		value[dot:] + value[:dot],
	}
	for i := range forged {
		forged[i] = name + "=" + forged[i]
	}
	return forged
}

// watched is a small site whose every query is recorded.
type watched struct {
	*httptest.Server
	sessions   *sessionstore.Manager
	statements *statements
}

func openWatched(t *testing.T, databaseURL, secret string) *watched {
	t.Helper()
	s := &watched{statements: &statements{}}
	pool := pgtest.Pool(t, databaseURL, func(c *pgxpool.Config) {
		c.ConnConfig.Tracer = s.statements
	})
	m, err := sessionstore.New(t.Context(), pool, sessionstore.Config{
		Secrets:      []sessionstore.Secret{sessionstore.Secret(secret)},
		StoreTimeout: testkit.Patience,
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sessions = m
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*http.Request, *sessionstore.Session) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			session, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = do(r, session)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = io.WriteString(w, session.UserID())
		})
	}
	handle("GET /me", func(*http.Request, *sessionstore.Session) error { return nil })
	handle("POST /login", func(r *http.Request, session *sessionstore.Session) error {
		return session.Login(r.Context(), "alice")
	})
	handle("POST /logout", func(r *http.Request, session *sessionstore.Session) error {
		return session.Logout(r.Context())
	})
	handle("POST /renew", func(r *http.Request, session *sessionstore.Session) error {
		return session.Rotate(r.Context())
	})
	handle("POST /forget", func(_ *http.Request, session *sessionstore.Session) error {
		return session.Delete("k")
	})
	handle("POST /remember", func(_ *http.Request, session *sessionstore.Session) error {
		return session.RememberMe(true)
	})
	s.Server = httptest.NewServer(m.Handler(mux))
	t.Cleanup(func() {
		s.Server.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestForgedCookiesCostNoQuery(t *testing.T) {
	t.Parallel()
	databaseURL := application(t)
	site, elsewhere := openWatched(t, databaseURL, secret),
		openWatched(t, databaseURL, strings.ToUpper(secret)+"other")
	requests := []string{"GET /me", "POST /logout", "POST /renew", "POST /forget", "POST /remember"}

	alice := visit(t, site.URL)
	alice.want("POST /login", http.StatusOK, "alice")
	mallory := visit(t, elsewhere.URL)
	mallory.want("POST /login", http.StatusOK, "alice")
	if sent := site.statements.sent(); len(sent) == 0 {
		t.Fatal("no statement was noted for a login: this test sees nothing")
	}

	cookies := append(forgeries(alice.cookie), mallory.cookie, "")
	const each = 60
	crowd(t, each*len(cookies), func(i int) answer {
		v := visit(t, site.URL)
		v.cookie = cookies[i%len(cookies)]
		got, err := v.try(requests[i/len(cookies)%len(requests)])
		if err != nil {
			t.Error(err)
		}
		if got.status != http.StatusOK || got.body != "" {
			t.Errorf("%q: %d %q", v.cookie, got.status, got.body)
		}
		return got
	})
	if sent := site.statements.sent(); len(sent) != 0 {
		t.Errorf("%d statements were sent, the first is %q", len(sent), sent[0])
	}
	if n := site.sessions.Count(sessionstore.EventForged); n != int64(each*(len(cookies)-1)) {
		t.Errorf("%d forged cookies were counted, want %d", n, each*(len(cookies)-1))
	}

	// A good cookie whose session has ended is looked up, also on a standby,
	// and makes nothing.
	gone := *alice
	alice.want("POST /logout", http.StatusOK, "")
	unknown := site.sessions.Count(sessionstore.EventSessionNotFound)
	crowd(t, 100, func(i int) answer {
		v := gone
		got, err := v.try(requests[i%len(requests)])
		if err != nil {
			t.Error(err)
		}
		return got
	})
	if n := site.sessions.Count(sessionstore.EventSessionNotFound) - unknown; n != 100 {
		t.Errorf("%d unknown sessions were counted, want 100", n)
	}
	for _, name := range site.statements.sent() {
		if !strings.Contains(name, "SessionLoad") && !strings.Contains(name, "SessionDelete") &&
			!strings.Contains(name, "SessionMissing") &&
			// once a second, whatever the requests are
			!strings.Contains(name, "pg_relation_size") {
			t.Errorf("sent: %s", name)
		}
	}
	// the one that another instance made
	if n := pgtest.One[int](t, pgtest.Pool(t, databaseURL),
		"SELECT count(*) FROM pgsession.sessions"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}
