package webapp_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

const limit, logins = 5, 200 // of one user

// limitedTo is the outcome of the logins.
type limitedTo struct {
	deny     string
	admitted int64
}

var limits = map[string]limitedTo{
	"the oldest ends": {"SESSION_DENY_AT_MAX=false", logins},
	"it denies":       {"SESSION_DENY_AT_MAX=true", limit},
}

// 200 logins of one user at once, by four processes.
func TestTheLimitHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	holds(t, testkit.Only(t, limits, "it denies"))
}

// The same where the oldest session is ended.
//
// Slow: 200 logins by four processes, one after the other.
func TestSlowTheLimitHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	holds(t, testkit.Without(t, limits, "it denies"))
}

func holds(t *testing.T, limits map[string]limitedTo) {
	const processes = 4
	const count = "SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada'"
	for name, row := range limits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databaseURL, admin := database(t)
			var sites []*app
			for range processes {
				sites = append(sites, start(t, production, withSecret, "DATABASE_URL="+databaseURL,
					"SESSION_MAX_PER_USER=5", row.deny))
			}
			var admitted, denied, most atomic.Int64
			done := make(chan struct{})
			var looking, all sync.WaitGroup
			looking.Go(func() {
				for {
					most.Store(max(most.Load(), int64(pgtest.One[int](t, admin, count))))
					select {
					case <-done:
						return
					default:
					}
				}
			})
			begin := make(chan struct{})
			for i := range logins {
				all.Go(func() {
					<-begin
					switch got := visit(t,
						sites[i%processes].url).send("POST /api/login?user=ada"); got.status {
					case http.StatusOK:
						admitted.Add(1)
					case http.StatusForbidden:
						denied.Add(1)
					default:
						t.Errorf("a login: %d %s", got.status, got.body)
					}
				})
			}
			close(begin)
			all.Wait()
			close(done)
			looking.Wait()
			if admitted.Load() != row.admitted || admitted.Load()+denied.Load() != logins {
				t.Errorf("%d logins admitted and %d denied, want %d and %d", admitted.Load(),
					denied.Load(), row.admitted, logins-row.admitted)
			}
			if n := pgtest.One[int](t, admin, count); n != limit {
				t.Errorf("%d sessions in the end, want %d", n, limit)
			}
			if n := most.Load(); row.admitted == limit && n > limit {
				t.Errorf("%d sessions at some moment, want %d at most", n, limit)
			}
		})
	}
}
