package outage

import "github.com/reporadar/pgsession/sessionstore/store"

// Events has the callbacks of an emergency. They must not block.
type Events interface {
	// EmergencyBegan is called with the error that began it.
	EmergencyBegan(err error)
	// EmergencyEnded is called with how many sessions were restored.
	EmergencyEnded(restored int)
	// RestoreFailed is called once for each error that keeps the emergency from
	// ending.
	RestoreFailed(err error)
	// RestoreLost is called for each session that Postgres refuses for good.
	RestoreLost(rec *store.Record, err error)
	// LoginRefused is called for a session whose user was revoked since it
	// began.
	LoginRefused(rec *store.Record, err error)
}

type noEvents struct{}

func (noEvents) EmergencyBegan(error) {}

func (noEvents) EmergencyEnded(int) {}

func (noEvents) RestoreFailed(error) {}

func (noEvents) RestoreLost(*store.Record, error) {}

func (noEvents) LoginRefused(*store.Record, error) {}
