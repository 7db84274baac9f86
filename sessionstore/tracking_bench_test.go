package sessionstore

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// places are the clients of the requests. The session's own is Firefox on Linux
// at 203.0.113.5.
var places = []struct{ name, addr, agent string }{
	{"same", "203.0.113.5:1", firefoxLinux},
	{"update", "203.0.113.5:1", firefoxNewer},
	{"move", "203.0.200.9:1", firefoxLinux},
	{"suspicious", "198.51.100.7:1", chromeWindows},
}

// tracked returns a function that does a request's tracking and check only.
func tracked(tb testing.TB, addr, agent string) func() {
	m, err := NewWithStore(NewMemory(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, 0), Config{
		Secrets: []Secret{secretA}, Observer: func(context.Context, Event) {},
		TrustedProxies: client.Proxies(prefixes("10.0.0.0/8")),
		Privacy:        PrivacyConfig{IPv4Prefix: 24, IPv6Prefix: 48},
	})
	if err != nil {
		tb.Fatal(err)
	}
	r := requestFrom("10.0.0.1:1", addr[:len(addr)-2])
	r.Header.Set("User-Agent", agent)
	x := &requestState{core: &m.core, request: r}
	rec := store.Record{UserID: "ada", Client: clientAt("203.0.113.0", firefoxLinux)}
	ctx := context.Background()
	return func() {
		x.session.rec = rec
		x.session.client = m.clientOf(r)
		x.suspect(ctx)
	}
}

// Tracking and the check add at most two allocations to a request.
// BenchmarkTracking measures the time.
func TestTrackingAllocatesLittle(t *testing.T) {
	for _, place := range places {
		if n := testing.AllocsPerRun(100, tracked(t, place.addr, place.agent)); n > 2 {
			t.Errorf("%s: %v allocations, want 2 at most", place.name, n)
		}
	}
}

// BenchmarkTracking measures what tracking and the check add to a request: at
// most 2 µs and two allocations.
func BenchmarkTracking(b *testing.B) {
	for _, place := range places {
		b.Run(place.name, func(b *testing.B) {
			track := tracked(b, place.addr, place.agent)
			b.ReportAllocs()
			for b.Loop() {
				track()
			}
		})
	}
}

// BenchmarkTrackedRequest measures a whole request over a store in memory, with
// and without tracking.
func BenchmarkTrackedRequest(b *testing.B) {
	for _, setup := range []struct {
		name string
		cfg  Config
	}{{
		"off", Config{Privacy: PrivacyConfig{DisableMetadata: true}},
	}, {"tracked", Config{Suspicion: SuspicionConfig{DisableCheck: true}}}, {"checked", Config{}}} {
		b.Run(setup.name, func(b *testing.B) {
			cfg := setup.cfg
			cfg.Secrets, cfg.Logger = []Secret{secretA},
				slog.New(slog.NewTextHandler(io.Discard, nil))
			m, err := NewWithStore(NewMemory(cfg.Expiry(), 0), cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			handler := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s, err := FromContext(r.Context())
				if err == nil && s.UserID() == "" {
					err = s.Login(r.Context(), "ada")
				}
				if err != nil {
					b.Error(err)
				}
			}))
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
			r.RemoteAddr = "203.0.113.5:1"
			r.Header.Set("User-Agent", firefoxLinux)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			r.AddCookie(w.Result().Cookies()[0])
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{}, r)
			}
		})
	}
}

type discard struct{}

func (discard) Header() http.Header { return http.Header{} }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (discard) WriteHeader(int) {}

func requestFrom(remote string, forwarded ...string) *http.Request {
	return &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": forwarded}}
}
