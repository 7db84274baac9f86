// Package otelsession gives OpenTelemetry metrics and spans for the sessions of pgsession.
//
// [NewTracer] makes the [sessionstore.Tracer] that goes into a Config before the Manager is made: spans and durations of what is asked of sessions, of the
// cache and of Postgres. [Instrument] registers what a Manager counts by itself. Each is of use without the other.
//
//	cfg.Tracer = otelsession.NewTracer()
//	sessions, err := sessionstore.Open(ctx, cfg)
//	…
//	registration, err := otelsession.Instrument(sessions)
//
// Both use OpenTelemetry's global providers, unless they are given others. It is the program that sets up exporters and samplers.
//
// # Names
//
// Names follow version 1.43.0 of the semantic conventions where these have one (db.client.operation.duration, db.client.connection.count, db.system.name, error.type, …), and
// begin with pgsession where they don't. docs/observability.md has the table of all metrics, a dashboard and alert rules.
//
// # What is never in them
//
// Tokens, ids, handles, users, addresses and data of sessions. Each attribute has few values, which are known beforehand.
//
// # Spans
//
// A load that the cache can't answer is three spans and the fill that follows it:
//
//	session load
//	├─ cache get         pgsession.result=miss
//	├─ SELECT sessions   db.system.name=postgresql, pgsession.statement.calls=12
//	└─ cache fill        pgsession.result=stored; beside the request, which does not wait for it
//
// Concurrent calls share statements, and exchanges with Redis. The span of each is its own: it lasts from when the call was made to when it had its answer, so its wait
// for a turn is in it. pgsession.statement.calls says how many calls shared the statement. The durations of statements, whoever
// shares them, are in db.client.operation.duration, once for each.
//
// What goes on beside requests, such as touches, prunes and watches, begins traces of its own.
package otelsession
