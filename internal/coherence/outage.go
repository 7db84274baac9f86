package coherence

import "time"

const (
	// outageFailures in a row, over at least outageAfter, are an outage: one dropped connection under load can fail a hundred calls in a millisecond.
	outageFailures = 3
	outageAfter    = time.Second
)

// Mode is how far Postgres is away.
type Mode int

// The modes, in the order in which an outage goes through them.
const (
	// Normal: Postgres serves.
	Normal Mode = iota
	// Emergency: Postgres is away. New sessions live in memory, revokes are journalled, whatever else needs Postgres is refused at once.
	Emergency
	// Replaying: Postgres is back and is being told of the revokes. Until it knows them all, nothing is served from it.
	Replaying
	// Importing: Postgres serves; the sessions made in memory are being moved there and are served from memory until they are.
	Restoring
)

// Outage tells an outage from a failure. The zero Outage is Normal. It is not safe for concurrent use.
type Outage struct {
	Mode Mode

	failures int
	first    time.Duration // when the first of them was, on a monotonic clock
}

// Failed takes notice of a call that Postgres could not be reached with. It says whether an outage begins with it.
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

// Begin starts an outage.
func (o *Outage) Begin() { *o = Outage{Mode: Emergency} }

// Succeeded takes notice of a call that Postgres answered, be it with an error.
func (o *Outage) Succeeded() { o.failures = 0 }

// Probed takes notice of the first answer after an outage began.
func (o *Outage) Probed() {
	if o.Mode == Emergency {
		o.Mode = Replaying
	}
}

// Replayed takes notice that Postgres knows all revokes.
func (o *Outage) Replayed() {
	if o.Mode == Replaying {
		o.Mode = Restoring
	}
}

// Imported takes notice that no session is left in memory.
func (o *Outage) Restored() {
	if o.Mode == Restoring {
		o.Mode = Normal
	}
}

// Refuses says that nothing may be asked of Postgres but by the recovery.
func (o *Outage) Refuses() bool { return o.Mode == Emergency || o.Mode == Replaying }
