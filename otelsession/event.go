package otelsession

import (
	"github.com/reporadar/pgsession/sessionstore"
)

var eventInstruments = []instrument{
	{
		name: "pgsession.events", unit: "{event}", kind: counter,
		description: "Events by kind, as the log names them. Where an event is about several sessions, each counts.",
		read: func(s *snapshot, o observe) {
			for kind, name := range eventKinds {
				o(float64(s.count(sessionstore.EventKind(kind))), eventKey.String(name))
			}
		},
	},
}

// eventKinds are the names of all kinds.
var eventKinds = func() (names []string) {
	unknown := sessionstore.EventKind(-1).String()
	for k := sessionstore.EventKind(0); k.String() != unknown; k++ {
		names = append(names, k.String())
	}
	return names
}()
