package otelsession

import "go.opentelemetry.io/otel/metric"

// Source is what counts.
type Source = source

// InstrumentSource is Instrument for a Manager that a test makes up.
func InstrumentSource(s Source, opts ...Option) (metric.Registration, error) {
	return instrumented(s, opts...)
}
