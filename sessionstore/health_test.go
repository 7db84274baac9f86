package sessionstore_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// askHealth requests the endpoint and decodes its answer.
func (s *site) askHealth() (*http.Response, map[string]any) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.m.HealthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Errorf("the answer is no JSON: %q", w.Body)
	}
	return w.Result(), answer
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.newcomer()
		time.Sleep(8 * 24 * time.Hour)
		site.newcomer()

		resp, answer := site.askHealth()
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "Content-Type", resp.Header.Get("Content-Type"), "application/json")
		expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
		expect(t, "status", answer["status"], any("ok"))
		expect(t, "store", answer["store"], any("memory"))
		sessions := answer["sessions"].(map[string]any)
		expect(t, "total", sessions["total"], any(2.0))
		expect(t, "active", sessions["active"], any(1.0))
		expect(t, "expired", sessions["expired"], any(1.0))
		expect(t, "exact", sessions["exact"], any(true))
		if age, ok := answer["last_prune_age_seconds"]; ok {
			t.Errorf("the last prune was %v seconds ago, before there was any", age)
		}
		expect(t, "calls of the store", site.store.asked(), "stats")

		_, err := site.m.Prune(t.Context())
		site.check(err)
		time.Sleep(90 * time.Second)
		_, answer = site.askHealth()
		expect(t, "age of the last prune", answer["last_prune_age_seconds"], any(90.0))
	})
}

func TestHealthWhenTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.store.Down(store.OpStats)
		resp, answer := site.askHealth()
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "Content-Type", resp.Header.Get("Content-Type"), "application/json")
		expect(t, "status", answer["status"], any("unavailable"))
		expect(t, "store", answer["store"], any("memory"))
		expect(t, "sessions", answer["sessions"], nil)
		expect(t, "what else it says", len(answer), 2)

		site.store.Up()
		time.Sleep(time.Second)
		resp, _ = site.askHealth()
		expect(t, "status when it is up again", resp.StatusCode, http.StatusOK)
	})
}

func TestHealthQueriesOnceASecond(t *testing.T) {
	for _, down := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t)
			if down {
				site.store.Down(store.OpStats)
			}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() { site.askHealth() })
			}
			all.Wait()
			time.Sleep(time.Second - time.Nanosecond)
			site.askHealth()
			expect(t, "calls of the store", site.store.asked(), "stats")
			time.Sleep(time.Nanosecond)
			site.askHealth()
			expect(t, "calls of the store after a second", site.store.asked(), "stats")
		})
	}
}

func TestHealthOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		held := site.store.hold(store.OpStats)
		defer held.Release()
		start := time.Now()
		resp, _ := site.askHealth()
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "time", time.Since(start), 2*time.Second)
	})
}

// Several clients wait for one query. A client that disconnects must not make
// it fail.
func TestHealthAfterDisconnect(t *testing.T) {
	site := newSite(t)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	expect(t, "status", site.m.Health(ctx).Status, "ok")
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.newcomer()
		for name, f := range map[string]func(context.Context) (sessionstore.Stats, error){
			"exact": site.m.Stats, "estimated": site.m.Estimate,
		} {
			stats, err := f(t.Context())
			site.check(err)
			expect(t, "stats", stats,
				sessionstore.Stats{Total: 1, Active: 1, Exact: true, CountedAt: time.Now()})
			calls := site.store.of(store.OpStats)
			expect(t, "exact", calls[len(calls)-1].Exact, name == "exact")
			down := site.store.Down()
			if _, err := f(t.Context()); err == nil ||
				!strings.Contains(err.Error(), "sessionstore: stats: ") {
				t.Errorf("%s of a store that is down: %v", name, err)
			}
			down.Release()
		}
	})
}
