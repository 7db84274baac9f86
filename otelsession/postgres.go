package otelsession

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var postgresInstruments = []instrument{
	{
		name: "pgsession.postgres.calls", unit: "{call}", kind: counter,
		description: "Sessions in calls of Postgres.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Calls) }),
	},
	{
		name: "pgsession.postgres.shared_calls", unit: "{call}", kind: counter,
		description: "Calls that shared a statement.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Shared) }),
	},
	{
		name: "pgsession.postgres.statements", unit: "{statement}", kind: counter,
		description: "Statements sent to Postgres. Calls divided by statements is the calls of " +
			"each.",
		read: calls(func(c *store.CallStats) float64 { return float64(c.Statements) }),
	},
	{
		name: "pgsession.postgres.statement_time", unit: "s", kind: counter,
		description: "Total time of the statements, with the wait for a connection.",
		read:        calls(func(c *store.CallStats) float64 { return c.Took.Seconds() }),
	},
	{
		name: "pgsession.postgres.largest_batch", unit: "{call}", kind: gauge,
		description: "Most calls that shared one statement since the start.",
		read:        calls(func(c *store.CallStats) float64 { return float64(c.Largest) }),
	},
	{
		name: "pgsession.postgres.refused_calls", unit: "{call}", kind: counter,
		description: "Calls that failed unsent: too many were waiting (overloaded), or no slot " +
			"was free in time (late).",
		read: func(s *snapshot, o observe) {
			overloaded := calls(func(c *store.CallStats) float64 { return float64(c.Overloaded) })
			overloaded(s, also(o, reasonKey.String("overloaded")))
			late := calls(func(c *store.CallStats) float64 { return float64(c.Late) })
			late(s, also(o, reasonKey.String("late")))
		},
	},
}

// calls reads one number for each kind of call.
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

// also adds an attribute to an observed value.
func also(o observe, more attribute.KeyValue) observe {
	return func(value float64, attributes ...attribute.KeyValue) {
		o(value, append(attributes, more)...)
	}
}
