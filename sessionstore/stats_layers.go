package sessionstore

import "time"

// CacheStats tells how the cache does. All is zero without one. Each load that asks the cache counts as a hit, or
// under the reason why the store was asked; and twice when that could not be reached either, and the cache was asked again.
type CacheStats struct {
	// Freshness is for how long what the cache says counts; 0 is never.
	Freshness time.Duration
	// MaxExposure is for how long at most a session that was revoked may be served when the cache did not hear of it.
	MaxExposure time.Duration

	// Hits are loads that the cache answered.
	Hits int64

	Misses     int64 // nothing was there, or nothing that opens
	Buried     int64 // a tombstone was
	Unanswered int64 // the cache did not answer in time, or is left alone because it fails
	Unclear    int64 // Postgres's clock was not known: at the start, or after this machine was suspended
	Stale      int64 // read from Postgres too long ago
	Expired    int64 // past its deadline, which a use since then may have moved
	Behind     int64 // older than what the client has seen

	// Fills were taken by the cache; it refused some since what it had was not older, or they were too large, failed others,
	// and some were skipped because so many were under way.
	Fills, FillsRefused, FillsFailed, FillsSkipped int64
	// BuriesFailed are tombstones that the cache did not acknowledge.
	BuriesFailed int64

	// Unopened are entries, among the Misses, that were there and did not open: altered, or sealed with a key that is not configured.
	Unopened int64
	// Errors are calls that Redis failed.
	Errors int64
	// Open: Redis fails and is left alone. It is asked in the background whether it is back.
	Open bool
	// WritesRefused are writes that Redis answered with an error, such as those
	// of a full or read-only Redis.
	WritesRefused int64
	// RefusingWrites: Redis answers reads and refuses all writes. A write is
	// tried in the background every five seconds.
	RefusingWrites bool
}

// EmergencyStats tells of an emergency. All is zero without one.
type EmergencyStats struct {
	// Since is when it began.
	Since time.Time
	// InMemory is how many sessions only this process has.
	InMemory int
	// Journalled is how many revokes Postgres has yet to be told.
	Journalled int
}
