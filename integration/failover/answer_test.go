package failover_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// answerLost: the primary has made a revoke and waits for the standby when it is killed. Nobody may be told that it was
// made, since the standby has not heard of it, nor that it was not.
func answerLost(t *testing.T, p *pair) {
	const revokes = 20 // of each kind
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'sessionstore'"
	said := map[string]int{}
	for range *rounds {
		store := storeOn(t, p.url(p.primary, p.standby, readWrite+"&pool_max_conns=50"), patience)
		ids := make([]sessionstore.ID, 2*revokes)
		for i := range ids {
			ids[i] = sessionstore.ID{byte(i), 3}
			if _, err := store.Create(t.Context(), sessionstore.Draft{ID: ids[i], UserID: string(rune('A' + i))}); err != nil {
				t.Fatal(err)
			}
		}
		p.synchronous()
		p.caughtUp()
		thaw := p.standby.freeze()
		errs := make([]error, len(ids))
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() {
				var r sessionstore.Revocation
				if i < revokes {
					_, r, errs[i] = store.Revoke(t.Context(), sessionstore.Selection{UserID: string(rune('A' + i))})
				} else {
					r, errs[i] = store.Delete(t.Context(), id)
				}
				if r.Committed != (errs[i] == nil) {
					t.Errorf("committed: %v, with the error %v", r.Committed, errs[i])
				}
			})
		}
		eventually(t, "all wait for the standby", func() bool { return pgtest.One[int](t, p.primary.pool, waiting) == len(ids) })
		p.primary.kill(func() {})
		thaw()
		p.standby.promote()
		wg.Wait()
		dead := p.swapped()
		for i, id := range ids {
			alive := pgtest.One[int](t, p.primary.pool, "SELECT count(*) FROM pgsession.sessions WHERE id = $1", id[:]) == 1
			switch err := errs[i]; {
			case errors.Is(err, sessionstore.ErrUncertain) && errors.Is(err, sessionstore.ErrUnavailable):
				said["uncertain"]++
				if alive {
					said["uncertain, and alive"]++
				}
			case err == nil && i >= revokes && !alive:
				said["made, by the second attempt of a Delete"]++
			default:
				t.Errorf("revoke %d: %v; the session is alive: %v", i, err, alive)
			}
		}
		pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions")
		p.renew(dead)
	}
	t.Logf("%d rounds with %d revokes each: %v", *rounds, 2*revokes, said)
}
