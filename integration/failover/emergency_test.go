package failover_test

import (
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// emergency logs in during the failover: the session lives in memory, and is in
// the new primary's table afterwards.
func emergency(t *testing.T, p *pair) {
	s := open(t, p.url(p.primary, p.standby, readWrite), func(c *sessionstore.Config) {
		c.StoreTimeout = timeout
	})
	alice := s.login(t, "alice")
	p.caughtUp()
	p.primary.kill(func() {})
	var bob string
	testkit.Eventually(t, "a login without a primary", func() bool {
		bob = s.visit("POST", "/login?user=bob", "").cookie
		return bob != ""
	})
	if name := s.m.Store().Name(); name != "memory" {
		t.Fatalf("the store in use is %s: this test sees nothing", name)
	}
	p.standby.promote()
	promoted := time.Now()
	dead := p.swapped()
	testkit.Eventually(t, "the emergency is over", func() bool {
		return s.m.Metrics().Emergency.Since.IsZero()
	})
	if name := s.m.Store().Name(); name != "postgres" {
		t.Errorf("the store in use is %s", name)
	}
	t.Logf("the emergency was over %s after the promotion",
		time.Since(promoted).Round(time.Millisecond))
	for _, user := range []string{"alice", "bob"} {
		n := pgtest.One[int](t, p.primary.pool,
			"SELECT count(*) FROM pgsession.sessions WHERE user_id = $1", user)
		if n != 1 {
			t.Errorf("%s has %d sessions in the new primary's table, want 1", user, n)
		}
	}
	for user, cookie := range map[string]string{"alice": alice, "bob": bob} {
		if a := s.visit("GET", "/", cookie); a.body != user {
			t.Errorf("%s is served %q, status %d", user, a.body, a.status)
		}
	}
	pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
	p.renew(dead)
}
