package failover_test

import (
	"errors"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// frozen stops all processes of a Postgres: connections stay open and nothing
// answers. No request waits past its deadline, nothing accumulates, and service
// resumes with the server.
func frozen(t *testing.T, p *pair) {
	const (
		budget  = 300 * time.Millisecond
		slack   = 5 * time.Second // of a machine that does something else, too
		waves   = 4
		clients = 300 // a third each: loads of the store, requests that load, requests that log in
		each    = 3
	)
	inner := storeOn(t, p.url(p.primary, p.standby, readWrite), budget)
	s := open(t, p.url(p.primary, p.standby, readWrite), func(c *sessionstore.Config) {
		c.StoreTimeout, c.Outage.DisableEmergency = budget, true
	})
	var cookie string
	testkit.Eventually(t, "a login within the budget", func() bool {
		cookie = s.visit("POST", "/login?user=alice", "").cookie
		return cookie != ""
	})
	thaw := p.primary.freeze()
	var goroutines [waves]int
	var heap [waves]uint64
	var call, get, login time.Duration // the longest
	for wave := range waves {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for range each {
					worst, a := &call, answer{status: http.StatusServiceUnavailable}
					switch began := time.Now(); client % 3 {
					case 0:
						_, err := inner.Load(t.Context(), store.ID{byte(client)}, 0)
						if !errors.Is(err, sessionstore.ErrUnavailable) {
							t.Errorf("%v from a server that is frozen", err)
						}
						a.took = time.Since(began)
					case 1:
						worst, a = &get, s.visit("GET", "/", cookie)
					case 2:
						worst, a = &login, s.visit("POST", "/login?user=bob", "")
					}
					if a.status != http.StatusServiceUnavailable {
						t.Errorf("status %d from a server that is frozen", a.status)
					}
					mu.Lock()
					*worst = max(*worst, a.took)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		goroutines[wave], heap[wave] = runtime.NumGoroutine(), m.HeapAlloc>>10
	}
	t.Logf("%d calls and requests to a frozen server, budget %s for each call: the longest load took %s, the longest GET %s, the longest login %s",
		waves*clients*each, budget, call.Round(time.Millisecond), get.Round(time.Millisecond),
		login.Round(time.Millisecond))
	t.Logf("after each quarter: goroutines %v, heap %v KiB", goroutines, heap)
	if worst := max(call, get, login); worst > budget+slack {
		t.Errorf("one took %s", worst)
	}
	if first, last := goroutines[0], goroutines[waves-1]; last > first+clients {
		t.Errorf("goroutines rose from %d to %d", first, last)
	}
	if first, last := heap[0], heap[waves-1]; last > first+8<<10 {
		t.Errorf("the heap rose from %d to %d KiB", first, last)
	}

	thaw()
	thawed := time.Now()
	testkit.Eventually(t, "the session is served again", func() bool {
		return s.visit("GET", "/", cookie).body == "alice"
	})
	first := time.Since(thawed)
	testkit.Eventually(t, "a login works again", func() bool {
		return s.visit("POST", "/login?user=carol", "").status == http.StatusOK
	})
	t.Logf("after the server goes on: a session is served after %s, a login is made after %s",
		first.Round(time.Millisecond), time.Since(thawed).Round(time.Millisecond))
	// A login whose caller gave up may have been committed.
	pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
	p.caughtUp()
}
