package otelsession

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Attributes without a name in the semantic conventions.
const (
	layerKey     = attribute.Key("pgsession.layer")     // a store.Layer
	operationKey = attribute.Key("pgsession.operation") // a store.Operation
	resultKey    = attribute.Key("pgsession.result")    // see outcome and store.CacheResult
	eventKey     = attribute.Key("pgsession.event")     // an EventKind as in the log
	reasonKey    = attribute.Key("pgsession.reason")    // why a call was refused
	stateKey     = attribute.Key("pgsession.session.state")
	// Of spans: how many calls shared the statement.
	callsKey = attribute.Key("pgsession.statement.calls")
)

// sql describes an operation on Postgres in the words of the conventions.
var sql = map[store.Operation][]attribute.KeyValue{
	store.OpCreate: onSessions("INSERT"),
	store.OpLoad:   onSessions("SELECT"),
	store.OpSave:   onSessions("UPDATE"),
	store.OpRotate: {
		semconv.DBSystemNamePostgreSQL, semconv.DBCollectionName("sessions"),
		semconv.DBQuerySummary("DELETE sessions INSERT sessions"),
	},
	store.OpTouch:  onSessions("UPDATE"),
	store.OpDelete: onSessions("DELETE"),
	store.OpList:   onSessions("SELECT"),
	store.OpRevoke: onSessions("DELETE"),
	store.OpAlive:  onSessions("SELECT"),
	store.OpMark:   onTable("INSERT", "marks"),
	store.OpLook:   onTable("SELECT", "marks"),
	store.OpPrune: {
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("SELECT"),
		semconv.DBStoredProcedureName("prune_batch"),
		semconv.DBQuerySummary("SELECT prune_batch"),
	},
	store.OpStats:  onSessions("SELECT"),
	store.OpEvents: onTable("SELECT", "events"),
	store.OpCheck: {
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("SELECT"),
		semconv.DBQuerySummary("SELECT pg_catalog"),
	},
}

func onSessions(command string) []attribute.KeyValue { return onTable(command, "sessions") }

func onTable(command, table string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(command),
		semconv.DBCollectionName(table),
		semconv.DBQuerySummary(command + " " + table),
	}
}

// redis describes an operation on Redis.
var redis = map[store.Operation][]attribute.KeyValue{
	store.OpGet:       {semconv.DBSystemNameRedis, semconv.DBOperationName("GET")},
	store.OpFill:      {semconv.DBSystemNameRedis, semconv.DBOperationName("EVALSHA")},
	store.OpTombstone: {semconv.DBSystemNameRedis, semconv.DBOperationName("EVALSHA")},
}
