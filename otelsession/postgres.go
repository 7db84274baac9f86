package otelsession

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var postgresInstruments = []instrument{
	{
		name: "pgsession.postgres.calls", unit: "{call}", kind: counter,
		description: "Sessions that Postgres was asked for.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Calls) }),
	},
	{
		name: "pgsession.postgres.shared_calls", unit: "{call}", kind: counter,
		description: "Calls that shared their statement with others.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Shared) }),
	},
	{
		name: "pgsession.postgres.statements", unit: "{statement}", kind: counter,
		description: "Statements sent to Postgres. Calls by statements is how many calls share one.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Statements) }),
	},
	{
		name: "pgsession.postgres.statement_time", unit: "s", kind: counter,
		description: "How long the statements took, added up, the wait for a connection included.",
		read:        calls(func(c *store.CallStats) float64 { return c.Took.Seconds() }),
	},
	{
		name: "pgsession.postgres.largest_batch", unit: "{call}", kind: gauge,
		description: "The most calls that shared one statement, since the start.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Largest) }),
	},
	{
		name: "pgsession.postgres.refused_calls", unit: "{call}", kind: counter,
		description: "Calls that failed without being sent: too many waited (overloaded), or those before them took all their time (late).",
		read: func(s *snapshot, o observe) {
			calls(func(c *store.CallStats) float64 { return float64(c.Overloaded) })(s, also(o, reasonKey.String("overloaded")))
			calls(func(c *store.CallStats) float64 { return float64(c.Late) })(s, also(o, reasonKey.String("late")))
		},
	},
}

// calls reads a number of each kind of call.
func calls(number func(*store.CallStats) float64) func(*snapshot, observe) {
	return func(s *snapshot, o observe) {
		if !s.hasPostgres() {
			return
		}
		p := &s.Postgres
		for _, of := range []struct {
			operation store.Operation
			stats     *store.CallStats
		}{
			{store.OpLoad, &p.Loads},
			{store.OpCreate, &p.Creates},
			{store.OpSave, &p.Saves},
			{store.OpRotate, &p.Rotates},
			{store.OpTouch, &p.Touches},
			{store.OpDelete, &p.Deletes},
		} {
			o(number(of.stats), operationKey.String(string(of.operation)))
		}
	}
}

// also adds an attribute to what is observed.
func also(o observe, more attribute.KeyValue) observe {
	return func(value float64, attributes ...attribute.KeyValue) { o(value, append(attributes, more)...) }
}
