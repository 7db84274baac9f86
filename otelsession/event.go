package otelsession

import (
	"github.com/reporadar/pgsession/sessionstore"
)

var eventInstruments = []instrument{
	{
		name: "pgsession.events", unit: "{event}", kind: counter,
		description: "Events, by the kind that the log names.",
		read: func(s *snapshot, o observe) {
			for kind, name := range eventKinds {
				o(float64(s.count(sessionstore.EventKind(kind))), eventKey.String(name))
			}
		},
	},
	{
		name: "pgsession.event.sessions", unit: "{session}", kind: counter,
		description: "Sessions that events concerned, by kind: revoked, pruned, restored after " +
			"an emergency, or with a failed touch.",
		read: func(s *snapshot, o observe) {
			for _, kind := range countedKinds {
				o(float64(s.countSessions(kind)), eventKey.String(kind.String()))
			}
		},
	},
}

// countedKinds are the kinds of events that can concern several sessions.
var countedKinds = []sessionstore.EventKind{
	sessionstore.EventRevoked, sessionstore.EventPruned, sessionstore.EventTouchFailed,
	sessionstore.EventEmergencyEnded,
}

// eventKinds are the names of all kinds.
var eventKinds = func() (names []string) {
	unknown := sessionstore.EventKind(-1).String()
	for k := sessionstore.EventKind(0); k.String() != unknown; k++ {
		names = append(names, k.String())
	}
	return names
}()
