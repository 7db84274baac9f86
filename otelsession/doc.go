// Package otelsession reports the sessions of pgsession as OpenTelemetry
// metrics and spans.
//
// [NewTracer] creates the [sessionstore.Tracer] for a Config: it records spans
// and durations of calls of the session store, the cache and Postgres.
// [Instrument] registers the counters of a Manager. Each works without the
// other.
//
//	cfg.Tracer = otelsession.NewTracer()
//	sessions, err := sessionstore.Open(ctx, cfg)
//	…
//	registration, err := otelsession.Instrument(sessions)
//
// Both use the global providers of OpenTelemetry unless an option gives others.
// The program sets up exporters and samplers.
//
// # Names
//
// Names are those of version 1.43.0 of the semantic conventions where it has
// one, such as db.client.operation.duration and error.type. Others begin with
// pgsession. docs/reference/metrics.md has all metrics, docs/operations a
// dashboard and alert rules.
//
// # What they never contain
//
// Tokens, ids, handles, users, addresses and data of sessions. Each attribute
// has few values, all known beforehand.
//
// # Spans
//
// A load that the cache can't answer makes three spans, and a fill after them:
//
//	session load
//	├─ cache get         pgsession.result=miss
//	├─ SELECT sessions   db.system.name=postgresql,
//	│                    pgsession.statement.calls=12
//	└─ cache fill        pgsession.result=stored; after the response
//
// Concurrent calls share statements, and round trips to Redis. Each call has a
// span of its own, from the call to its result, with its wait for a slot.
// pgsession.statement.calls is the number of calls that shared the statement.
// db.client.operation.duration has the duration of each statement once.
//
// Touches, prunes and watches belong to no request and begin traces of their
// own.
package otelsession
