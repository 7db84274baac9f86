package telemetry_test

import (
	"errors"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// watchman evaluates the alerts on what a real program reports, at made-up
// times.
type watchman struct {
	*program
	past   *past
	alerts map[string]*alert
	next   int // minute
	firing map[string]notice
}

func watch(p *program) *watchman {
	w := &watchman{program: p, past: newPast(p.t), alerts: alerts(p.t)}
	for _, name := range []string{"PgsessionEmergency", "PgsessionLoadsSlow", "PgsessionPoolBusy"} {
		delete(w.alerts, name) // whether they fire depends on how long the test takes
	}
	return w
}

// minutes runs so many. In each of them happens runs and the program is
// scraped.
func (w *watchman) minutes(n int, happens func()) {
	w.t.Helper()
	for range n {
		happens()
		at := minute(w.next)
		w.past.scrape(w.program, at)
		w.firing = map[string]notice{}
		for name, rule := range w.alerts {
			for _, n := range rule.evaluate(w.past, at) {
				w.firing[name] = n
			}
		}
		w.next++
	}
}

// want fails unless these alerts fire, and no others.
func (w *watchman) want(when string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		if _, fires := w.firing[name]; !fires {
			w.t.Errorf("%s: %s does not fire", when, name)
		}
		delete(w.firing, name)
	}
	for name, n := range w.firing {
		w.t.Errorf("%s: %s fires: %v", when, name, n)
	}
}

func nothing() {}

func TestAlertsWhileRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	w := watch(newProgram(t))
	open := func() bool { return w.sessions.Metrics().Cache.Open }
	ids := w.create("ada", 3)
	w.minutes(6, func() {
		w.load(ids[0])
		// It may have been too slow on a busy machine.
		testkit.Eventually(t, "Redis is used", func() bool { return !open() })
	})
	w.want("before")
	w.redis.Pause()
	defer w.redis.Resume()
	testkit.Eventually(t, "Redis is left alone", func() bool { w.load(ids[0]); return open() })
	if r, err := w.sessions.Store().Delete(t.Context(), ids[1]); err != nil || r.MaxExposure == 0 {
		t.Errorf("a revoke that the cache did not hear of: %+v, %v", r, err)
	}
	w.minutes(5, func() { w.load(ids[0]) })
	w.want("not yet", "PgsessionTombstonesLost")
	w.minutes(1, nothing)
	w.want("Redis is unavailable", "PgsessionRedisUnavailable", "PgsessionTombstonesLost")
	w.redis.Resume()
	testkit.Eventually(t, "Redis is used again", func() bool { return !open() })
	w.minutes(1, nothing)
	w.want("Redis is available", "PgsessionTombstonesLost")
	w.minutes(10, nothing)
	w.want("afterwards")
}

func TestAlertsOfARedisThatRefuses(t *testing.T) {
	t.Parallel()
	w := watch(newProgram(t))
	failed := func() int64 { return w.sessions.Metrics().Cache.FillsFailed }
	w.redis.Do("REPLICAOF", "127.0.0.1", "1") // it serves reads, and refuses writes
	fail := func() {
		before := failed()
		testkit.Eventually(t, "a fill fails", func() bool {
			w.load(newCreated(w.program))
			return failed() > before
		})
	}
	w.minutes(11, fail)
	w.want("not yet")
	w.minutes(1, fail)
	w.want("Redis refuses", "PgsessionRedisRefuses")
	w.redis.Do("REPLICAOF", "NO", "ONE")
	w.minutes(6, nothing)
	w.want("afterwards")
}

// The schema is dropped, the server stops and starts without it, and then the
// schema is there again.
func TestAlertsWhilePostgresIsUnavailable(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, nil)
	w := watch(newProgram(t, func(c *sessionstore.Config) {
		c.DatabaseURL, c.Cache.UseRedis = sessionstore.Secret(cluster.URL), false
	}))
	id := newCreated(w.program)
	w.minutes(6, func() { w.load(id) })
	w.want("before")
	rename := func(from, to string) {
		pgtest.Exec(t, cluster.Pool(), "ALTER TABLE pgsession."+from+" RENAME TO "+to)
	}
	rename("sessions", "elsewhere")
	fail := func() error {
		_, err := w.sessions.Store().Load(t.Context(), id, 0)
		if err == nil {
			t.Error("loaded, and there is nothing to load from")
		}
		return err
	}
	count := w.sessions.Count
	w.minutes(7, func() { _ = fail() })
	w.want("no table", "PgsessionCallsFail")
	cluster.Stop()
	testkit.Eventually(t, "the emergency begins", func() bool {
		return errors.Is(fail(), sessionstore.ErrUnavailable) &&
			count(sessionstore.EventEmergencyBegan) == 1
	})
	w.minutes(1, nothing)
	w.want("no server", "PgsessionCallsFail")
	cluster.Restart()
	testkit.Eventually(t, "the emergency is not ended", func() bool {
		return count(sessionstore.EventRestoreFailed) > 0
	})
	w.minutes(1, nothing)
	w.want("a server without the table", "PgsessionCallsFail", "PgsessionEmergencyNotEnded")
	w.minutes(20, func() { _ = fail() })
	w.want("as before", "PgsessionCallsFail", "PgsessionEmergencyNotEnded")
	rename("elsewhere", "sessions")
	testkit.Eventually(t, "the emergency is ended", func() bool {
		return count(sessionstore.EventEmergencyEnded) == 1
	})
	w.minutes(1, func() { w.load(id) })
	w.want("it is over, but not for the last five minutes", "PgsessionCallsFail")
	w.minutes(5, func() { w.load(id) })
	w.want("afterwards")
}

func TestAlertsOfSessionsThatAreNotPruned(t *testing.T) {
	t.Parallel()
	w := watch(newProgram(t, func(c *sessionstore.Config) { c.Cache.UseRedis = false }))
	const expire = `UPDATE pgsession.sessions SET expires_at = now() - interval '1 hour'`
	w.create("ada", 1000)
	pgtest.Exec(t, w.admin, expire)
	w.minutes(11, nothing)
	w.want("a thousand that are expired, and there never was a prune")
	w.create("ada", 1)
	pgtest.Exec(t, w.admin, expire)
	w.minutes(10, nothing)
	w.want("one more, and not for long enough")
	w.minutes(1, nothing)
	w.want("one more", "PgsessionNotPruned")
	prune := func(want int) {
		if n, err := w.sessions.Prune(t.Context()); n != want || err != nil {
			t.Errorf("pruned %d, %v; want %d", n, err, want)
		}
	}
	prune(1001)
	w.minutes(1, nothing)
	w.want("pruned")
	pgtest.Exec(t, w.admin,
		`UPDATE pgsession.prune_state SET last_prune_at = last_prune_at - interval '61 minutes'`)
	w.minutes(11, nothing)
	w.want("pruned an hour ago", "PgsessionNotPruned")
	prune(0)
	w.minutes(1, nothing)
	w.want("pruned again")
}
