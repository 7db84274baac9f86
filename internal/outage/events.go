package outage

import "github.com/reporadar/pgsession/sessionstore/store"

// Events has the callbacks of an emergency. They must not block.
type Events interface {
	// EmergencyBegan is called with the error that began it.
	EmergencyBegan(err error)
	// EmergencyEnded is called with how many sessions were restored.
	EmergencyEnded(restored int)
	// RestoreFailed is called once for each kind of error. rec is the session
	// that was lost, nil if the restore goes on.
	RestoreFailed(rec *store.Record, err error)
	// LoginRefused is called for a session whose user was revoked since it
	// began.
	LoginRefused(rec *store.Record, err error)
}

type noEvents struct{}

func (noEvents) EmergencyBegan(error) {}

func (noEvents) EmergencyEnded(int) {}

func (noEvents) RestoreFailed(*store.Record, error) {}

func (noEvents) LoginRefused(*store.Record, error) {}
