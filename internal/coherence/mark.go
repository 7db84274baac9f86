package coherence

import "time"

// Login is when a login began, as it is compared with the marks of revokes. It
// is either an age or a time of Postgres's clock, never both.
type Login struct {
	// Stored says that At counts, and Age does not.
	Stored bool
	// At is the time in the row.
	At time.Time
	// Age is how long ago the login began, when the answer of the look came.
	Age time.Duration
}

// Refused reports whether a mark refuses the login. now is Postgres's clock
// when it answered with the mark: since the age is taken later, the login looks
// older than it is, and a mark in doubt refuses it.
func (l Login) Refused(mark, now time.Time) bool {
	if l.Stored {
		return mark.After(l.At)
	}
	return l.Age > now.Sub(mark)
}

// Age is how much time has passed between two instants, by the clock that says
// more: one stands still while the machine is suspended, the other may be set.
func Age(from, to Instant) time.Duration {
	return max(0, to.Mono-from.Mono, to.Wall-from.Wall)
}
