package otelsession_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
)

// BenchmarkRequest measures a request that loads its session from memory:
// without a Tracer, with metrics alone, and with a recorded span.
func BenchmarkRequest(b *testing.B) {
	k := newTelemetry(b)
	tracer := func(opts ...trace.TracerProviderOption) sessionstore.Tracer {
		provider := otelsession.WithTracerProvider(trace.NewTracerProvider(opts...))
		return otelsession.NewTracer(k.options(provider)...)
	}
	for _, setup := range []struct {
		name   string
		tracer sessionstore.Tracer
	}{
		{"untraced", nil},
		{"measured", tracer(trace.WithSampler(trace.NeverSample()))},
		{"traced", tracer()},
	} {
		b.Run(setup.name, func(b *testing.B) {
			m, err := sessionstore.NewWithStore(sessionstore.NewMemory(weekly, 0),
				sessionstore.Config{
					Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
					Logger:  slog.New(slog.DiscardHandler), Tracer: setup.tracer,
				})
			if err != nil {
				b.Fatal(err)
			}
			handler := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s, err := sessionstore.FromContext(r.Context())
				if err == nil && !s.Has("seen") {
					err = s.Set("seen", true)
				}
				if err != nil {
					b.Error(err)
				}
			}))
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			r.AddCookie(w.Result().Cookies()[0])
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
