package store

import (
	"context"
)

// Tracer is told when a call of a store begins and when it ends, so that a
// program can measure it and put it into its traces. The module
// [github.com/reporadar/pgsession/otelsession] has one for OpenTelemetry.
//
// What an application does comes as a call of [LayerSession]. The calls of the
// cache and of Postgres that it needs begin and end within it, and with the
// context that TraceStart returned for it: a load that the cache can't answer
// is a load of LayerSession, in it one of LayerCache and then one of
// LayerPostgres. What goes on beside requests, such as touches and pruning, is
// called without a request's context.
//
// The methods are called by the goroutine that makes the call, which waits for
// them: they must return at once, and be safe for concurrent use. They are
// handed no token, id, user or data.
type Tracer interface {
	// TraceStart is told that a call begins. The call goes on with the context
	// it returns, which must come from ctx.
	TraceStart(ctx context.Context, c Call) context.Context
	// TraceEnd is told that a call has ended. ctx is what TraceStart returned
	// for it.
	TraceEnd(ctx context.Context, c Call, r CallResult)
}

// Call is what a [Tracer] is told about.
type Call struct {
	Layer     Layer
	Operation Operation
}

// Layer is where a call is made.
type Layer string

// The layers, from the application down to the database.
const (
	// LayerSession: what requests, and the Manager beside them, ask for; of any
	// [Store].
	LayerSession Layer = "session"
	// LayerCache: what the cache is asked and told. Several calls may share one
	// exchange with Redis.
	LayerCache Layer = "cache"
	// LayerPostgres: what Postgres is asked for by one call, its wait for a
	// turn included. Several may share one statement: each has its own time,
	// from when it began to when it had its answer.
	LayerPostgres Layer = "postgres"
	// LayerStatement: one statement sent to Postgres, its repetitions and the
	// wait for a connection included, whoever shares it. The context is
	// nobody's when several do.
	LayerStatement Layer = "statement"
)

// Operation is what is asked for.
type Operation string

// The operations of sessions and of Postgres, as the methods of [Store] are
// called.
const (
	OpCreate Operation = "create"
	OpLoad   Operation = "load"
	OpSave   Operation = "save"
	OpRotate Operation = "rotate"
	OpTouch  Operation = "touch"
	OpDelete Operation = "delete"
	OpList   Operation = "list"
	OpRevoke Operation = "revoke"
	OpAlive  Operation = "alive"
	OpPrune  Operation = "prune"
	OpStats  Operation = "stats"
	// OpMark adds the mark of a revoke, and OpLook looks for those that refuse
	// a login: of LayerStatement only.
	OpMark Operation = "mark"
	OpLook Operation = "look"
	// OpEvents reads recorded events: of LayerStatement only.
	OpEvents Operation = "events"
	// OpCheck looks at the schema: of LayerStatement only.
	OpCheck Operation = "check"
)

// The operations of the cache.
const (
	OpGet       Operation = "get"
	OpFill      Operation = "fill"
	OpTombstone Operation = "tombstone"
)

// CallResult is how a call ended.
type CallResult struct {
	// Err is what the caller gets. [ErrNotFound] and [ErrExists] are results
	// and no failures, and so are the refusals of a login:
	// [ErrTooManySessions], [ErrRevoked] and [ErrNoPendingLogin].
	Err error
	// Cache is what came of a call of [LayerCache]: see [CacheStats] for its
	// words.
	Cache CacheResult
	// Calls is how many calls shared the statement that answered a call of
	// [LayerPostgres], itself included; 0 where none can be shared, or where it
	// got no answer.
	Calls int
	// SQLState is with what code Postgres refused a call of [LayerStatement];
	// empty where it did not.
	SQLState string
}

// CacheResult is what came of a call of the cache.
type CacheResult string

// What comes of a get is one of the first eight: the cache answered, or the
// reason why the store is asked.
const (
	CacheHit          CacheResult = "hit"
	CacheMiss         CacheResult = "miss"
	CacheTombstone    CacheResult = "tombstone"
	CacheUnavailable  CacheResult = "unavailable"
	CacheClockUnknown CacheResult = "clock_unknown"
	CacheStale        CacheResult = "stale"
	CacheExpired      CacheResult = "expired"
	CacheBelowMinimum CacheResult = "below_minimum"
	// CacheStored: the cache has acknowledged a fill or a tombstone.
	CacheStored CacheResult = "stored"
	// CacheRefused: the cache keeps what it has.
	CacheRefused CacheResult = "refused"
	// CacheFailed: the cache did not acknowledge it.
	CacheFailed CacheResult = "failed"
)
