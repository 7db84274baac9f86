package failover_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// answerLost kills the primary while it waits for the standby with a change.
// The call must return neither success nor failure, since the standby may not
// have the change. A save is not repeated.
func answerLost(t *testing.T, p *pair) {
	const revokes = 20 // of each kind, and as many saves, which share two statements
	const statements = 2*revokes + 2
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'sessionstore'"
	said := map[string]int{}
	for range *rounds {
		inner := storeOn(t, p.url(p.primary, p.standby, readWrite+"&pool_max_conns=50"),
			testkit.Patience)
		ids := make([]store.ID, 3*revokes)
		for i := range ids {
			ids[i] = store.ID{byte(i), 3}
			_, err := inner.Create(t.Context(),
				store.Draft{ID: ids[i], UserID: string(rune('A' + i))})
			if err != nil {
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
				switch i / revokes {
				case 0:
					_, r, errs[i] = inner.Revoke(t.Context(),
						store.Selection{UserID: string(rune('A' + i))})
				case 1:
					r, errs[i] = inner.Delete(t.Context(), id)
				case 2:
					_, errs[i] = inner.Save(t.Context(), id,
						store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage("1")}})
					return
				}
				if r.Committed != (errs[i] == nil) {
					t.Errorf("committed: %v, with the error %v", r.Committed, errs[i])
				}
			})
		}
		testkit.Eventually(t, "all wait for the standby", func() bool {
			return pgtest.One[int](t, p.primary.pool, waiting) == statements
		})
		p.primary.kill(func() {})
		thaw()
		p.standby.promote()
		wg.Wait()
		dead := p.swapped()
		for i, id := range ids {
			// 0 when the session has ended.
			version := pgtest.One[int](t, p.primary.pool,
				"SELECT coalesce((SELECT version FROM pgsession.sessions WHERE id = $1), 0)", id[:])
			err := errs[i]
			uncertain := errors.Is(err, sessionstore.ErrOutcomeUnknown) &&
				errors.Is(err, sessionstore.ErrUnavailable)
			switch kind := i / revokes; {
			case kind < 2 && uncertain:
				said["revokes that are uncertain"]++
				if version > 0 {
					said["of them not made"]++
				}
			case kind < 2 && err == nil && version == 0:
				said["revokes made by their second attempt"]++
			case kind == 2 && uncertain && (version == 1 || version == 2):
				said["saves that are uncertain"]++
			case kind == 2 && err == nil && version == 2, // not sent before the kill
				kind == 2 && errors.Is(err, sessionstore.ErrUnavailable) && !uncertain &&
					version == 1:
				said["saves that waited for their turn"]++
			default:
				t.Errorf("change %d of kind %d: %v; the version is %d", i, kind, err, version)
			}
		}
		pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
		p.renew(dead)
	}
	t.Logf("%d rounds with %d revokes and %d saves each: %v", *rounds, 2*revokes, revokes, said)
}
