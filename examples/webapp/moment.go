package main

import "time"

// moment is a time as somebody sees it now.
type moment struct{ at, now time.Time }

// Machine is the time as <time datetime> wants it.
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

// Clock is the time in full. The server doesn't know the reader's time zone.
func (m moment) Clock() string { return m.at.UTC().Format("2 January 2006, 15:04 UTC") }

// Distance is how far away the time is, in words.
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
