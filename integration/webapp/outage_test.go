package webapp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// Without Postgres the app stays up, reports that it can't serve sessions, and
// ends none. It recovers by itself.
func TestPostgresStopsAndStarts(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, nil)
	// After an emergency the first request would wait for the restore.
	a := start(t, production, withSecret, "SESSION_EMERGENCY=false", "DATABASE_URL="+cluster.url)
	v := login(t, a.url, "alice")
	v.want("POST /api/set?k=color&v=blue", http.StatusOK, "")
	had := v.cookie

	for round := range 2 {
		cluster.stop()
		for _, request := range []string{
			"GET /api/me", "GET /api/get?k=color", "POST /api/set?k=color&v=red",
			"POST /api/login?user=mallory", "POST /api/logout", "GET /",
		} {
			got := v.send(request)
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d, Retry-After %q; want 503 and some", request, got.status,
					got.header.Get("Retry-After"))
			}
			if got.header["Set-Cookie"] != nil {
				t.Errorf("%s sets a cookie", request)
			}
			if strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "SQLSTATE") {
				t.Errorf("%s shows the visitor an address or an SQLSTATE: %s", request, got.body)
			}
		}
		stranger := visit(t, a.url)
		if got := stranger.send("POST /api/login?user=bob"); got.status !=
			http.StatusServiceUnavailable || got.header["Set-Cookie"] != nil {
			t.Errorf("a login: %d, cookies %d; want 503 and none", got.status,
				len(got.header["Set-Cookie"]))
		}
		stranger.want("GET /api/me", http.StatusUnauthorized, "") // has no cookie, so no query
		testkit.Eventually(t, "the health is bad", func() bool {
			return visit(t, a.url).send("GET /healthz").status == http.StatusServiceUnavailable
		})

		cluster.restart()
		// At the first request, not after some time.
		if v.cookie != had {
			t.Fatal("the browser has another cookie")
		}
		v.want("GET /api/me", http.StatusOK, "alice")
		v.want("GET /api/get?k=color", http.StatusOK, "blue")
		v.want("POST /api/set?k=round&v="+string(rune('0'+round)), http.StatusOK, "")
		login(t, a.url, "bob").want("GET /api/me", http.StatusOK, "bob")
		testkit.Eventually(t, "the health is good again", func() bool {
			return visit(t, a.url).send("GET /healthz").status == http.StatusOK
		})
	}
	v.want("POST /api/logout", http.StatusOK, "")
	v.cookie = had
	v.want("GET /api/me", http.StatusUnauthorized, "")
	a.terminate()
	a.ended()
}

// Idle connections that died cause no failed request.
func TestPostgresRestartsUnseen(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, nil)
	a := start(t, production, withSecret, "DATABASE_URL="+cluster.url)
	v := login(t, a.url, "alice")
	cluster.stop()
	cluster.restart()
	v.want("GET /api/me", http.StatusOK, "alice")
}
