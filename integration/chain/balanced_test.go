package chain_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// One instance behind a load balancer is cut off from Postgres and logs a user
// in. The others do not find that session and keep its cookie, until the first
// one has restored it.
func TestAnEmergencyBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cut, whole := r.open(impatient(10*time.Second)), r.open()
	here, there := cut.serve(t), whole.serve(t)
	cut.leave(t, reach{redis: true})
	here.want("/login", http.StatusOK, "alice")
	for range 3 {
		there.cookie = here.cookie
		for _, path := range []string{"/me", "/set", "/count"} {
			status, user, cookies := there.get(path)
			if status != http.StatusOK || user != "" || cookies != 0 {
				t.Fatalf("%s elsewhere: %d for %q with %d cookies", path, status, user, cookies)
			}
		}
		here.want("/me", http.StatusOK, "alice")
	}
	cut.toPostgres.heal()
	testkit.Eventually(t, "the emergency ends", func() bool {
		return cut.manager.Store().Name() != "memory"
	})
	testkit.Eventually(t, "the session is everywhere", func() bool {
		_, user, cookies := there.get("/set")
		if cookies != 0 {
			t.Fatal("the cookie was written for no reason")
		}
		return user == "alice"
	})
	there.want("/renew", http.StatusOK, "alice")
	here.cookie = there.cookie
	here.want("/me", http.StatusOK, "alice")
}
