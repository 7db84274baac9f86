package otelsession

import (
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var emergencyInstruments = []instrument{
	{
		name: "pgsession.emergency.age", unit: "s", kind: gauge,
		description: "Time since Postgres is unavailable and new sessions are kept in memory; 0 " +
			"without an emergency.",
		read: emergency(func(e *store.EmergencyStats, o observe) {
			age := 0.0
			if !e.Since.IsZero() {
				age = time.Since(e.Since).Seconds()
			}
			o(age)
		}),
	},
	{
		name: "pgsession.emergency.sessions", unit: "{session}", kind: upDownCounter,
		description: "Sessions in the memory of this process alone.",
		read:        emergency(func(e *store.EmergencyStats, o observe) { o(float64(e.InMemory)) }),
	},
	{
		name: "pgsession.emergency.revokes", unit: "{revoke}", kind: upDownCounter,
		description: "Revokes in the journal, not yet in Postgres.",
		read: emergency(func(e *store.EmergencyStats, o observe) {
			o(float64(e.Journalled))
		}),
	},
}

func emergency(read func(*store.EmergencyStats, observe)) func(*snapshot, observe) {
	return func(s *snapshot, o observe) {
		if s.hasPostgres() {
			read(&s.Emergency, o)
		}
	}
}
