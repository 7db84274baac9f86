package otelsession_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reporadar/pgsession/otelsession"
)

// telemetry is the SDK of OpenTelemetry, which keeps spans and metrics in
// memory.
type telemetry struct {
	t      testing.TB
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
	spans  *tracetest.InMemoryExporter
	tracer *trace.TracerProvider
}

func newTelemetry(t testing.TB) *telemetry {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
	return &telemetry{
		t: t, reader: reader, meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		spans: spans, tracer: trace.NewTracerProvider(trace.WithSyncer(spans)),
	}
}

// options select both providers.
func (k *telemetry) options(more ...otelsession.Option) []otelsession.Option {
	return append([]otelsession.Option{
		otelsession.WithMeterProvider(k.meters), otelsession.WithTracerProvider(k.tracer),
	}, more...)
}

// point is a value of a metric; of a histogram, its count.
type point struct {
	metric     metricdata.Metrics
	kind       string
	attributes attribute.Set
	value      float64
}

// collect reads all metrics.
func (k *telemetry) collect() (points []point) {
	k.t.Helper()
	var all metricdata.ResourceMetrics
	if err := k.reader.Collect(k.t.Context(), &all); err != nil {
		k.t.Fatal(err)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			points = append(points, pointsOf(m)...)
		}
	}
	return points
}

func pointsOf(m metricdata.Metrics) (points []point) {
	add := func(kind string, a attribute.Set, v float64) {
		points = append(points, point{m, kind, a, v})
	}
	sum := func(monotonic bool) string {
		if monotonic {
			return "counter"
		}
		return "updowncounter"
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(sum(data.IsMonotonic), p.Attributes, float64(p.Value))
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			add(sum(data.IsMonotonic), p.Attributes, p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			add("gauge", p.Attributes, float64(p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			add("gauge", p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			add("histogram", p.Attributes, float64(p.Count))
		}
	default:
		panic(fmt.Sprintf("%s is a %T", m.Name, m.Data))
	}
	return points
}

// has returns the value of a metric with these attributes, each as key=value.
func has(points []point, name string, attributes ...string) (value float64, found bool) {
	for _, p := range points {
		if p.metric.Name == name && !slices.ContainsFunc(attributes, func(a string) bool {
			key, want, _ := strings.Cut(a, "=")
			got, ok := p.attributes.Value(attribute.Key(key))
			return !ok || got.String() != want
		}) {
			value, found = value+p.value, true
		}
	}
	return value, found
}

// counts fails unless a metric has this value.
func (k *telemetry) counts(want float64, name string, attributes ...string) {
	k.t.Helper()
	if got, found := has(k.collect(), name, attributes...); !found || got != want {
		k.t.Errorf("%s%v is %v (found: %v), want %v", name, attributes, got, found, want)
	}
}

// lacks fails if a metric has a value.
func (k *telemetry) lacks(name string, attributes ...string) {
	k.t.Helper()
	if got, found := has(k.collect(), name, attributes...); found {
		k.t.Errorf("%s%v is %v, want none", name, attributes, got)
	}
}

// attributeOf returns an attribute of a span as a string, or "".
func attributeOf(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}
