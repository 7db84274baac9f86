package otelsession

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/reporadar/pgsession/sessionstore"
)

// Instrument registers the metrics of a Manager: events, calls of Postgres and
// its pool, the cache, an emergency, watches, sessions and prunes.
//
// The MeterProvider reads them when it collects. That queries nothing but the
// number of sessions, see [WithEstimateInterval]. Without Postgres or a cache,
// their metrics are absent.
//
// Unregister the Registration before closing the Manager. Instrument returns
// the error of the MeterProvider.
func Instrument(m *sessionstore.Manager, opts ...Option) (metric.Registration, error) {
	return instrumented(m, opts...)
}

// source is what Instrument reads of a Manager.
type source interface {
	Metrics() sessionstore.Metrics
	Count(k sessionstore.EventKind) int64
	CountSessions(k sessionstore.EventKind) int64
	Estimate(ctx context.Context) (sessionstore.Stats, error)
}

// snapshot is the state that one collection reports.
type snapshot struct {
	sessionstore.Metrics
	count func(sessionstore.EventKind) int64
	// countSessions returns how many sessions the events of a kind concerned.
	countSessions func(sessionstore.EventKind) int64
	estimate      estimate
	poolName      string
}

// Without Postgres or a cache, their metrics are absent.
func (s *snapshot) hasPostgres() bool { return s.Postgres.Pool.Max > 0 }
func (s *snapshot) hasCache() bool    { return s.Cache.MaxExposure > 0 }

// observe reports one value of an instrument.
type observe func(value float64, attributes ...attribute.KeyValue)

// instrument is a metric that is read from a snapshot.
type instrument struct {
	name, unit, description string
	kind                    kind
	read                    func(*snapshot, observe)
}

type kind int

const (
	counter kind = iota
	upDownCounter
	gauge
)

var instruments = slices.Concat(eventInstruments, sessionInstruments, postgresInstruments,
	poolInstruments, cacheInstruments, emergencyInstruments)

func instrumented(from source, opts ...Option) (metric.Registration, error) {
	c := configOf(opts)
	made := make([]metric.Observable, len(instruments))
	writers := make([]func(metric.Observer, float64, metric.ObserveOption), len(instruments))
	var errs []error
	for i, in := range instruments {
		var err error
		made[i], writers[i], err = in.make(c.meter())
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	last := &estimates{every: c.estimateEvery, ask: from.Estimate}
	return c.meter().RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		s := snapshot{
			Metrics: from.Metrics(), count: from.Count, countSessions: from.CountSessions,
			poolName: c.poolName,
		}
		if s.Emergency.Since.IsZero() { // otherwise it would count the sessions in memory
			s.estimate = last.now(ctx)
		}
		for i, in := range instruments {
			in.read(&s, func(value float64, attributes ...attribute.KeyValue) {
				writers[i](o, value, metric.WithAttributeSet(c.with(attributes...)))
			})
		}
		return nil
	}, made...)
}

// make creates the metric: a float for seconds, otherwise an integer.
func (in *instrument) make(
	m metric.Meter,
) (metric.Observable, func(metric.Observer, float64, metric.ObserveOption), error) {
	unit, description := metric.WithUnit(in.unit), metric.WithDescription(in.description)
	if in.unit == "s" {
		var made metric.Float64Observable
		var err error
		if in.kind == counter {
			made, err = m.Float64ObservableCounter(in.name, unit, description)
		} else {
			made, err = m.Float64ObservableGauge(in.name, unit, description)
		}
		return made, func(o metric.Observer, v float64, a metric.ObserveOption) {
			o.ObserveFloat64(made, v, a)
		}, err
	}
	var made metric.Int64Observable
	var err error
	switch in.kind {
	case counter:
		made, err = m.Int64ObservableCounter(in.name, unit, description)
	case upDownCounter:
		made, err = m.Int64ObservableUpDownCounter(in.name, unit, description)
	default:
		made, err = m.Int64ObservableGauge(in.name, unit, description)
	}
	return made, func(o metric.Observer, v float64, a metric.ObserveOption) {
		o.ObserveInt64(made, int64(v), a)
	}, err
}
