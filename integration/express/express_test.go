package express_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// bothWays runs a test from Go to Express and from Express to Go.
func bothWays(t *testing.T, p *pair, test func(t *testing.T, here, there string)) {
	t.Helper()
	t.Run("from Go to Express", func(t *testing.T) { test(t, p.goURL, p.nodeURL) })
	t.Run("from Express to Go", func(t *testing.T) { test(t, p.nodeURL, p.goURL) })
}

func TestSlowGoAndExpressShareSessions(t *testing.T) {
	p := start(t, nil)
	t.Run("one row", func(t *testing.T) { bothWays(t, p, testOneRow(p)) })
	t.Run("logins", func(t *testing.T) { bothWays(t, p, testLogins(p)) })
	t.Run("devices", func(t *testing.T) { bothWays(t, p, testDevices) })
	t.Run("revokes", func(t *testing.T) { bothWays(t, p, testRevokes) })
	t.Run("logins under way", func(t *testing.T) { bothWays(t, p, testLoginsUnderWay(p)) })
	t.Run("concurrent changes", func(t *testing.T) { testConcurrentChanges(t, p) })
	t.Run("no revival", func(t *testing.T) { bothWays(t, p, testNoRevival(p)) })
	t.Run("expiry", func(t *testing.T) { bothWays(t, p, testExpiry(p)) })
	t.Run("freshness", func(t *testing.T) { testFreshness(t, p) })
	t.Run("all", func(t *testing.T) { bothWays(t, p, testRevokeAll(p)) })
}

func testOneRow(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		b := newBrowser(t, "Agent/1")
		before := pgtest.One[int](t, p.rows, "SELECT count(*) FROM pgsession.sessions")
		b.do(here, "/set", "k", "color", "v", "blue")
		b.is("blue", there, "/get", "k", "color")
		b.do(there, "/set", "k", "size", "v", "4")
		b.is("4", here, "/get", "k", "size")
		b.is("blue", here, "/get", "k", "color")
		b.is(b.do(here, "/handle"), there, "/handle")
		after := pgtest.One[int](t, p.rows, "SELECT count(*) FROM pgsession.sessions")
		if after != before+1 {
			t.Errorf("%d rows more, want one", after-before)
		}
	}
}

func testLogins(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		b := newBrowser(t, "Agent/1")
		b.do(there, "/set", "k", "color", "v", "blue")
		b.do(here, "/login", "user", "ada")
		b.is("ada", there, "/me")
		b.is("ada", here, "/me")
		// A further login, of another user.
		b.do(there, "/login", "user", "bob")
		b.is("bob", here, "/me")
		b.do(here, "/logout")
		b.is("", here, "/me")
		b.is("", there, "/me")
		if n := pgtest.One[int](t, p.rows,
			"SELECT count(*) FROM pgsession.sessions WHERE user_id IN ('ada', 'bob')"); n != 0 {
			t.Errorf("%d sessions of users who are logged out", n)
		}
		// The browser that kept its cookie is not logged in again.
		b.do(here, "/login", "user", "ada")
		thief := *b
		thief.client = &http.Client{Jar: frozen{b.client.Jar}}
		b.do(there, "/logout")
		thief.is("", here, "/me")
		thief.is("", there, "/me")
	}
}

// frozen is a jar that keeps its cookies.
type frozen struct{ http.CookieJar }

func (frozen) SetCookies(*url.URL, []*http.Cookie) {}

func testDevices(t *testing.T, here, there string) {
	first, second := newBrowser(t, "First/1"), newBrowser(t, "Second/2")
	first.do(here, "/login", "user", "dora")
	second.do(there, "/login", "user", "dora")
	want := fmt.Sprintf("%s 203.0.113.7 Second/2\n%s 203.0.113.7 First/1",
		second.do(here, "/handle"), first.do(there, "/handle"))
	for _, server := range []string{here, there} {
		first.is(want, server, "/devices")
	}
	handle := second.do(here, "/handle")
	first.is("true", here, "/revoke", "handle", handle)
	second.is("", here, "/me")
	second.is("", there, "/me")
	first.is("false", there, "/revoke", "handle", handle)
	first.is("dora", there, "/me")
	first.do(here, "/revoke-user", "user", "dora")
}

func testRevokes(t *testing.T, here, there string) {
	login := func(server string) *browser {
		b := newBrowser(t, "Agent/1")
		b.do(server, "/login", "user", "rita")
		return b
	}
	mine, others := login(here), []*browser{login(here), login(there), login(there)}
	mine.is("3", there, "/revoke-others")
	mine.is("rita", here, "/me")
	for _, b := range others {
		b.is("", here, "/me")
		b.is("", there, "/me")
	}
	login(there)
	mine.is("2", here, "/revoke-user", "user", "rita")
	mine.is("", there, "/me")
	again := login(there)
	again.is("rita", here, "/me")
	again.do(there, "/logout")
}

// A revoke here reaches a login that is under way there.
func testLoginsUnderWay(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		paths := []string{"/login"}
		if there == p.nodeURL {
			paths = append(paths, "/login-in-place")
		}
		for _, path := range paths {
			b, s := newBrowser(t, "Agent/1"), newStop(t)
			b.do(there, "/set", "k", "color", "v", "blue")
			answer := make(chan int)
			go func() {
				status, _ := b.try(there, path, "user", "lena", "wait", s.url)
				answer <- status
			}()
			<-s.reached
			newBrowser(t, "").do(here, "/revoke-user", "user", "lena")
			s.goOn()
			if status := <-answer; status != http.StatusForbidden {
				t.Errorf("%s: status %d, want 403", path, status)
			}
			if n := pgtest.One[int](t, p.rows,
				"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'lena'"); n != 0 {
				t.Errorf("%s: the login that was refused has a session", path)
			}
		}
	}
}

func testConcurrentChanges(t *testing.T, p *pair) {
	b := newBrowser(t, "Agent/1")
	b.do(p.goURL, "/login", "user", "carla")
	var all sync.WaitGroup
	const each = 10
	for i := range each {
		all.Go(func() { b.do(p.goURL, "/set", "k", fmt.Sprint("go", i), "v", "1") })
		all.Go(func() { b.do(p.nodeURL, "/set", "k", fmt.Sprint("node", i), "v", "1") })
	}
	all.Wait()
	for i := range each {
		b.is("1", p.nodeURL, "/get", "k", fmt.Sprint("go", i))
		b.is("1", p.goURL, "/get", "k", fmt.Sprint("node", i))
	}
}

// A request that is slower than the logout revives nothing.
func testNoRevival(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		b, s := newBrowser(t, "Agent/1"), newStop(t)
		b.do(here, "/login", "user", "nora")
		slow := *b
		slow.client = &http.Client{Jar: frozen{b.client.Jar}}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			slow.try(there, "/set", "k", "late", "v", "1", "wait", s.url)
		}()
		<-s.reached
		b.do(here, "/logout")
		s.goOn()
		<-answered
		if n := pgtest.One[int](t, p.rows,
			"SELECT count(*) FROM pgsession.sessions WHERE data->>'late' = '1'"); n != 0 {
			t.Error("a slow request has revived a session")
		}
	}
}

// A use extends the session by the same step on both sides, and no use does so
// beyond the absolute deadline.
func testExpiry(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		b := newBrowser(t, "Agent/1")
		b.do(here, "/login", "user", "emma")
		const of = " FROM pgsession.sessions WHERE user_id = 'emma'"
		id := pgtest.One[[]byte](t, p.rows, "SELECT id"+of)
		deadline := func() time.Time {
			return pgtest.One[time.Time](t, p.rows, "SELECT expires_at"+of)
		}
		if !pgtest.One[bool](t, p.rows,
			"SELECT absolute_expires_at - created_at = '30 days'"+of) {
			t.Error("the absolute timeout is not that of Go")
		}
		made := deadline()
		pgtest.Exec(t, p.rows, pgtest.Age, id, 48*3600)
		b.is("emma", there, "/me")
		testkit.Eventually(t, "the use extended the session", func() bool {
			return !deadline().Before(made)
		})
		if step := deadline().Sub(made); step != 0 && step != time.Hour {
			t.Errorf("extended to %s after the first deadline", step)
		}
		pgtest.Exec(t, p.rows, pgtest.Age, id, 29*24*3600)
		pgtest.Exec(t, p.rows, "UPDATE pgsession.sessions SET expires_at = now() + '1 hour',"+
			" last_seen_at = now() - interval '1 hour', absolute_expires_at = now() + interval '2 hours'"+
			" WHERE id = $1", id)
		b.is("emma", there, "/me")
		testkit.Eventually(t, "the use extended the session to its absolute deadline", func() bool {
			return pgtest.One[bool](t, p.rows, "SELECT expires_at = absolute_expires_at"+of)
		})
		pgtest.Exec(t, p.rows, pgtest.Age, id, 2*3600)
		b.is("", here, "/me")
		b.is("", there, "/me")
		pgtest.Exec(t, p.rows, "DELETE"+of)
	}
}

func testFreshness(t *testing.T, p *pair) {
	b := newBrowser(t, "Agent/1")
	fresh := func() bool {
		status, _ := b.try(p.goURL, "/fresh")
		return status == http.StatusOK
	}
	if fresh() {
		t.Error("a visitor is fresh")
	}
	for _, path := range []string{"/login", "/login-in-place"} {
		b.do(p.nodeURL, path, "user", "fred"+strings.TrimPrefix(path, "/"))
		if !fresh() {
			t.Errorf("after %s of Express a login is not fresh", path)
		}
		pgtest.Exec(t, p.rows, "UPDATE pgsession.sessions SET"+
			" authenticated_at = authenticated_at - interval '6 minutes' WHERE user_id LIKE 'fred%'")
		if fresh() {
			t.Error("an old login is fresh")
		}
	}
}

func testRevokeAll(p *pair) func(t *testing.T, here, there string) {
	return func(t *testing.T, here, there string) {
		b := newBrowser(t, "Agent/1")
		b.do(there, "/login", "user", "alma")
		newBrowser(t, "").do(here, "/revoke-all")
		b.is("", here, "/me")
		b.is("", there, "/me")
		if n := pgtest.One[int](t, p.rows, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	}
}

// The store for Express prepares no statement by default, so that it runs
// through PgBouncer in transaction mode.
func TestSlowExpressThroughPgBouncer(t *testing.T) {
	p := start(t, func(databaseURL string) string {
		server, err := servers.PgBouncer(t.Context(), servers.Options{Logf: t.Logf}, databaseURL,
			map[string]string{"default_pool_size": "2"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		return server.URL
	})
	bothWays(t, p, testLogins(p))
	bothWays(t, p, testRevokes)
	testConcurrentChanges(t, p)
}
