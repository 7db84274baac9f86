package otelsession

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Tracer records spans and durations of calls of a store. Create one with
// [NewTracer] and set it in the Config. It is safe for concurrent use and for
// several Managers.
type Tracer struct {
	config   config
	spans    trace.Tracer
	calls    metric.Float64Histogram
	requests metric.Float64Histogram // of the database

	// measure to metric.MeasurementOption. There are few, and creating one
	// costs more than recording it.
	recordings sync.Map
}

var _ sessionstore.Tracer = (*Tracer)(nil)

// measure identifies a duration: what its attributes are made of.
type measure struct {
	call     sessionstore.Call
	outcome  outcome
	sqlState string
}

// Loads take fractions of a millisecond, below the boundaries of the
// conventions.
var boundaries = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
}

// Boundaries of the conventions for db.client.operation.duration.
var databaseBoundaries = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}

// NewTracer creates a Tracer. The error handler of OpenTelemetry gets errors of
// the MeterProvider.
func NewTracer(opts ...Option) *Tracer {
	c := configOf(opts)
	t := &Tracer{config: c, spans: c.tracer()}
	var err error
	t.calls, err = c.meter().Float64Histogram("pgsession.operation.duration", metric.WithUnit("s"),
		metric.WithDescription(
			"Duration of calls of the session store, the cache and Postgres, with the wait for a "+
				"slot."),
		metric.WithExplicitBucketBoundaries(boundaries...))
	if err != nil {
		otel.Handle(err)
	}
	requests, err := dbconv.NewClientOperationDuration(c.meter(),
		metric.WithExplicitBucketBoundaries(databaseBoundaries...))
	if err != nil {
		otel.Handle(err)
	}
	t.requests = requests.Inst()
	return t
}

type startedKey struct{}

// started is a call in progress. A statement has no span; the calls that share
// it have.
type started struct {
	at   time.Time
	span trace.Span
}

// TraceStart implements [sessionstore.Tracer].
func (t *Tracer) TraceStart(ctx context.Context, c sessionstore.Call) context.Context {
	s := &started{at: time.Now()}
	if c.Layer != store.LayerStatement {
		name, opts := t.describe(c)
		ctx, s.span = t.spans.Start(ctx, name, opts...)
	}
	return context.WithValue(ctx, startedKey{}, s)
}

// TraceEnd implements [sessionstore.Tracer].
func (t *Tracer) TraceEnd(ctx context.Context, c sessionstore.Call, r sessionstore.CallResult) {
	s, ok := ctx.Value(startedKey{}).(*started)
	if !ok {
		return
	}
	o := outcomeOf(c, r)
	took, under := time.Since(s.at).Seconds(), t.recording(measure{c, o, r.SQLState})
	if c.Layer == store.LayerStatement {
		t.requests.Record(ctx, took, under)
		return
	}
	t.calls.Record(ctx, took, under)
	if s.span.IsRecording() {
		s.span.SetAttributes(resultKey.String(o.result))
		if r.Calls > 0 {
			s.span.SetAttributes(callsKey.Int(r.Calls))
		}
		if o.failed != "" {
			s.span.SetAttributes(semconv.ErrorTypeKey.String(o.failed))
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End()
}

// describe returns the name of a call's span and its first attributes.
func (t *Tracer) describe(c sessionstore.Call) (name string, opts []trace.SpanStartOption) {
	name, kind := string(c.Layer)+" "+string(c.Operation), trace.SpanKindInternal
	attributes := []attribute.KeyValue{
		layerKey.String(string(c.Layer)), operationKey.String(string(c.Operation)),
	}
	switch c.Layer {
	case store.LayerCache:
		kind = trace.SpanKindClient
		attributes = append(attributes, redis[c.Operation]...)
	case store.LayerPostgres:
		kind = trace.SpanKindClient
		attributes = append(attributes, sql[c.Operation]...)
		for _, a := range sql[c.Operation] {
			if a.Key == semconv.DBQuerySummaryKey {
				name = a.Value.AsString()
			}
		}
	}
	attributes = append(attributes, t.config.attributes...)
	return name, []trace.SpanStartOption{
		trace.WithSpanKind(kind), trace.WithAttributes(attributes...),
	}
}

func (t *Tracer) recording(m measure) metric.MeasurementOption {
	if made, ok := t.recordings.Load(m); ok {
		return made.(metric.MeasurementOption)
	}
	made := metric.WithAttributeSet(t.config.with(m.attributes()...))
	t.recordings.Store(m, made)
	return made
}

func (m measure) attributes() []attribute.KeyValue {
	if m.call.Layer != store.LayerStatement {
		attributes := []attribute.KeyValue{
			layerKey.String(string(m.call.Layer)), operationKey.String(string(m.call.Operation)),
			resultKey.String(m.outcome.result),
		}
		if m.outcome.failed != "" {
			attributes = append(attributes, semconv.ErrorTypeKey.String(m.outcome.failed))
		}
		return attributes
	}
	attributes := append([]attribute.KeyValue{operationKey.String(string(m.call.Operation))},
		sql[m.call.Operation]...)
	switch {
	case m.sqlState != "":
		attributes = append(attributes, semconv.DBResponseStatusCode(m.sqlState),
			semconv.ErrorTypeKey.String(m.sqlState))
	case m.outcome.failed != "":
		attributes = append(attributes, semconv.ErrorTypeKey.String(m.outcome.failed))
	}
	return attributes
}
