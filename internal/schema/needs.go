package schema

import "slices"

// Fact is a property of a schema, as the query CatalogFacts returns it.
type Fact struct {
	// Kind is schema, table, view, column, index, constraint or function, or a
	// property of an object:
	//   - security: the rights and the search_path with which a function runs
	//   - plan: the volatility of a function and its settings for the planner
	//   - storage: whether a table survives a crash
	//   - options: the names of a table's storage parameters, "autovacuum off"
	//     and "row-level security"
	//   - code: triggers and rules that can change the effect of a statement
	//   - keys: the columns of an index
	//   - public: the rights of every role
	Kind string
	// Name is that of the object, without the schema: "sessions",
	// "sessions.id", pruneBatch.
	Name string
	// Detail is empty, or the value of the property. Of a table it is empty
	// unless it has partitions or children. Of a column it is the type with its
	// collation, "not null" and "with a default"; of an index whether it is
	// valid; of a constraint its definition; of a function its result.
	Detail string
}

// The signatures of the functions, as Postgres spells them.
const (
	idleDeadline = "idle_deadline(idle interval, resolution interval)"
	methodsNow   = "methods_now(methods text)"
	pruneBatch   = "prune_batch(max_rows integer)"
	countExpired = "count_expired(max_rows integer)"
	tableStats   = "table_stats()"
	countByState = "count_by_state()"
	prune        = "prune(IN max_rows bigint, IN max_seconds bigint," +
		" IN batch_rows bigint, INOUT deleted bigint)"
)

// definer is the security of a function that runs with the rights of its owner.
const definer = "definer with search_path=pg_catalog, pg_temp"

// needs lists what this version of the library uses. An application does not
// start if one of them is missing. A test compares needs and operations with
// what the migrations make.
var needs = []Fact{
	{"table", "sessions", ""},
	{"code", "sessions", "none"},
	{"column", "sessions.id", "bytea not null"},
	{"column", "sessions.user_id", "text collate C"},
	{"column", "sessions.data", "json not null with a default"},
	{"column", "sessions.version", "bigint not null with a default"},
	{"column", "sessions.created_at", "timestamp with time zone not null with a default"},
	{"column", "sessions.authenticated_at", "timestamp with time zone"},
	{"column", "sessions.last_seen_at", "timestamp with time zone not null with a default"},
	{"column", "sessions.expires_at", "timestamp with time zone not null"},
	{"column", "sessions.absolute_expires_at", "timestamp with time zone not null"},
	{"column", "sessions.ip", "inet"},
	{"column", "sessions.user_agent", "text"},
	{"column", "sessions.pending_since", "timestamp with time zone"},
	{"column", "sessions.login_id", "uuid"},
	{"column", "sessions.pending_user_id", "text collate C"},
	{"column", "sessions.methods", "json"},
	{"column", "sessions.tags", "bytea[]"},
	{"constraint", "sessions_pkey", "PRIMARY KEY (id)"},
	{"constraint", "sessions_id_check", anyDefinition},
	{"constraint", "sessions_version_check", anyDefinition},
	{"constraint", "sessions_created_at_check", anyDefinition},
	{"constraint", "sessions_last_seen_at_check", anyDefinition},
	{"constraint", "sessions_authenticated_at_check", anyDefinition},
	{"constraint", "sessions_expires_at_check", anyDefinition},
	{"constraint", "sessions_user_id_check", anyDefinition},
	{"constraint", "sessions_user_agent_check", anyDefinition},
	{"constraint", "sessions_ip_check", anyDefinition},
	{"constraint", "sessions_data_check", anyDefinition},
	{"constraint", "sessions_data_object_check", anyDefinition},
	{"constraint", "sessions_pending_since_check", anyDefinition},
	{"constraint", "sessions_pending_user_id_check", anyDefinition},
	{"constraint", "sessions_pending_check", anyDefinition},
	{"constraint", "sessions_methods_check", anyDefinition},
	{"constraint", "sessions_tags_check", anyDefinition},
	{"index", "sessions_pkey", "valid"},
	{"index", "sessions_id_idx", "valid"},
	{"index", "sessions_expires_at_idx", "valid"},
	{"index", "sessions_user_id_idx", "valid"},
	{"index", "sessions_pending_user_id_idx", "valid"},
	{"index", "sessions_tags_idx", "valid"},

	{"table", "marks", ""},
	{"code", "marks", "none"},
	{"column", "marks.revoked_at", "timestamp with time zone not null with a default"},
	{"column", "marks.id", "bytea not null"},
	{"column", "marks.key", "bytea not null"},
	{"constraint", "marks_pkey", "PRIMARY KEY (id)"},
	{"constraint", "marks_revoked_at_check", anyDefinition},
	{"constraint", "marks_id_check", anyDefinition},
	{"constraint", "marks_key_check", anyDefinition},
	{"index", "marks_pkey", "valid"},
	{"index", "marks_key_idx", "valid"},
	{"index", "marks_revoked_at_idx", "valid"},

	{"table", "endings", ""},
	{"code", "endings", "none"},
	{"column", "endings.n", "bigint not null with a default"},
	{"column", "endings.ended_at", "timestamp with time zone not null with a default"},
	{"column", "endings.id", "bytea not null"},
	{"column", "endings.reason", "text collate C not null"},
	{"constraint", "endings_pkey", "PRIMARY KEY (id)"},
	{"constraint", "endings_reason_check", anyDefinition},
	{"index", "endings_pkey", "valid"},
	{"index", "endings_n_idx", "valid"},

	{"table", "events", ""},
	{"code", "events", "none"},
	{"column", "events.tx", "xid8 not null with a default"},
	{"column", "events.id", "bigint not null with a default"},
	{"column", "events.at", "timestamp with time zone not null with a default"},
	{"column", "events.count", "bigint"},
	{"column", "events.level", "smallint"},
	{"column", "events.login_id", "uuid"},
	{"column", "events.kind", "text collate C not null"},
	{"column", "events.user_id", "text collate C"},
	{"column", "events.session", "text collate C"},
	{"column", "events.ip", "inet"},
	{"column", "events.user_agent", "text"},
	{"column", "events.methods", "text[]"},
	{"column", "events.reason", "text collate C"},
	{"column", "events.actor", "text collate C"},
	{"column", "events.detail", "text"},
	{"constraint", "events_pkey", "PRIMARY KEY (tx, id)"},
	{"constraint", "events_ip_check", anyDefinition},
	{"constraint", "events_user_agent_check", anyDefinition},
	{"index", "events_pkey", "valid"},
	{"index", "events_user_id_idx", "valid"},
	{"index", "events_at_idx", "valid"},

	{"table", "locks", ""},
	{"code", "locks", "none"},
	{"column", "locks.n", "smallint not null"},
	{"constraint", "locks_pkey", "PRIMARY KEY (n)"},
	{"constraint", "locks_n_check", anyDefinition},
	{"index", "locks_pkey", "valid"},

	{"table", "user_sessions", ""},
	{"code", "user_sessions", "none"},
	{"column", "user_sessions.written_at", "timestamp with time zone not null with a default"},
	{"column", "user_sessions.expires_at", "timestamp with time zone not null"},
	{"column", "user_sessions.id", "bytea not null"},
	{"column", "user_sessions.user_id", "bytea not null"},
	{"constraint", "user_sessions_pkey", "PRIMARY KEY (user_id, id)"},
	{"constraint", "user_sessions_id_check", anyDefinition},
	{"constraint", "user_sessions_user_id_check", anyDefinition},
	{"index", "user_sessions_pkey", "valid"},
	{"index", "user_sessions_expires_at_idx", "valid"},

	{"table", "prune_state", ""},
	{"code", "prune_state", "none"},
	{"column", "prune_state.only_row", "boolean not null with a default"},
	{"column", "prune_state.last_prune_at", "timestamp with time zone"},
	{"column", "prune_state.pruned_total", "bigint not null with a default"},
	{"column", "prune_state.reached_at", "timestamp with time zone"},
	{"column", "prune_state.reached_id", "bytea"},
	{"column", "prune_state.reached_n", "bigint not null with a default"},
	{"column", "prune_state.reached_event_at", "timestamp with time zone"},
	{"column", "prune_state.reached_event_id", "bigint"},
	{"column", "prune_state.reached_mark_at", "timestamp with time zone"},
	{"column", "prune_state.reached_mark_id", "bytea"},
	{"column", "prune_state.looked_at", "timestamp with time zone"},
	{"column", "prune_state.runs", "integer not null with a default"},
	{"column", "prune_state.run_batches", "integer not null with a default"},
	{"column", "prune_state.keep_events", "interval not null with a default"},
	{"constraint", "prune_state_keep_events_check", anyDefinition},
	{"constraint", "prune_state_pkey", "PRIMARY KEY (only_row)"},
	{"constraint", "prune_state_only_row_check", anyDefinition},
	{"index", "prune_state_pkey", "valid"},

	{"function", idleDeadline, "returns timestamp with time zone"},
	{"security", idleDeadline, "invoker"},
	{"function", methodsNow, "returns json"},
	{"security", methodsNow, "invoker"},
	{"function", pruneBatch, "returns integer"},
	{"security", pruneBatch, definer},
	{"function", countExpired, "returns bigint"},
	{"security", countExpired, definer},
}

// operations lists what the migrations make for administrators. No statement of
// the library uses it, so an application starts without it. `migrate validate`
// checks it.
var operations = []Fact{
	{"function", prune, "procedure"},
	{"security", prune, "invoker"},
	{
		"function", tableStats,
		"returns TABLE(live_rows bigint, dead_rows bigint, updates bigint," +
			" hot_updates bigint, table_bytes bigint, index_bytes bigint," +
			" last_vacuum_at timestamp with time zone, oldest_expired_at timestamp with time zone)",
	},
	{"security", tableStats, definer},
	{"function", countByState, "returns TABLE(state text, sessions bigint)"},
	{"security", countByState, definer},
	{"view", "stats", ""},
	{"view", "sessions_by_state", ""},

	{"storage", "sessions", "logged"},
	{"storage", "marks", "logged"},
	{"storage", "endings", "logged"},
	{"storage", "events", "logged"},
	{"storage", "locks", "logged"},
	{"storage", "user_sessions", "logged"},
	{"storage", "prune_state", "logged"},
	{
		"options", "sessions", "autovacuum_analyze_scale_factor," +
			" autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, fillfactor",
	},
	{"options", "marks", "none"},
	{"options", "endings", "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"},
	{"options", "events", "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"},
	{"options", "locks", "none"},
	{"options", "user_sessions", "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"},
	{"options", "prune_state", "none"},
	{"keys", "sessions_pkey", "unique btree on sessions (id)"},
	{"keys", "sessions_id_idx", "hash on sessions (id)"},
	{"keys", "sessions_expires_at_idx", "btree on sessions (expires_at, id)"},
	{
		"keys", "sessions_user_id_idx",
		"btree on sessions (user_id, created_at desc) where (user_id IS NOT NULL)",
	},
	{
		"keys", "sessions_pending_user_id_idx",
		"btree on sessions (pending_user_id, created_at desc) where (pending_user_id IS NOT NULL)",
	},
	{"keys", "sessions_tags_idx", "gin on sessions (tags) where (tags IS NOT NULL)"},
	{"keys", "marks_pkey", "unique btree on marks (id)"},
	{"keys", "marks_key_idx", "btree on marks (key, revoked_at)"},
	{"keys", "marks_revoked_at_idx", "btree on marks (revoked_at, id)"},
	{"keys", "endings_pkey", "unique btree on endings (id)"},
	{"keys", "endings_n_idx", "btree on endings (n)"},
	{"keys", "events_pkey", "unique btree on events (tx, id)"},
	{"keys", "events_at_idx", "btree on events (at, id)"},
	{
		"keys", "events_user_id_idx",
		"btree on events (user_id, id) where (user_id IS NOT NULL)",
	},
	{"keys", "locks_pkey", "unique btree on locks (n)"},
	{"keys", "user_sessions_pkey", "unique btree on user_sessions (user_id, id)"},
	{"keys", "user_sessions_expires_at_idx", "btree on user_sessions (expires_at)"},
	{"keys", "prune_state_pkey", "unique btree on prune_state (only_row)"},
	{"plan", idleDeadline, "stable"},
	{"plan", methodsNow, "stable"},
	{
		"plan", pruneBatch, "volatile with enable_bitmapscan=off, enable_hashjoin=off," +
			" enable_indexonlyscan=on, enable_indexscan=on, enable_mergejoin=off," +
			" enable_nestloop=on, enable_seqscan=off, enable_sort=off, enable_tidscan=on, jit=off",
	},
	{
		"plan", countExpired, "stable with enable_bitmapscan=off, enable_indexonlyscan=on," +
			" enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off",
	},
	{
		"plan", tableStats, "stable with enable_bitmapscan=off, enable_indexonlyscan=on," +
			" enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off",
	},
	{"plan", countByState, "stable"},
	{"plan", prune, "volatile"},
	{"public", "sessions", "nothing"},
	{"public", "marks", "nothing"},
	{"public", "endings", "nothing"},
	{"public", "events", "nothing"},
	{"public", "locks", "nothing"},
	{"public", "user_sessions", "nothing"},
	{"public", "prune_state", "nothing"},
	{"public", "stats", "nothing"},
	{"public", "sessions_by_state", "nothing"},
	{"public", idleDeadline, "nothing"},
	{"public", methodsNow, "nothing"},
	{"public", pruneBatch, "nothing"},
	{"public", countExpired, "nothing"},
	{"public", tableStats, "nothing"},
	{"public", countByState, "nothing"},
	{"public", prune, "nothing"},
}

// anyDefinition is the detail of a CHECK with any expression. Its spelling may
// change with a release of Postgres, and an administrator may need another
// limit.
const anyDefinition = "CHECK (…)"

// withDefault is the end of the detail of a column that has a default.
const withDefault = " with a default"

// Needs returns a new slice of what this version of the library needs.
func Needs() []Fact { return slices.Clone(needs) }

// All returns a new slice of what the migrations of this version make.
func All() []Fact { return slices.Concat(needs, operations) }
