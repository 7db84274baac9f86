package coherence

import "time"

const (
	// margin keeps values in Redis a little longer than they are used, so that
	// Redis's clock decides nothing.
	margin = 5 * time.Second
	// Allowance is added to the freshness in the bound of a [Revocation]. It
	// covers the difference between Postgres's clock and that of an observer.
	Allowance = 250 * time.Millisecond
)

// Policy limits the age of cached entries.
type Policy struct {
	// Freshness is the maximum age of an entry since it was read from Postgres.
	// Zero means that the cache serves nothing.
	Freshness time.Duration
	// Grace is added to Freshness while Postgres is unavailable.
	Grace time.Duration
	// Local is set if each process has a cache of its own. A process can't
	// report a revoke or a save to the caches of the others.
	Local bool
}

// Entry is what the decisions need of a record, cached or not.
type Entry struct {
	Version     int64
	ValidatedAt Time // start of the transaction that read or wrote it
	ExpiresAt   Time
}

// Verdict is the decision about an entry, with its reason.
type Verdict int

// The verdicts on an entry.
const (
	Fresh        Verdict = iota // may be served
	Strict                      // the policy serves nothing from the cache
	ClockUnknown                // no bound of Postgres's clock
	Stale                       // too old
	Expired                     // past its deadline, which a touch may have moved in Postgres
	BelowMinimum                // below the minimum version of the client
	Revoked                     // read before a revoke of this process
)

// Judge decides whether an entry may be served to a client that demands
// minVersion. unavailable is set during an outage of Postgres.
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

// FillTTL returns the time to live of a record just read or written; 0 means
// that it need not be filled.
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

// TombstoneTTL returns the time to live of a tombstone. A fill after its end is
// not fresh for any load.
func (p Policy) TombstoneTTL() time.Duration { return p.Freshness + p.Grace + 2*margin }

// Due reports whether a fresh entry is to be read again before it is stale: a
// session in use then costs no request a query. Only a local cache does that.
func (p Policy) Due(e Entry, now Bound) bool {
	return p.Local && now.Time > e.ValidatedAt.Add(p.Freshness/2)
}

// AskFor returns for how long after a save its client must ask Postgres: until
// no process has a fresh entry from before the save. It is 0 if the minimum
// version does that, or the cache serves nothing.
func (p Policy) AskFor() time.Duration {
	if !p.Local || p.Freshness <= 0 {
		return 0
	}
	return p.Freshness + Allowance
}

// Exposure returns the bound of the guarantee for a revoke that the cache did
// not acknowledge.
func (p Policy) Exposure() time.Duration {
	if p.Freshness <= 0 {
		return 0
	}
	return p.Freshness + p.Grace + Allowance
}
