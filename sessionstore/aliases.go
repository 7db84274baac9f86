package sessionstore

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The types that this package's own functions and methods take and return, so
// that an application imports one package. To implement a Store or a
// Tracer, import [github.com/reporadar/pgsession/sessionstore/store].
type (
	// Method is a way in which a user has proved who they are: Name, Level and
	// At, when it was accepted. See [store.Method].
	Method = store.Method
	// Handle is a session's public name, for lists of devices, logs and
	// revokes. It is a string. See [store.Handle].
	Handle = store.Handle
	// Client is where a session was last used from: IP and UserAgent. See
	// [store.Client].
	Client = store.Client
	// Page is a part of a list: Before and After, as [Info.Next] sets them, and
	// Max. See [store.Page].
	Page = store.Page
	// Revocation is what is promised about sessions that were ended: Count,
	// Committed, CacheAcked and MaxExposure. See [store.Revocation].
	Revocation = store.Revocation
	// Stats counts sessions: Total, Active, Expired, Exact, LastPruneAt and
	// CountedAt. See [store.Stats].
	Stats = store.Stats
	// CallStats counts the calls of one kind and their statements. See
	// [store.CallStats].
	CallStats = store.CallStats
	// Tracer is called when a call of a store begins and ends, by TraceStart
	// and TraceEnd. See [store.Tracer].
	Tracer = store.Tracer
	// Call is the Layer and the Operation of a traced call. See [store.Call].
	Call = store.Call
	// CallResult is the Err, Cache, Calls and SQLState of a traced call. See
	// [store.CallResult].
	CallResult = store.CallResult
)

// ConfigurePool prepares a pool for [sessionstore.New] or Open as
// [sessionstore.Open] prepares its own. It must be called before
// [pgxpool.NewWithConfig]: what it sets can't be changed in a pool that is
// made.
//
// With it the library hears of a commit whose wait for a synchronous standby
// was cancelled, which is [store.ErrOutcomeUnknown] then. Postgres reports it
// in a warning only, so without it such a change counts as made;
// [sessionstore.New] warns of that where the server has synchronous standbys.
// It also bounds what pgx leaves unbounded: ConnectTimeout, PingTimeout,
// MaxConnLifetimeJitter keep what they are set to, and get a value where they
// have none. OnNotice, AfterConnect and BeforeClose are called as before.
//
// It sets client_encoding to UTF8, and standard_conforming_strings in pgx's
// simple protocol, whatever role and database have. And it counts the
// connections that are being closed: without that, a server that stops replying
// looks like a full pool for a quarter of a minute, and an emergency begins
// that much later.
func ConfigurePool(pc *pgxpool.Config) { postgres.ConfigurePool(pc) }
