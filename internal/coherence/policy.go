package coherence

import "time"

const (
	// margin keeps what stands in Redis a little longer than it counts, so that Redis's clock decides nothing.
	margin = 5 * time.Second
	// Allowance is what the bound of a [Revocation] adds to the freshness, for the differences between the clock of whoever measures it and Postgres's.
	Allowance = 250 * time.Millisecond
)

// Policy is how old what the cache says may be.
type Policy struct {
	// Freshness is how long after it was read from Postgres an entry may be served. Zero is never.
	Freshness time.Duration
	// Grace is added to it while Postgres is away.
	Grace time.Duration
}

// Entry is what the decisions need to know of a record, cached or fresh.
type Entry struct {
	Version     int64
	ValidatedAt Time // the start of the transaction that read or wrote it
	ExpiresAt   Time
}

// Verdict says why an entry may be served, or why not.
type Verdict int

// The verdicts on an entry.
const (
	Fresh        Verdict = iota // may be served
	Strict                      // the policy serves nothing from the cache
	ClockUnknown                // Postgres's clock is not known yet
	Stale                       // read too long ago
	Expired                     // its deadline has passed; a touch that the cache has not heard of may have moved it
	BelowMinimum                // older than what the client has seen
)

// Judge decides whether an entry may be served to a client that has seen version minimum version. away says that Postgres is.
func (p Policy) Judge(e Entry, minVersion int64, now Bound, unavailable bool) Verdict {
	freshness := p.Freshness
	if unavailable && freshness > 0 {
		freshness += p.Grace
	}
	switch {
	case freshness <= 0:
		return Strict
	case !now.Known:
		return ClockUnknown
	case now.Time > e.ValidatedAt.Add(freshness):
		return Stale
	case now.Time >= e.ExpiresAt:
		return Expired
	case e.Version < minVersion:
		return BelowMinimum
	}
	return Fresh
}

// FillTTL is how long a record just read or written may stand in the cache; zero says that it need not be put there.
func (p Policy) FillTTL(e Entry, now Bound) time.Duration {
	left := p.Freshness + p.Grace
	if now.Known {
		left = now.Time.Until(e.ValidatedAt.Add(left))
	}
	if p.Freshness <= 0 || left <= 0 {
		return 0
	}
	return left + margin
}

// TombstoneTTL is how long a tombstone must stand: a fill that comes later can't be served any more.
func (p Policy) TombstoneTTL() time.Duration { return p.Freshness + p.Grace + 2*margin }

// Exposure is the bound of the guarantee when the cache was not told of a revoke.
func (p Policy) Exposure() time.Duration {
	if p.Freshness <= 0 {
		return 0
	}
	return p.Freshness + p.Grace + Allowance
}
