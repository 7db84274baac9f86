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

// Option configures [NewTracer] and [Instrument].
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

// with adds the attributes of WithAttributes.
func (c *config) with(attributes ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(slices.Concat(attributes, c.attributes)...)
}

// WithMeterProvider sets the provider of metrics. Default: the global one.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithTracerProvider sets the provider of spans. Default: the global one.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// WithAttributes adds attributes to every metric and span, such as db.namespace
// and server.address. Several Managers in one program need one with a different
// value each: otherwise they overwrite each other's metrics. Default: none.
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attributes...) }
}

// WithPoolName sets db.client.connection.pool.name. Default: pgsession.
func WithPoolName(name string) Option { return func(c *config) { c.poolName = name } }

// WithEstimateInterval sets the longest age of the number of sessions and of
// the time of the last prune. [Instrument] queries Postgres for both when they
// are older, which is cheap on a large table too. Default: one minute. Negative
// means never: pgsession.sessions and pgsession.prune.age are absent then.
func WithEstimateInterval(d time.Duration) Option { return func(c *config) { c.estimateEvery = d } }
