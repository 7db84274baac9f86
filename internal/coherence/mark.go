package coherence

import "time"

// Login is when a login began, as it is compared with the marks of revokes. It is
// either an age or a time of Postgres's clock, never both.
type Login struct {
	// Stored says that At counts, and Age does not.
	Stored bool
	At     Time
	// Age is how long ago the login began, when the answer of the look came.
	Age time.Duration
}

// Refused reports whether a mark of this time refuses the login. now is
// Postgres's clock in the answer of the look: since the age is taken later, the
// login looks older than it is, and a mark in doubt refuses it.
func (l Login) Refused(mark, now Time) bool {
	if l.Stored {
		return mark > l.At
	}
	const rounding = 2 // microseconds: both times and the age may have lost one
	return mark > now.Add(-l.Age)-rounding
}

// Age is how much time has passed between two instants, by the clock that says
// more: one stands still while the machine is suspended, the other may be set.
func Age(from, to Instant) time.Duration {
	return max(0, to.Mono-from.Mono, to.Wall-from.Wall)
}
