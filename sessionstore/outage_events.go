package sessionstore

import (
	"context"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// outageEvents makes events of what the outage detector and the recovery
// report. They belong to no request.
type outageEvents struct{ q *events }

func (o outageEvents) EmergencyBegan(err error) {
	o.q.observe(context.Background(), Event{Kind: EventEmergencyBegan, Err: err})
}

func (o outageEvents) EmergencyEnded(restored int) {
	o.q.observe(context.Background(), Event{Kind: EventEmergencyEnded, Count: restored})
}

func (o outageEvents) RestoreFailed(err error) {
	o.q.observe(context.Background(), Event{Kind: EventRestoreFailed, Err: err})
}

func (o outageEvents) RestoreLost(rec *store.Record, err error) {
	e := eventOf(rec)
	e.Kind, e.Err = EventRestoreLost, err
	o.q.observe(context.Background(), e)
}

// LoginRefused has no request: the event has where the session was last used
// from.
func (o outageEvents) LoginRefused(rec *store.Record, err error) {
	e := eventOf(rec).from(rec.Client)
	e.Kind, e.Err = EventLoginRefused, err
	o.q.observe(context.Background(), e)
}
