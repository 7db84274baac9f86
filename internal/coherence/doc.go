// Package coherence decides what a cache in front of Postgres may do. It
// decides whether an entry may be served, whether a record may be put into the
// cache and for how long, what a revoke may promise, and when Postgres is
// unavailable.
//
// It is pure: no clock, no network, no goroutine, no randomness. The stores ask
// it. So do the search of all interleavings and the simulation in its tests,
// which run the same decisions.
//
// A cache is Redis, which all instances share, or a local one in each instance.
//
// # The argument
//
// Let a revoke become visible in Postgres at its time C, before the revoke
// returns. An entry that says "alive" was read by a statement that did not see
// the revoke, and carries as ValidatedAt the start of that statement's
// transaction. So ValidatedAt < C.
//
// An entry is served only while U <= ValidatedAt + F. F is the freshness. U is
// our bound of Postgres's clock and not earlier than that clock, P. So whenever
// an entry is served, P <= U <= ValidatedAt + F < C + F: at most F after the
// revoke. It does not matter what happened to messages and to Redis's memory,
// or how long a process slept before its fill. Nothing here depends on what
// Redis or a local cache holds.
//
// # What holds
//
//   - Revoke. After a revoke returned Committed, no load that starts later than
//     MaxExposure is served the session: freshness, grace and allowance. That
//     holds whatever the network, Redis, an attacker in it or a sleeping
//     process did. The bound is 0 in strict mode. It is also 0 if the cache
//     acknowledged the end of one session, unless Redis loses or rolls back
//     what it acknowledged; then it is the other one.
//   - Only a creation makes a row. No save, touch or fill revives a session,
//     and no version goes back.
//   - Read your writes. A client whose save the cache did not acknowledge has
//     the version in its cookie, and no load returns less. A client whose save
//     was acknowledged has no such minimum version. It may be served an older
//     version, for F at most, if Redis loses or rolls back that write.
//     Acknowledged means that Redis has the entry, one of ours that is not
//     older, or a tombstone. A save whose fill is refused by anything else puts
//     a tombstone there, so that a planted value does not make every save set
//     the cookie.
//   - Local caches. A revoke counts at once in the instance that made it: by
//     its id, or by a Watermark. Elsewhere it counts after MaxExposure, which
//     is never 0. A client that has saved asks Postgres for F and the
//     allowance, so it reads its own writes on every instance. During an outage
//     with a grace it may be served what it had before.
//   - The clock. U is never behind Postgres's clock by more than a sleep that
//     goes unnoticed, which the allowance covers. Without a sample, and in
//     strict mode, the cache serves nothing.
//   - Lost replies are neither success nor refusal, and no load fails because
//     of Redis.
//   - Outage. This process never again serves a session whose revoke is in the
//     journal, and Postgres has the revoke before it serves here. A session
//     made in memory reaches Postgres once. One that ends before it is sent
//     there needs no journal, except for an id under which a lost creation was
//     sent before.
//
// # What is assumed
//
//   - Postgres's clock does not go backwards. A failover to a server whose
//     clock is behind adds the difference.
//   - Reads come from the primary: a standby's snapshot may be older than its
//     clock.
//   - Of the two clocks of a machine one goes on while it is suspended. A
//     virtual machine that is paused with both, or whose wall clock is set back
//     by as much as it slept, does not notice until the next reply of Postgres.
//   - All instances have the same F.
//   - A load's snapshot follows its now() within five seconds. Only reading
//     your writes needs that.
//   - Postgres does not lose a commit that it acknowledged.
//
// A deadline is judged by when a statement began. So a touch that began in time
// and waited for a lock revives a session that another load has found expired.
//
// # What the search demanded of the stores
//
// A replayed revoke holds here for F and grace, unless its tombstone was
// acknowledged. The local tombstones of package cached do that.
//
// The answer of a revoke has no time of Postgres. So a watermark of our bound
// alone misses an entry that was read, in the meantime, by a transaction which
// began up to an allowance later than the bound.
//
// A session of an emergency is not served from memory once its creation was
// sent to Postgres. After a lost reply it is not created again. So it is
// restored in two steps: created under a temporary id, then rotated to its own.
// See docs/adr/1347-a-restore-in-two-steps.md.
//
// # How it is tested
//
// Three methods share one model, in world_test.go. A breadth-first search
// visits every interleaving in small scopes. A seeded simulation runs large
// ones; a seed that fails prints the command that replays it. Mutants break one
// rule each, and one of the two has to catch them. TestExceptions shows that
// the exceptions and assumptions above are needed.
//
// go test -v prints scopes, states, seeds and mutants. make simulate takes
// larger scopes and runs longer; bench/NOTES.md has what it saw.
//
// In the search, time goes in ticks of which F is two and a half. Only the
// first instance writes. Steps that lose nothing by it are taken at once,
// except where a scope says otherwise. Not in the model: several Redis nodes,
// and the code around the decisions.
package coherence

import "time"

// Time is a moment of Postgres's clock in microseconds since 1970, the
// resolution of its timestamps.
type Time int64

// At returns the Time of a timestamp of Postgres.
func At(t time.Time) Time { return Time(t.UnixMicro()) }

// Add returns the time d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Microseconds()) }

// Until returns the duration from t to later.
func (t Time) Until(later Time) time.Duration { return time.Duration(later-t) * time.Microsecond }
