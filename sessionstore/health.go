package sessionstore

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// The store is queried at most this often, whatever the rate of requests.
	healthEvery   = time.Second
	healthTimeout = 2 * time.Second
)

// Health is the answer of [Manager.HealthHandler].
type Health struct {
	// Status is "ok"; "emergency" while Postgres is unavailable and new
	// sessions live in memory; or "unavailable", also in an emergency until
	// this process has once reached Postgres and found the schema.
	Status string `json:"status"`
	// EmergencySince is when the emergency began; nil without one.
	EmergencySince *time.Time `json:"emergency_since,omitempty"`
	// Store is the name of the store in use: "postgres", "redis, postgres" with
	// the cache, or "memory", as in an emergency.
	Store string `json:"store"`
	// Cache is "ok", "degraded" while Redis answers reads and refuses writes,
	// or "unavailable"; empty without one. No request depends on it. That of
	// this process is always "ok".
	Cache string `json:"cache,omitempty"`
	// Sessions has the counts, estimated on a big table; nil if the store is
	// unavailable. If they are Capped, Active is an upper bound.
	Sessions *Stats `json:"sessions,omitempty"`
	// Profile is the [Config]'s; empty without one.
	Profile string `json:"profile,omitempty"`
	// Deviations are those of [Config.Deviations].
	Deviations []string `json:"deviations,omitempty"`
	// LegacyUntil is when [LegacyConfig.Until] ends; nil without one, and when
	// it is over.
	LegacyUntil *time.Time `json:"legacy_until,omitempty"`
	// Adopted is how many sessions of another library this process has taken
	// over.
	Adopted int64 `json:"adopted,omitempty"`
	// LastPruneAge is the time in seconds since the last prune of any instance;
	// nil if there was none.
	LastPruneAge *float64 `json:"last_prune_age_seconds,omitempty"`
}

// health keeps the last answer for a moment.
type health struct {
	mu    sync.Mutex
	last  Health
	asked time.Time
}

// Health reports whether the store is available. It queries the store at most
// once a second, for at most 2 s.
func (m *Manager) Health(ctx context.Context) Health {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if !m.health.asked.IsZero() && time.Since(m.health.asked) < healthEvery {
		return m.health.last
	}
	// Others wait for this answer: it must not fail because one of them hung
	// up.
	timeout := min(healthTimeout, m.cfg.StoreTimeout)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	h := Health{Status: "ok", Store: m.store.Name()}
	if stats, err := m.store.Stats(ctx, false); err != nil {
		h.Status = "unavailable"
	} else {
		h.Sessions = &stats
		if !stats.LastPruneAt.IsZero() {
			age := max(0, stats.CountedAt.Sub(stats.LastPruneAt).Seconds())
			h.LastPruneAge = &age
		}
	}
	m.chain.describe(&h)
	if m.cfg.Profile != noProfile {
		h.Profile, h.Deviations = m.cfg.Profile.String(), m.cfg.Deviations()
	}
	if m.legacy.open() {
		h.LegacyUntil = &m.legacy.Until
	}
	h.Adopted = m.Count(EventAdopted)
	m.health.last, m.health.asked = h, time.Now()
	return h
}

// HealthHandler returns a handler that answers with [Health] as JSON: 200 if
// sessions can be served, be it in an emergency, and 503 if not. It is 503
// until this process has reached Postgres and found the schema, so that a
// deploy with a wrong DATABASE_URL stops. Use it for readiness. For liveness
// use an endpoint that needs no sessions: restarting a process ends the
// sessions of its emergency. It shows only counts, but is for operators: keep
// it off the public side.
func (m *Manager) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := m.Health(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status == "unavailable" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h)
	})
}
