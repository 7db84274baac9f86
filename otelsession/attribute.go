package otelsession

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/reporadar/pgsession/sessionstore"
)

// Attributes that the semantic conventions have no name for.
const (
	layerKey     = attribute.Key("pgsession.layer")     // see sessionstore.Layer
	operationKey = attribute.Key("pgsession.operation") // see sessionstore.Operation
	resultKey    = attribute.Key("pgsession.result")    // see outcome, sessionstore.CacheResult
	eventKey     = attribute.Key("pgsession.event")     // an EventKind, as the log has it
	reasonKey    = attribute.Key("pgsession.reason")    // why a call was refused
	stateKey     = attribute.Key("pgsession.session.state")
	callsKey     = attribute.Key("pgsession.statement.calls") // of spans: how many calls shared the statement
)

// sql says what an operation is to Postgres, in the words of the conventions.
var sql = map[sessionstore.Operation][]attribute.KeyValue{
	sessionstore.OpCreate: onSessions("INSERT"),
	sessionstore.OpLoad:   onSessions("SELECT"),
	sessionstore.OpSave:   onSessions("UPDATE"),
	sessionstore.OpRotate: {
		semconv.DBSystemNamePostgreSQL, semconv.DBCollectionName("sessions"), semconv.DBQuerySummary("DELETE sessions INSERT sessions"),
	},
	sessionstore.OpTouch:  onSessions("UPDATE"),
	sessionstore.OpDelete: onSessions("DELETE"),
	sessionstore.OpList:   onSessions("SELECT"),
	sessionstore.OpRevoke: onSessions("DELETE"),
	sessionstore.OpAlive:  onSessions("SELECT"),
	sessionstore.OpMark:   onTable("INSERT", "marks"),
	sessionstore.OpLook:   onTable("SELECT", "marks"),
	sessionstore.OpPrune: {
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("SELECT"), semconv.DBStoredProcedureName("prune_batch"),
		semconv.DBQuerySummary("SELECT prune_batch"),
	},
	sessionstore.OpStats: onSessions("SELECT"),
	sessionstore.OpCheck: {semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("SELECT"), semconv.DBQuerySummary("SELECT pg_catalog")},
}

func onSessions(command string) []attribute.KeyValue { return onTable(command, "sessions") }

func onTable(command, table string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(command), semconv.DBCollectionName(table),
		semconv.DBQuerySummary(command + " " + table),
	}
}

// redis says what an operation is to Redis.
var redis = map[sessionstore.Operation][]attribute.KeyValue{
	sessionstore.OpGet:  {semconv.DBSystemNameRedis, semconv.DBOperationName("GET")},
	sessionstore.OpFill: {semconv.DBSystemNameRedis, semconv.DBOperationName("EVALSHA")},
	sessionstore.OpBury: {semconv.DBSystemNameRedis, semconv.DBOperationName("EVALSHA")},
}
