// Package coherence decides what a cache in front of Postgres may do: whether an entry may be served, whether a record may be put into the cache and for how
// long, what a revoke may promise, and when Postgres counts as away. It is pure: no clock, no network, no goroutine, no randomness. The stores of sessionstore ask
// it, and so do the search through all interleavings and the simulation in its tests; they run the same decisions.
//
// # The argument
//
// Let a revoke become visible in Postgres at its time C, before the revoke returns. An entry that says "alive" was read by a statement that did not see the
// revoke, and carries as ValidatedAt the start of that statement's transaction. So ValidatedAt < C. An entry is served only while U <= ValidatedAt + F, where U is
// not earlier than Postgres's clock P. So P <= U <= ValidatedAt + F < C + F whenever it is served: at most F after the revoke, whatever happened to the messages and
// to Redis's memory, and however long a process slept before its fill. Nothing here depends on what Redis holds.
//
// Three things are assumed. Postgres's clock does not go backwards; a failover to a server whose clock is behind adds the difference. Reads come from the
// primary: a standby's snapshot may be older than its clock. And of the two clocks of a machine one goes on while it is suspended: a virtual machine that is paused with
// both, or whose wall clock is set back by as much as it slept, does not know it until Postgres's next reply.
package coherence

import "time"

// Time is a moment of Postgres's clock, in microseconds since 1970, the resolution of its timestamps.
type Time int64

// At is the Time of a timestamp that Postgres gave.
func At(t time.Time) Time { return Time(t.UnixMicro()) }

// Add is the time d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Microseconds()) }

// Until is how long it is from t to later.
func (t Time) Until(later Time) time.Duration { return time.Duration(later-t) * time.Microsecond }
