package otelsession

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var poolInstruments = []instrument{
	{
		name: dbconv.ClientConnectionCountObservable{}.Name(),
		unit: dbconv.ClientConnectionCountObservable{}.Unit(), kind: upDownCounter,
		description: dbconv.ClientConnectionCountObservable{}.Description(),
		read: pool(func(p *store.PoolStats, o observe) {
			o(float64(p.Used), semconv.DBClientConnectionStateUsed)
			o(float64(p.Idle), semconv.DBClientConnectionStateIdle)
		}),
	},
	{
		name: dbconv.ClientConnectionMaxObservable{}.Name(),
		unit: dbconv.ClientConnectionMaxObservable{}.Unit(), kind: upDownCounter,
		description: dbconv.ClientConnectionMaxObservable{}.Description(),
		read:        pool(func(p *store.PoolStats, o observe) { o(float64(p.Max)) }),
	},
	{
		name: "pgsession.pool.acquires", unit: "{acquire}", kind: counter,
		description: "Connections taken from the pool.",
		read:        pool(func(p *store.PoolStats, o observe) { o(float64(p.Acquires)) }),
	},
	{
		name: "pgsession.pool.waits", unit: "{acquire}", kind: counter,
		description: "Acquires that waited for a connection or opened one.",
		read:        pool(func(p *store.PoolStats, o observe) { o(float64(p.Waits)) }),
	},
	{
		name: "pgsession.pool.wait_time", unit: "s", kind: counter,
		description: "Total time of these waits.",
		read:        pool(func(p *store.PoolStats, o observe) { o(p.Waited.Seconds()) }),
	},
}

// pool reads the statistics of the connection pool and adds its name.
func pool(read func(*store.PoolStats, observe)) func(*snapshot, observe) {
	return func(s *snapshot, o observe) {
		if s.hasPostgres() {
			read(&s.Postgres.Pool, also(o, semconv.DBClientConnectionPoolName(s.poolName)))
		}
	}
}
