package schema

import "slices"

// Fact is one thing that is true of a schema, in the words of the query CatalogFacts.
type Fact struct {
	// Kind is schema, table, view, column, index, constraint or function; or
	// one thing about an object of that name: security (with whose rights and
	// path a function runs), plan (its volatility and settings of the planner),
	// storage (whether a table outlives a crash), code (triggers and rules that
	// can change what a statement does to it), keys (what an index is on) and
	// public (what every role may do).
	Kind string
	// Name is the object's: "sessions", "sessions.id", "prune_batch(max_rows integer)". Without the schema.
	Name string
	// Detail is the rest: a column's type with its collation, "not null" and
	// "with a default" where so; whether an index is valid; the definition of a
	// constraint; what a function returns, or that it is a procedure.
	Detail string
}

// needs is what this version of the library relies on: without any of it an application does not start. With
// operations it is all that the migrations make; a test compares the two.
var needs = []Fact{
	{"table", "sessions", ""},
	{"code", "sessions", "none"},
	{"column", "sessions.id", "bytea not null"},
	{"column", "sessions.user_id", "text collate C"},
	{"column", "sessions.data", "jsonb not null with a default"},
	{"column", "sessions.version", "bigint not null with a default"},
	{"column", "sessions.created_at", "timestamp with time zone not null with a default"},
	{"column", "sessions.authenticated_at", "timestamp with time zone"},
	{"column", "sessions.last_seen_at", "timestamp with time zone not null with a default"},
	{"column", "sessions.expires_at", "timestamp with time zone not null"},
	{"column", "sessions.absolute_expires_at", "timestamp with time zone not null"},
	{"column", "sessions.ip", "inet"},
	{"column", "sessions.user_agent", "text"},
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
	{"index", "sessions_pkey", "valid"},
	{"index", "sessions_expires_at_idx", "valid"},
	{"index", "sessions_user_id_idx", "valid"},

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

	{"table", "prune_state", ""},
	{"code", "prune_state", "none"},
	{"column", "prune_state.only_row", "boolean not null with a default"},
	{"column", "prune_state.last_prune_at", "timestamp with time zone"},
	{"column", "prune_state.pruned_total", "bigint not null with a default"},
	{"column", "prune_state.reached_at", "timestamp with time zone"},
	{"column", "prune_state.reached_id", "bytea"},
	{"column", "prune_state.runs", "integer not null with a default"},
	{"column", "prune_state.run_batches", "integer not null with a default"},
	{"constraint", "prune_state_pkey", "PRIMARY KEY (only_row)"},
	{"constraint", "prune_state_only_row_check", anyDefinition},
	{"index", "prune_state_pkey", "valid"},

	{"function", "idle_deadline(idle interval, resolution interval)", "returns timestamp with time zone"},
	{"security", "idle_deadline(idle interval, resolution interval)", "invoker"},
	{"function", "prune_batch(max_rows integer)", "returns integer"},
	{"security", "prune_batch(max_rows integer)", "definer with search_path=pg_catalog, pg_temp"},
	{"function", "count_expired(max_rows integer)", "returns bigint"},
	{"security", "count_expired(max_rows integer)", "definer with search_path=pg_catalog, pg_temp"},
}

// operations is what the migrations make for the people who run the database. No statement of the library uses it, so
// an application starts without it, and runs on the schema before it; `migrate validate` asks for it.
var operations = []Fact{
	{"function", "prune(IN max_rows bigint, IN max_seconds bigint, IN batch_rows bigint, INOUT deleted bigint)", "procedure"},
	{"security", "prune(IN max_rows bigint, IN max_seconds bigint, IN batch_rows bigint, INOUT deleted bigint)", "invoker"},
	{"view", "stats", ""},
	{"view", "sessions_by_state", ""},

	{"storage", "sessions", "logged"},
	{"storage", "marks", "logged"},
	{"storage", "prune_state", "logged"},
	{"keys", "sessions_pkey", "unique btree on sessions (id)"},
	{"keys", "sessions_expires_at_idx", "btree on sessions (expires_at, id)"},
	{"keys", "sessions_user_id_idx", "btree on sessions (user_id, created_at desc, id) where (user_id IS NOT NULL)"},
	{"keys", "marks_pkey", "unique btree on marks (id)"},
	{"keys", "marks_key_idx", "btree on marks (key, revoked_at)"},
	{"keys", "marks_revoked_at_idx", "btree on marks (revoked_at)"},
	{"keys", "prune_state_pkey", "unique btree on prune_state (only_row)"},
	{"plan", "idle_deadline(idle interval, resolution interval)", "stable"},
	{"plan", "prune_batch(max_rows integer)", "volatile with enable_bitmapscan=off, enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off"},
	{"plan", "count_expired(max_rows integer)", "stable with enable_bitmapscan=off, enable_indexonlyscan=on, enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off"},
	{"plan", "prune(IN max_rows bigint, IN max_seconds bigint, IN batch_rows bigint, INOUT deleted bigint)", "volatile"},
	{"public", "sessions", "nothing"},
	{"public", "marks", "nothing"},
	{"public", "prune_state", "nothing"},
	{"public", "stats", "nothing"},
	{"public", "sessions_by_state", "nothing"},
	{"public", "idle_deadline(idle interval, resolution interval)", "nothing"},
	{"public", "prune_batch(max_rows integer)", "nothing"},
	{"public", "count_expired(max_rows integer)", "nothing"},
	{"public", "prune(IN max_rows bigint, IN max_seconds bigint, IN batch_rows bigint, INOUT deleted bigint)", "nothing"},
}

// anyDefinition stands for a CHECK that is only asked to be there. How Postgres spells an expression is its own
// affair and may change with a release, and a database administrator may have good reason for another limit.
const anyDefinition = "CHECK (…)"

// withDefault is the end of a column's detail, if it has a default.
const withDefault = " with a default"

// Needs returns what this version of the library needs, in a fresh slice.
func Needs() []Fact { return slices.Clone(needs) }

// All returns what the migrations of this version make: Needs and what is there for the people who run the database.
func All() []Fact { return slices.Concat(needs, operations) }
