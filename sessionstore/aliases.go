package sessionstore

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The types that the calls of an application take and return. The parts of
// [Metrics] and what a Store or a Tracer needs are in
// [github.com/reporadar/pgsession/sessionstore/store].
type (
	// Method is a way in which a user has proved who they are: Name, Level and
	// At, when it was accepted. See [store.Method].
	Method = store.Method
	// Handle is a session's public name, for lists of devices, logs and
	// revokes. It is a string. See [store.Handle].
	Handle = store.Handle
	// Client has the IP and the UserAgent of a session's last use. See
	// [store.Client].
	Client = store.Client
	// Page selects a part of a list: Before and After, as [Info.Next] sets
	// them, and Max. The zero Page is the first hundred. See [store.Page].
	Page = store.Page
	// Revocation reports what a revoke guarantees: Count, Committed, CacheAcked
	// and MaxExposure. See [store.Revocation].
	Revocation = store.Revocation
	// Stats counts sessions: Total, Active, Expired, Exact, Capped, LastPruneAt
	// and CountedAt. See [store.Stats].
	Stats = store.Stats
	// CallStats counts the calls of one kind and their statements. See
	// [store.CallStats].
	CallStats = store.CallStats
	// Tracer is called when a call of a store begins and ends, by TraceStart
	// and TraceEnd. See [store.Tracer].
	Tracer = store.Tracer
	// Call has the Layer and the Operation of a traced call. See [store.Call].
	Call = store.Call
	// CallResult has the Err, Cache, Calls and SQLState of a traced call. See
	// [store.CallResult].
	CallResult = store.CallResult
)

// ConfigurePool prepares the configuration of a pool for [New], as [Open] does
// for its own. Call it before [pgxpool.NewWithConfig], since a pool that is
// made can't be changed. OnNotice, AfterConnect and BeforeClose are called as
// before.
//
//   - It makes a commit whose wait for a synchronous standby was cancelled an
//     [ErrOutcomeUnknown]. Postgres reports it in a warning only. Without
//     ConfigurePool such a change counts as made, and New warns if the server
//     has synchronous standbys.
//   - It bounds what pgx does not: ConnectTimeout, PingTimeout and
//     MaxConnLifetimeJitter get a value if they have none.
//   - It sets client_encoding to UTF8, and in pgx's simple protocol
//     standard_conforming_strings, whatever role and database have.
//   - It counts the connections that are being closed. Without that, a server
//     that stops replying looks like a full pool for 15 seconds, and an
//     emergency begins so much later.
func ConfigurePool(pc *pgxpool.Config) { postgres.ConfigurePool(pc) }
