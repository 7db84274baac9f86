package failover_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// demoted promotes the standby and makes the old primary read-only, which still
// answers. An instance that writes finds the new primary with its first write,
// and leaves the old one. A session that ends afterwards is gone for every
// load. An instance that only loads finds the new primary within about a
// second.
func demoted(t *testing.T, p *pair) {
	inner := storeOn(t, p.url(p.primary, p.standby, readWrite), testkit.Patience)
	old, fresh := p.primary, p.standby
	ids := make([]store.ID, callers)
	var wg sync.WaitGroup
	for i := range ids {
		ids[i] = store.ID{byte(i), 2}
		wg.Go(func() { // concurrently, so that they fill the pool
			if _, err := inner.Create(t.Context(), store.Draft{ID: ids[i]}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if pgtest.One[int](t, old.pool, ours) == 0 {
		t.Fatal("there are no connections to the primary: this test sees nothing")
	}
	reader := storeOn(t, p.url(p.primary, p.standby, readWrite), testkit.Patience)
	if _, err := reader.Load(t.Context(), ids[0], 0); err != nil {
		t.Fatal(err)
	}
	streams := storeOn(t, p.url(p.primary, p.standby, readWrite), testkit.Patience)
	if _, ended, err := streams.Alive(t.Context(), ids[:1]); err != nil || len(ended) > 0 {
		t.Fatal(ended, err)
	}
	p.caughtUp()
	old.set("default_transaction_read_only", "on")
	fresh.promote()
	promoted := time.Now()

	// An instance that only loads checks its connections now and then.
	pgtest.Exec(t, fresh.pool, "DELETE FROM pgsession.sessions WHERE id = $1", ids[0][:])
	stale := 0
	testkit.Eventually(t, "a load is answered by the new primary", func() bool {
		switch _, err := reader.Load(t.Context(), ids[0], 0); {
		case errors.Is(err, sessionstore.ErrNotFound):
			return true
		case err != nil:
			t.Fatalf("a load: %v", err)
		}
		stale++
		return false
	})
	testkit.Eventually(t, "a stream's check is answered by the new primary", func() bool {
		_, ended, err := streams.Alive(t.Context(), ids[:1])
		if err != nil {
			t.Fatalf("a check: %v", err)
		}
		return len(ended) > 0
	})
	t.Logf(
		"with loads alone, the old primary was left %s after the promotion's end; it had answered %d",
		time.Since(promoted).Round(time.Millisecond), stale)

	// One that writes learns it at once.
	took := make([]time.Duration, callers)
	began := time.Now()
	for i, id := range ids {
		wg.Go(func() {
			// No caller sees an error: the store repeats a refused write on the
			// other host.
			if _, err := inner.Delete(t.Context(), id); err != nil {
				t.Errorf("the first write: %v", err)
				return
			}
			took[i] = time.Since(began)
			for range 50 {
				_, err := inner.Load(t.Context(), id, 0)
				if !errors.Is(err, sessionstore.ErrNotFound) {
					t.Errorf("a load after the session's end: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("with writes, time until a caller had made its first, of %d callers: %s", callers,
		spread(took))
	const there = "SELECT count(*) FROM pgsession.sessions"
	if n := pgtest.One[int](t, fresh.pool, there); n != 0 {
		t.Errorf("%d ended sessions are in the new primary's table", n)
	}
	if n := pgtest.One[int](t, old.pool, there); n != callers {
		t.Errorf("the old primary has %d sessions, want all %d as they were", n, callers)
	}
	testkit.Eventually(t, "no connection to the old primary is left", func() bool {
		return pgtest.One[int](t, old.pool, ours) == 0
	})
	old.kill(func() {})
	p.renew(p.swapped())
}

// switchover is the same under load.
func switchover(t *testing.T, p *pair) {
	store := storeOn(t, p.url(p.primary, p.standby, readWrite), timeout)
	old := p.primary
	load := start(t, store)
	load.more(t, 1000)
	began := time.Now()
	old.set("default_transaction_read_only", "on")
	testkit.Eventually(t, "writes have ended", func() bool {
		return pgtest.One[int](t, old.pool,
			"SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL") == 0
	})
	p.received()
	p.standby.promote()
	promoted := load.mark()
	first, all := load.recovered(t)
	load.more(t, 500)
	load.end()
	testkit.Eventually(t, "no connection to the old primary is left", func() bool {
		return pgtest.One[int](t, old.pool, ours) == 0
	})
	old.kill(func() {})
	dead := p.swapped()
	r := reckon(t, p.primary, load.ledgers)
	if r.lost() > 0 || r.madeAfterAll > 0 {
		t.Errorf("%v", r)
	}
	t.Logf("%v", r)
	t.Logf(
		"no primary for %s; then the first success after %s, and all %d callers had one after %s",
		promoted.Sub(began).Round(time.Millisecond), first.Round(time.Millisecond), callers,
		all.Round(time.Millisecond))
	p.renew(dead)
}
