package coherence

import "time"

// Outcome is the outcome of a statement that ends sessions.
type Outcome int

// The outcomes of a revoke.
const (
	Committed Outcome = iota
	// Journalled: Postgres is unavailable. The revoke is in the journal of this
	// process and is replayed later.
	Journalled
	// OutcomeUnknown: the statement was sent and has no reply.
	OutcomeUnknown
	// Refused: it had no effect.
	Refused
)

// NeedsTombstone reports whether the cache needs a tombstone. It does even if
// the outcome is unknown: a tombstone on a live session costs its next loads a
// query each, and nothing else.
func (o Outcome) NeedsTombstone() bool { return o != Refused }

// Revocation is what is promised about a revoke.
type Revocation struct {
	Committed   bool
	CacheAcked  bool
	MaxExposure time.Duration
}

// Revoked returns the promise about a revoke with this outcome. acknowledged:
// the cache acknowledged the tombstones. one: the revoke ended a single session
// by its id. A revoke of a user did not, because it may not have seen all
// sessions that the cache holds. With a local cache the caches of other
// processes hold what they hold.
func (p Policy) Revoked(o Outcome, acknowledged, one bool) Revocation {
	r := Revocation{Committed: o == Committed, CacheAcked: acknowledged}
	if !acknowledged || !one || p.Local {
		r.MaxExposure = p.Exposure()
	}
	return r
}
