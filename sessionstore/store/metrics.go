package store

import (
	"time"
)

// PostgresStats counts the calls of Postgres. All is zero without Postgres.
//
// A mean is a difference of two snapshots: Took by Statements is how long a
// statement takes, Calls by Statements how many calls share one.
type PostgresStats struct {
	Loads, Creates, Saves, Rotates CallStats
	// Touches leave together once a second, so they are not queued: nothing is
	// refused.
	Touches CallStats
	// Deletes are the logouts. Each is a statement of its own.
	Deletes CallStats

	Pool PoolStats
}

// CallStats counts calls of one kind, and the statements that they came to.
type CallStats struct {
	// Calls is how many sessions were asked for.
	Calls int64
	// Statements is how many were sent, those that were repeated included. A
	// login that counts its user's sessions is one.
	Statements int64
	// Shared are the calls that shared their statement with others.
	Shared int64
	// Largest is the most calls that shared one statement.
	Largest int
	// Overloaded are the calls that failed with [ErrUnavailable] at once, since
	// thousands waited already.
	Overloaded int64
	// Late are the calls that failed with [ErrUnavailable] because those before
	// them took all their time.
	Late int64
	// Took is how long the statements took, added up over those that ran at the
	// same time. The wait for a connection is in it, the wait for a turn is
	// not.
	Took time.Duration
}

// PoolStats counts the connections to Postgres. The numbers of a pool that the
// application gave to [sessionstore.New] include the application's own use.
type PoolStats struct {
	// Max is how many connections there may be; Used and Idle are those there
	// are.
	Max, Used, Idle int
	// Acquires is how often a connection was taken.
	Acquires int64
	// Waits is how often none was idle, so that one had to be waited for or
	// made.
	Waits int64
	// Waited is for how long, in all.
	Waited time.Duration
}

// CacheStats describes the cache. All is zero without one. Each load that
// asks the cache counts as a hit, or under the reason why the store was asked;
// and twice when that could not be reached either, and the cache was asked
// again.
type CacheStats struct {
	// Freshness is the maximum age of a cached session; 0 is never.
	Freshness time.Duration
	// MaxExposure is how long a revoked session may be served if the cache did
	// not acknowledge the revoke.
	MaxExposure time.Duration

	// Hits are loads that the cache answered.
	Hits int64

	// Misses are loads for which the cache had nothing, or nothing that opens.
	Misses int64
	// Tombstones are loads that found a tombstone, or an entry from before a
	// revoke of this process.
	Tombstones int64
	// Unavailable are loads that the cache did not answer in time, or that
	// found its circuit breaker open.
	Unavailable int64
	// ClockUnknown are loads without a bound of Postgres's clock: at the start,
	// or after this machine was suspended.
	ClockUnknown int64
	// Stale are loads that found an entry over its maximum age.
	Stale int64
	// Expired are loads that found an entry past its deadline, which a use
	// since may have moved.
	Expired int64
	// BelowMinimum are loads that found an older version than the client's, or
	// with a local cache, of clients that have just saved.
	BelowMinimum int64

	// Fills were taken by the cache; it refused some since what it had was not
	// older, or they were too large, failed others, and some were skipped
	// because so many were under way.
	Fills, FillsRefused, FillsFailed, FillsSkipped int64
	// TombstonesFailed are tombstones that Redis did not acknowledge.
	TombstonesFailed int64

	// Sessions and Bytes are what a local cache has now, stale sessions
	// included. Both are 0 with Redis.
	Sessions, Bytes int
	// Evictions are sessions that a local cache has dropped for others before
	// they were stale.
	Evictions int64

	// Unopened are entries, among the Misses, that were there and did not open:
	// altered, or sealed with a key that is not configured.
	Unopened int64
	// Errors are calls that Redis failed.
	Errors int64
	// Open reports an open circuit breaker: Redis fails, and is retried in the
	// background.
	Open bool
	// WritesRefused are writes that Redis answered with an error, such as those
	// of a full or read-only Redis.
	WritesRefused int64
	// RefusingWrites: Redis answers reads and refuses all writes. A write is
	// tried in the background every five seconds.
	RefusingWrites bool
}

// EmergencyStats describes an emergency. All is zero without one.
type EmergencyStats struct {
	// Since is when it began.
	Since time.Time
	// InMemory is how many sessions only this process has.
	InMemory int
	// Journalled is how many revokes are in the journal.
	Journalled int
}
