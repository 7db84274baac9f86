package otelsession

import (
	"github.com/reporadar/pgsession/sessionstore"
)

var sessionInstruments = []instrument{
	{
		name: "pgsession.sessions", unit: "{session}", kind: upDownCounter,
		description: "Sessions in the database, estimated for a large table. All instances " +
			"report the same.",
		read: func(s *snapshot, o observe) {
			if s.estimate.known {
				o(float64(s.estimate.stats.Active), stateKey.String("active"))
				o(float64(s.estimate.stats.Expired), stateKey.String("expired"))
			}
		},
	},
	{
		name: "pgsession.prune.age", unit: "s", kind: gauge,
		description: "Time since the last prune by any instance; absent before the first.",
		read: func(s *snapshot, o observe) {
			if s.estimate.pruned {
				o(s.estimate.pruneAge.Seconds())
			}
		},
	},
	{
		name: "pgsession.pruned_sessions", unit: "{session}", kind: counter,
		description: "Expired sessions, and old endings, that this process deleted.",
		read: func(s *snapshot, o observe) {
			o(float64(s.countSessions(sessionstore.EventPruned)))
		},
	},
	{
		name: "pgsession.watches", unit: "{connection}", kind: upDownCounter,
		description: "Open connections that end with their session.",
		read:        func(s *snapshot, o observe) { o(float64(s.Watches)) },
	},
}
