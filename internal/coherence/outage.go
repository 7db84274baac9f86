package coherence

import "time"

const (
	// So many failures in a row, over at least outageAfter, are an outage. One
	// dropped connection under load can fail a hundred calls in a millisecond.
	outageFailures = 3
	outageAfter    = time.Second
)

// Mode is the phase of an outage.
type Mode int

// The modes, in the order of an outage.
const (
	// Normal: Postgres serves.
	Normal Mode = iota
	// Emergency: Postgres is unavailable. New sessions are kept in memory,
	// revokes go into the journal, and all other calls of Postgres are refused
	// at once.
	Emergency
	// Replaying: Postgres is available again and gets the journal. Nothing is
	// served from it before it has all of the journal.
	Replaying
	// Restoring: Postgres serves. The sessions in memory are restored to it,
	// and served from memory until then.
	Restoring
)

// Outage detects the beginning of an outage and tracks its mode. The zero
// Outage is Normal. It is not safe for concurrent use.
type Outage struct {
	Mode Mode

	failures int
	first    time.Duration // of the first of failures, on a monotonic clock
}

// Failed records a call that could not reach Postgres. It returns true if an
// outage begins with it.
func (o *Outage) Failed(at time.Duration) bool {
	if o.Mode != Normal && o.Mode != Restoring {
		return false
	}
	if o.failures == 0 {
		o.first = at
	}
	o.failures++
	if o.failures < outageFailures || at-o.first < outageAfter {
		return false
	}
	o.Begin()
	return true
}

// Begin begins an outage.
func (o *Outage) Begin() { *o = Outage{Mode: Emergency} }

// Succeeded records a call that Postgres answered, with an error or not.
func (o *Outage) Succeeded() { o.failures = 0 }

// Probed records the first answer in an outage.
func (o *Outage) Probed() {
	if o.Mode == Emergency {
		o.Mode = Replaying
	}
}

// Replayed records that Postgres has all of the journal.
func (o *Outage) Replayed() {
	if o.Mode == Replaying {
		o.Mode = Restoring
	}
}

// Restored records that no session is left in memory.
func (o *Outage) Restored() {
	if o.Mode == Restoring {
		o.Mode = Normal
	}
}

// Refuses reports whether only the recovery may call Postgres.
func (o *Outage) Refuses() bool { return o.Mode == Emergency || o.Mode == Replaying }
