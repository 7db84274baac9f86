package store

import (
	"context"
)

// Tracer measures the calls of a store, and puts them into the traces of a
// program. The module [github.com/reporadar/pgsession/otelsession] has one for
// OpenTelemetry.
//
// A call by the application is one of [LayerSession]. The calls of the cache
// and of Postgres that it needs begin and end within it, with the context that
// TraceStart returned for it. A load that the cache can't answer is a load of
// LayerSession, in it one of LayerCache and then one of LayerPostgres. Touches,
// prunes and other calls beside requests have no request's context.
//
// The goroutine that makes the call runs the methods and waits for them: they
// must return at once, and be safe for concurrent use. They get no token, id,
// user or data.
type Tracer interface {
	// TraceStart runs before a call. The call has the context that it returns,
	// which must come from ctx.
	TraceStart(ctx context.Context, c Call) context.Context
	// TraceEnd runs after a call. ctx is what TraceStart returned for it.
	TraceEnd(ctx context.Context, c Call, r CallResult)
}

// Call is a call that a [Tracer] measures.
type Call struct {
	Layer     Layer
	Operation Operation
}

// Layer is where a call is made.
type Layer string

// The layers, from the application down to the database.
const (
	// LayerSession: a call of any [Store], by a request or by the Manager in
	// the background.
	LayerSession Layer = "session"
	// LayerCache: a call of the cache. Several may share one round trip to
	// Redis.
	LayerCache Layer = "cache"
	// LayerPostgres: a call of Postgres, with its wait for a slot. Several may
	// share one statement. Each has its own time, from its begin to its result.
	LayerPostgres Layer = "postgres"
	// LayerStatement: one statement of Postgres, with its repetitions and the
	// wait for a connection. If several calls share it, the context is that of
	// none.
	LayerStatement Layer = "statement"
)

// Operation is what a call does.
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
	// Cache is the result of a call of [LayerCache]: see [CacheStats].
	Cache CacheResult
	// Calls is how many calls shared the statement of a call of
	// [LayerPostgres], itself included. It is 0 if none can share it, or if it
	// has no result.
	Calls int
	// SQLState is the code with which Postgres refused a call of
	// [LayerStatement]; empty if it did not.
	SQLState string
}

// CacheResult is the result of a call of the cache.
type CacheResult string

// The result of a get is one of the first eight: the cache answered, or the
// reason why the store loads the session.
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
