package sessionstore_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Health reports an emergency while it lasts, and not afterwards.
func TestHealthInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		cfg := sessionstore.Config{
			Secrets: []sessionstore.Secret{secretOne}, Logger: slog.New(slog.DiscardHandler),
		}
		m, err := sessionstore.NewManagerOver(o, cfg)
		expect(t, "error", err, nil)
		s := &site{t: t, m: m}
		old := o.MakeCached("old")
		expect(t, "zero without one", m.Metrics().Emergency, store.EmergencyStats{})

		o.BeginOutage()
		o.Make("ours")
		o.Make("another")
		_, err = o.Delete(t.Context(), old)
		expect(t, "error", err, nil)
		time.Sleep(time.Second)
		resp, answer := s.askHealth()
		expect(t, "code", resp.StatusCode, http.StatusOK)
		expect(t, "status", answer["status"], any("emergency"))
		expect(t, "store", answer["store"], any("memory"))
		since, err := time.Parse(time.RFC3339Nano, answer["emergency_since"].(string))
		if ago := time.Since(since); err != nil || ago <= 0 || ago > 3*time.Second {
			t.Errorf("since %v: %v ago, %v", answer["emergency_since"], ago, err)
		}
		stats := m.Metrics()
		expect(t, "since", stats.Emergency.Since.Equal(since), true)
		stats.Emergency.Since = time.Time{}
		expect(t, "emergency", stats.Emergency, store.EmergencyStats{InMemory: 2, Journalled: 1})
		expect(t, "misses", stats.Cache.Misses, 1)
		expect(t, "exposure", stats.Cache.MaxExposure, 30250*time.Millisecond)

		o.EndOutage()
		time.Sleep(time.Second)
		resp, answer = s.askHealth()
		expect(t, "code", resp.StatusCode, http.StatusOK)
		expect(t, "status", answer["status"], any("ok"))
		expect(t, "since", answer["emergency_since"], nil)
		expect(t, "zero afterwards", m.Metrics().Emergency, store.EmergencyStats{})
		expect(t, "events",
			m.Count(sessionstore.EventEmergencyBegan)+m.Count(sessionstore.EventEmergencyEnded), 2)
		expect(t, "sessions restored", m.CountSessions(sessionstore.EventEmergencyEnded), 2)
		expect(t, "close", m.Close(), nil)
	})
}

func TestMetricsWithoutAChain(t *testing.T) {
	expect(t, "all zero", newSite(t).m.Metrics(), sessionstore.Metrics{})
}

// Open succeeds without Postgres and Redis: sessions live in memory. Both ports
// refuse connections.
func TestOpenWithoutPostgres(t *testing.T) {
	log := &syncBuffer{}
	cfg := sessionstore.Config{
		DatabaseURL: "postgres://nobody:hunter2@127.0.0.1:1/none?sslmode=disable",
		Secrets:     []sessionstore.Secret{secretOne},
		Cache: sessionstore.CacheConfig{
			UseRedis: true, RedisURL: "redis://:hunter2@127.0.0.1:1",
			EncryptionKeys: []sessionstore.Secret{
				"00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210",
			},
		},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	m, err := sessionstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "store", m.Store().Name(), "memory")
	site := &site{t: t, m: m, store: newSpy(nil)}
	cookie := site.newcomer()
	expect(t, "a session", site.look(cookie), "user=")
	health := m.Health(context.Background())
	expect(t, "status", health.Status, "unavailable") // until Postgres answers once
	expect(t, "an emergency", health.EmergencySince != nil, true)
	stats := m.Metrics()
	expect(t, "in memory", stats.Emergency.InMemory, 1)
	expect(t, "freshness", stats.Cache.Freshness, 30*time.Second)
	if err := m.Close(); err == nil ||
		!strings.Contains(err.Error(), "1 sessions and 0 revokes lost") {
		t.Errorf("close: %v", err)
	}
	text := log.String()
	if strings.Count(text, "session emergency began") != 1 ||
		strings.Count(text, "redis unavailable at start") != 1 ||
		strings.Contains(text, "hunter2") {
		t.Errorf("the log:\n%s", text)
	}

	cfg.Cache = sessionstore.CacheConfig{LocalFreshness: time.Second}
	m, err = sessionstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "health of the local cache", m.Health(context.Background()).Cache, "ok")
	expect(t, "its exposure", m.Metrics().Cache.MaxExposure, 1250*time.Millisecond)
	expect(t, "error", m.Close(), nil)

	cfg.Outage.DisableEmergency = true
	if _, err := sessionstore.Open(t.Context(), cfg); err == nil ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("without emergencies: %v", err)
	}
}
