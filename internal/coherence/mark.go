package coherence

import "time"

// Login is when a login began, to be compared with the marks of revokes. It is
// either an age or a time of Postgres's clock.
type Login struct {
	// Stored selects At; otherwise Age counts.
	Stored bool
	// At is the time in the row.
	At time.Time
	// Age is the time since the login began, taken when the marks were
	// received.
	Age time.Duration
}

// Refused reports whether a mark refuses the login. now is Postgres's clock in
// the reply with the mark. The age was taken later, so the login looks older
// than it is, and in doubt it is refused.
func (l Login) Refused(mark, now time.Time) bool {
	if l.Stored {
		return mark.After(l.At)
	}
	return l.Age > now.Sub(mark)
}

// Age returns the time between two instants by the clock that shows more: one
// stops while the machine is suspended, the other can be set.
func Age(from, to Instant) time.Duration {
	return max(0, to.Mono-from.Mono, to.Wall-from.Wall)
}
