package coherence

import "time"

// Outcome is what became of a statement that ends sessions.
type Outcome int

// The outcomes of a revoke.
const (
	Committed Outcome = iota
	// Journalled: Postgres is away; the revoke is written down in this process and carried out when it is back.
	Journalled
	// Uncertain: the statement was sent and no answer came.
	OutcomeUnknown
	// Refused: it had no effect.
	Refused
)

// NeedsTombstone says whether the cache is to be told: also when it is not sure that the session has ended, since a tombstone on a session that lives costs its next loads a
// query each and nothing else.
func (o Outcome) NeedsTombstone() bool { return o != Refused }

// Revocation is what may be promised about a revoke.
type Revocation struct {
	Committed   bool
	CacheAcked  bool
	MaxExposure time.Duration
}

// Revoked returns the promise about a revoke with this outcome. acknowledged
// says that the cache acknowledged the tombstones, one that the revoke ended a
// single session by its id. A revoke of a user is not one: its call may not
// have seen all the sessions that the cache holds.
func (p Policy) Revoked(o Outcome, acknowledged, one bool) Revocation {
	r := Revocation{Committed: o == Committed, CacheAcked: acknowledged}
	if !acknowledged || !one {
		r.MaxExposure = p.Exposure()
	}
	return r
}
