package failover_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// standbyServesNoExpress revokes a user while the standby does not replay, and
// has the store for Express load the session there.
func standbyServesNoExpress(t *testing.T, p *pair) {
	output, err := exec.Command("../../clients/express/install").CombinedOutput()
	if err != nil && os.Getenv("PGSESSION_NODE") != "required" {
		t.Skipf("no Node.js: %v: %s", err, output)
	}
	p.caughtUp()
	primary, standby := p.urlOf(p.primary), p.urlOf(p.standby)
	sid := runExpress(t, primary, "login", "ada")
	p.caughtUp()
	pgtest.Exec(t, p.standby.pool, "SELECT pg_wal_replay_pause()")
	defer pgtest.Exec(t, p.standby.pool, "SELECT pg_wal_replay_resume()")
	const unavailable = "ERR_SESSION_UNAVAILABLE"
	if got := runExpress(t, standby, "get", sid); got != unavailable {
		t.Errorf("a session at the standby: %s", got)
	}
	if n := runExpress(t, primary, "revoke", "ada"); n != "1" {
		t.Errorf("%s sessions were revoked, want 1", n)
	}
	for of, databaseURL := range map[string]string{"null": primary, unavailable: standby} {
		if got := runExpress(t, databaseURL, "get", sid); got != of {
			t.Errorf("the revoked session: %s, want %s", got, of)
		}
	}
}

// urlOf returns the URL of one server for the application's role.
func (p *pair) urlOf(n *node) string {
	u := *p.first
	u.User, u.Host = p.app, fmt.Sprintf("127.0.0.1:%d", n.port)
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}

// runExpress runs a call of the store for Express, in a process of its own, and
// returns what it prints: see testdata/express.js.
func runExpress(t *testing.T, databaseURL, call, argument string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "testdata/express.js", call, argument)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+databaseURL)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", call, err, output)
	}
	return strings.TrimSpace(string(output))
}
