package otelsession

import "go.opentelemetry.io/otel/metric"

// Source is what Instrument reads.
type Source = source

// InstrumentSource is Instrument for the double of a Manager.
func InstrumentSource(s Source, opts ...Option) (metric.Registration, error) {
	return instrumented(s, opts...)
}
