package main

import "time"

// moment is a time and the time at which it is shown.
type moment struct{ at, now time.Time }

// Machine returns the time for <time datetime>.
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

// Clock returns the full time, in UTC because the server doesn't know the time
// zone of the reader.
func (m moment) Clock() string { return m.at.UTC().Format("2 January 2006, 15:04 UTC") }

// Distance returns the distance from now in words.
func (m moment) Distance() string {
	switch d := m.at.Sub(m.now); {
	case d > 0:
		return "in " + words(d)
	case d > -time.Minute:
		return "just now"
	default:
		return words(-d) + " ago"
	}
}
