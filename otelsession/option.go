package otelsession

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	scope = "github.com/reporadar/pgsession/otelsession"

	defaultPoolName      = "pgsession"
	defaultEstimateEvery = time.Minute
)

// Option changes what [NewTracer] and [Instrument] do by default.
type Option func(*config)

type config struct {
	meters        metric.MeterProvider
	tracers       trace.TracerProvider
	attributes    []attribute.KeyValue
	poolName      string
	estimateEvery time.Duration
}

func configOf(opts []Option) config {
	c := config{poolName: defaultPoolName, estimateEvery: defaultEstimateEvery}
	for _, set := range opts {
		set(&c)
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	if c.tracers == nil {
		c.tracers = otel.GetTracerProvider()
	}
	return c
}

func (c *config) meter() metric.Meter {
	return c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
}

func (c *config) tracer() trace.Tracer {
	return c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

// with adds the attributes that were asked for.
func (c *config) with(attributes ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(slices.Concat(attributes, c.attributes)...)
}

// WithMeterProvider sets where metrics go. Defaults to OpenTelemetry's global one.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithTracerProvider sets where spans go. Defaults to OpenTelemetry's global one.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// WithAttributes adds attributes to every metric and span, such as db.namespace and server.address, or a name for each of several Managers in one
// program, which would overwrite each other's metrics without one. Defaults to none.
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attributes...) }
}

// WithPoolName is what db.client.connection.pool.name says. Defaults to pgsession.
func WithPoolName(name string) Option { return func(c *config) { c.poolName = name } }

// WithEstimateInterval sets how old the counts of sessions and the time of the last prune may be, which [Instrument] asks Postgres for. They cost little, also
// on a big table. Defaults to a minute; negative is never, which leaves pgsession.sessions and pgsession.prune.age out.
func WithEstimateInterval(d time.Duration) Option { return func(c *config) { c.estimateEvery = d } }
