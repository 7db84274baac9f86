package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// freshness is short, so that a test can see it pass.
const freshness = time.Second

// program has its sessions in Postgres with Redis in front, and reports
// everything to OpenTelemetry.
type program struct {
	t        testing.TB
	sessions *sessionstore.Manager
	admin    *pgxpool.Pool
	redis    *redistest.Server
	spans    *tracetest.InMemoryExporter
	registry *client.Registry
}

func newProgram(t testing.TB, configure ...func(*sessionstore.Config)) *program {
	t.Helper()
	database := pgtest.Database(t)
	p := &program{
		t: t, admin: pgtest.Pool(t, database), redis: redistest.Start(t),
		spans: tracetest.NewInMemoryExporter(), registry: client.NewRegistry(),
	}
	exporter, err := prometheus.New(prometheus.WithRegisterer(p.registry))
	if err != nil {
		t.Fatal(err)
	}
	options := []otelsession.Option{
		otelsession.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))),
		otelsession.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(p.spans))),
		otelsession.WithEstimateInterval(0),
	}
	cfg := sessionstore.Config{
		DatabaseURL: sessionstore.Secret(database),
		Secrets:     []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Cache: sessionstore.CacheConfig{
			UseRedis: true, RedisURL: sessionstore.Secret(p.redis.URL),
			EncryptionKeys: []sessionstore.Secret{
				"8d6f1c0e57a24b93d0c8e2f1a6b7954d3e0a1b2c4d5f60718293a4b5c6d7e8f9",
			}, Freshness: freshness,
		},
		DisablePrune: true, Logger: slog.New(slog.DiscardHandler),
		Tracer: otelsession.NewTracer(options...),
	}
	for _, c := range configure {
		c(&cfg)
	}
	if p.sessions, err = sessionstore.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sessions.Close() })
	registration, err := otelsession.Instrument(p.sessions, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registration.Unregister() })
	return p
}

var change = store.Change{Set: map[string]json.RawMessage{"seen": json.RawMessage("true")}}

// create makes sessions of a user.
func (p *program) create(userID string, n int) []store.ID {
	p.t.Helper()
	ids := make([]store.ID, n)
	for i := range ids {
		ids[i] = testkit.NewID()
		_, err := p.sessions.Store().Create(p.t.Context(), store.Draft{ID: ids[i], UserID: userID})
		p.check(err)
	}
	return ids
}

func (p *program) load(id store.ID) {
	p.t.Helper()
	_, err := p.sessions.Store().Load(p.t.Context(), id, 0)
	p.check(err)
}

func (p *program) save(id store.ID) {
	p.t.Helper()
	_, err := p.sessions.Store().Save(p.t.Context(), id, change)
	p.check(err)
}

func (p *program) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}

// company saves each of the sessions, the first two alone and all others in one
// statement. It returns when they are saved.
func (p *program) company(ids []store.ID) {
	p.t.Helper()
	const alone = 2 // statements of one kind at once
	ctx := p.t.Context()
	tx, err := p.admin.Begin(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "LOCK TABLE pgsession.sessions IN SHARE MODE"); err != nil {
		p.t.Fatal(err)
	}
	before := p.sessions.Metrics().Postgres.Saves.Calls
	called := func(n int) {
		testkit.Eventually(p.t, "all calls are made", func() bool {
			return p.sessions.Metrics().Postgres.Saves.Calls == before+int64(n)
		})
	}
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { p.save(id) })
		if i < alone {
			called(i + 1)
		}
	}
	called(len(ids))
	p.check(tx.Rollback(ctx))
	all.Wait()
}

// full returns a program in which all of it happened: loads that hit and miss,
// shared statements, a failure, a prune.
func full(t *testing.T) *program {
	t.Helper()
	p := newProgram(t)
	p.everything()
	return p
}

func (p *program) everything() {
	p.t.Helper()
	ctx := p.t.Context()
	ids := p.create("ada", 6)
	before := p.sessions.Metrics().Cache
	p.company(ids)
	testkit.Eventually(p.t, "a load hits and one misses", func() bool {
		p.load(newCreated(p))
		p.load(ids[0])
		c := p.sessions.Metrics().Cache
		return c.Hits > before.Hits && c.Misses > before.Misses && c.Fills > before.Fills
	})
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.sessions.Store().Load(gone,
		testkit.NewID(), 0); !errors.Is(err, context.Canceled) {
		p.t.Errorf("a load whose caller has left: %v", err)
	}
	late, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	if _, err := p.sessions.Store().Save(late,
		ids[0], change); !errors.Is(err, sessionstore.ErrUnavailable) {
		p.t.Errorf("a save that is too late: %v", err)
	}
	if _, err := p.admin.Exec(ctx,
		"UPDATE pgsession.sessions SET expires_at = now() - interval '1 hour' WHERE id = $1",
		ids[1][:]); err != nil {
		p.t.Fatal(err)
	}
	if n, err := p.sessions.Prune(ctx); n != 1 || err != nil {
		p.t.Errorf("pruned %d, %v", n, err)
	}
	_, err := p.sessions.Store().Delete(ctx, ids[2])
	p.check(err)
}

// series is what Prometheus would scrape of one metric: the labels of its
// series and their values.
type series struct {
	labels map[string]string
	value  float64
}

func (p *program) scrape() map[string][]series {
	p.t.Helper()
	found := map[string][]series{}
	for _, sample := range p.samples() {
		one := series{labels: map[string]string{}, value: float64(sample.Value)}
		for name, value := range sample.Metric {
			one.labels[string(name)] = string(value)
		}
		name := one.labels[model.MetricNameLabel]
		found[name] = append(found[name], one)
	}
	return found
}

// samples returns what Prometheus would read now.
func (p *program) samples() model.Vector {
	p.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, families...)
	if err != nil {
		p.t.Fatal(err)
	}
	return samples
}
