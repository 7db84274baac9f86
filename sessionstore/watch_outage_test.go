package sessionstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func withRedis(cfg *sessionstore.Config) {
	cfg.Cache.UseRedis, cfg.Cache.RedisURL = true, "redis://redis.example"
	cfg.Cache.EncryptionKeys = []sessionstore.Secret{
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	}
}

func TestWatchDuringOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		change   func(*sessionstore.Config)
		patience time.Duration
	}{
		"without a cache": {func(*sessionstore.Config) {}, 30 * time.Second},
		"as the cache would": {func(cfg *sessionstore.Config) {
			withRedis(cfg)
			cfg.Cache.Freshness, cfg.Outage.Grace = time.Minute, time.Minute
		}, 2 * time.Minute},
		"no sooner with a strict cache": {
			func(cfg *sessionstore.Config) { withRedis(cfg); cfg.Cache.DisableServing = true },
			30 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t, tt.change)
				cookie := site.user("ada")
				st := site.open(t, cookie, nothing)
				pass(10 * time.Second)

				site.store.Down(store.OpAlive)
				pass(tt.patience - time.Second)
				st.expect("in an outage", nil)
				expect(t, "events", site.seen(), "session watch failed") // one event per outage
				site.store.Up()
				pass(10 * time.Second)
				st.expect("after the outage", nil)

				site.store.Down(store.OpAlive)
				site.end(st.id())
				pass(tt.patience + time.Second)
				st.expect("in an outage that lasts", sessionstore.ErrUnavailable)
				expect(t, "events", site.seen(), "session watch failed")
				pass(time.Hour)
				expect(t, "events without a watch", site.seen(), "")
			})
		})
	}
}

// A store that hangs delays the next query. There are never two at once.
func TestWatchRunsOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = 10 * time.Second })
		st := site.open(t, site.user("ada"), nothing)
		held := site.store.hold(store.OpAlive)
		pass(9 * time.Second)
		expect(t, "queries while one hangs", held.Count(), 1)
		held.Release()
		site.store.Up()
		pass(0)
		site.asksAlive()
		pass(3 * time.Second)
		if n := site.asksAlive(); n < 3 || n > 4 {
			t.Errorf("%d queries in the three seconds after", n)
		}
		st.expect("after it hung", nil)
		st.close()
		pass(0)
	})
}

// A store that hangs keeps a connection open no longer than one that fails: for
// the bound and a second.
func TestWatchEndsWhileStoreHangs(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 7 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = timeout })
			st := site.open(t, site.user("ada"), nothing)
			pass(3500 * time.Millisecond)
			site.store.hold(store.OpAlive)
			pass(29 * time.Second)
			st.expect("before the bound", nil)
			pass(2 * time.Second)
			st.expect("a second after the bound", sessionstore.ErrUnavailable)
		})
	}
}

func TestCloseEndsWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		st := site.open(t, cookie, nothing)
		site.check(site.m.Close())
		pass(0)
		st.expect("after Close", sessionstore.ErrUnavailable)
		late := site.open(t, cookie, nothing)
		pass(0)
		late.expect("one that comes too late", sessionstore.ErrUnavailable)
		pass(time.Hour)
		expect(t, "queries", site.asksAlive(), 0)
	})
}

func TestCloseWaitsForACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.open(t, site.user("ada"), nothing)
		held := site.store.hold(store.OpAlive)
		arrived(t, held)
		closed := make(chan error, 1)
		go func() { closed <- site.m.Close() }()
		synctest.Wait()
		expect(t, "Close returned while a check was in the store", len(closed), 0)
		held.Release()
		expect(t, "Close", <-closed, nil)
	})
}
