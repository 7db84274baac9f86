package webapp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/sessionstore"
)

// health returns the health that the demo reports.
func health(t *testing.T, a *app) (h sessionstore.Health) {
	t.Helper()
	if err := json.Unmarshal([]byte(visit(t, a.url).send("GET /healthz").body), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// becomes waits until the health matches so.
func becomes(t *testing.T, a *app, what string, so func(sessionstore.Health) bool) {
	t.Helper()
	testkit.Eventually(t, what, func() bool { return so(health(t, a)) })
}

func status(name string) func(sessionstore.Health) bool {
	return func(h sessionstore.Health) bool { return h.Status == name }
}

// Redis stops and starts, Postgres stops and starts, and an instance starts
// without it. docs/design/outages.md is the output of this test.
//
// Slow: it writes a document, and integration/chain tests each part of it.
func TestSlowTheChainSeenFromOutside(t *testing.T) {
	t.Parallel()
	cluster, redis := newCluster(t, nil), redistest.Start(t)
	pool := cluster.pool()
	// longer than the test takes
	environment := append(cached(cluster.url, redis.URL), "SESSION_CACHE_FRESHNESS=5m")
	a, b := start(t, environment...), start(t, environment...)
	tr := &transcript{t: t}
	tr.call(a.url, "http://a")
	tr.call(b.url, "http://b")
	tr.call(parse(t, cluster.url).Host, "postgres:5432")
	alice, bob, carol, dave := visit(t, a.url), visit(t, a.url), visit(t, a.url), visit(t, a.url)

	tr.say("# When Redis or Postgres is unavailable")
	tr.say("A transcript of [the demo](../../examples/webapp/main.go): two instances, `http://a` and `http://b`, with one Postgres and one Redis, which are stopped and started.\n" +
		"[README.md](../../README.md#when-something-is-unavailable) has the summary, [ARCHITECTURE.md](../../ARCHITECTURE.md#one-outage) the states of an outage.\n" +
		"A test makes it, `TestSlowTheChainSeenFromOutside` in [integration/webapp](../../integration/webapp/emergency_test.go), and fails if the page is no longer true.\n" +
		"It sends the requests itself and prints them as `curl` commands, with the four headers that matter here.\n" +
		"Words stand in place of tokens, times and addresses.\n" +
		"To make it again, in the repository's folder:")
	tr.block("$ make bin/provide && bin/provide -test -- go -C integration test ./webapp -run TestSlowTheChainSeenFromOutside -write")

	tr.say("## Everything is available")
	tr.block("$ USE_REDIS_SESSIONS=true REDIS_URL=… SESSION_ENCRYPTION_KEY=… SESSION_CACHE_FRESHNESS=5m DATABASE_URL=… SESSION_SECRET=… webapp", tr.said(a, "sessions open"))
	tr.block(
		tr.request(alice, "alice", "POST /api/login?user=alice", http.StatusOK),
		tr.request(alice, "alice", "POST /api/set?k=color&v=blue", http.StatusOK),
		tr.request(alice.at(b.url), "alice", "GET /api/get?k=color", http.StatusOK),
	)

	tr.say("## Redis stops\n\nPostgres serves the sessions.\nOne log line reports it, and the health reports the cache as unavailable: no reason for a 503.")
	redis.Kill()
	testkit.Eventually(t, "the demo notices", func() bool {
		alice.want("GET /api/me", http.StatusOK, "alice")
		return strings.Contains(a.log(), "redis unavailable")
	})
	becomes(t, a, "the health says so", func(h sessionstore.Health) bool {
		return h.Cache == "unavailable"
	})
	tr.block(
		tr.request(alice, "alice", "GET /api/me", http.StatusOK),
		tr.request(alice, "alice", "POST /api/set?k=color&v=green", http.StatusOK),
		tr.request(alice.at(b.url), "alice", "GET /api/get?k=color", http.StatusOK),
		tr.request(bob, "bob", "POST /api/login?user=bob", http.StatusOK),
	)
	tr.block(tr.said(a, "redis unavailable"))

	redis.Restart()
	testkit.Eventually(t, "the cache is used again", func() bool {
		alice.want("GET /api/me", http.StatusOK, "alice")
		return redis.Client.DBSize(t.Context()).Val() > 0 && health(t, a).Cache == "ok"
	})
	tr.say("It starts again, empty.\nNo operator has to act.")
	tr.block(tr.said(a, "redis available again"))

	tr.say("## Postgres stops\n\nBob's session is not in the cache.\nHe gets a 503, and his cookie stays as it is.")
	cluster.stop()
	tr.block(tr.request(bob, "bob", "GET /api/me", http.StatusServiceUnavailable))
	becomes(t, a, "the emergency begins", func(h sessionstore.Health) bool {
		bob.want("GET /api/me", http.StatusServiceUnavailable, "")
		return h.Status == "emergency"
	})
	tr.say("After three failures in a row, over at least a second, an emergency begins.\nOne log line and the health report it.")
	tr.block(tr.said(a, "session emergency began"), "",
		tr.request(visit(t, a.url), "", "GET /healthz", http.StatusOK))
	tr.say("Alice's session is in the cache and still fresh.\nShe is served read-only: a request that changes it gets a 503.")
	tr.block(
		tr.request(alice, "alice", "GET /api/get?k=color", http.StatusOK),
		tr.request(alice, "alice", "POST /api/set?k=color&v=black", http.StatusServiceUnavailable),
	)
	tr.say("A new login works.\nIts session is in the memory of `http://a`.\n`http://b` does not have it, answers 503 and leaves the cookie alone too.")
	tr.block(
		tr.request(carol, "carol", "POST /api/login?user=carol", http.StatusOK),
		tr.request(carol, "carol", "POST /api/set?k=color&v=red", http.StatusOK),
		tr.request(carol, "carol", "GET /api/me", http.StatusOK),
		tr.request(carol.at(b.url), "carol", "GET /api/me", http.StatusServiceUnavailable),
		tr.request(bob, "bob", "GET /api/me", http.StatusServiceUnavailable),
	)

	tr.say("## Postgres starts\n\nThe sessions of the emergency are restored into its table.\nCarol's cookie works on both instances, and so does bob's, which did not change.")
	cluster.restart()
	becomes(t, a, "the emergency ends", status("ok"))
	becomes(t, b, "the other instance goes on, too", status("ok"))
	tr.block(tr.said(a, "session emergency ended"), "",
		tr.request(carol, "carol", "GET /api/me", http.StatusOK),
		tr.request(carol.at(b.url), "carol", "GET /api/get?k=color", http.StatusOK),
		tr.request(bob, "bob", "GET /api/me", http.StatusOK),
		"$ psql -Atc 'SELECT user_id FROM pgsession.sessions ORDER BY user_id'",
		pgtest.One[string](t, pool,
			"SELECT string_agg(user_id, E'\\n' ORDER BY user_id) FROM pgsession.sessions"),
	)

	tr.say("## An instance starts without Postgres")
	cluster.stop()
	c := start(t, environment...)
	tr.call(c.url, "http://c")
	dave.site = c.url
	tr.block("$ … webapp", tr.said(c, "session emergency began", "sessions open"), "",
		tr.request(dave, "dave", "POST /api/login?user=dave", http.StatusOK),
		tr.request(dave, "dave", "GET /api/me", http.StatusOK),
	)
	tr.say("It is not ready until it has reached Postgres once: a deploy with a wrong `DATABASE_URL` stops here.")
	tr.block(tr.request(visit(t, c.url), "", "GET /healthz", http.StatusServiceUnavailable))
	tr.say("With `SESSION_EMERGENCY=off` it refuses to start instead.")
	tr.block("$ SESSION_EMERGENCY=off … webapp",
		strings.TrimSpace(fails(t, append(environment, "SESSION_EMERGENCY=off")...)), "$ echo $?",
		"1")
	tr.say("Postgres starts, and every instance has dave's session.")
	cluster.restart()
	becomes(t, c, "the emergency ends", status("ok"))
	becomes(t, a, "the other instance goes on, too", status("ok"))
	tr.block(
		tr.request(dave, "dave", "GET /api/me", http.StatusOK),
		tr.request(dave.at(a.url), "dave", "GET /api/me", http.StatusOK),
	)
	tr.say("## A session is ended while Redis fails\n\n[exposure.md](exposure.md) says how long it may still be served, and the longest time measured while Redis was flushed, killed and unreachable.")
	tr.end("docs/design/outages.md")
}
