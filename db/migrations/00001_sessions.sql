-- The schema of the library: the table of sessions, the prune, and views for a
-- monitor. Everything lives in a schema of its own, so that it collides with
-- nothing of the application.
--
-- Postgres resolves a name when it creates an object, and keeps what it found.
-- A function in the schema public that matches exactly would win over a
-- built-in that takes "any". So each direction begins by setting search_path,
-- and each function names pg_catalog.

-- +goose Up
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

-- An administrator may have made the schema for the role that migrates, which
-- then needs no right to make schemas, and goose has made its list of
-- migrations in it. It is taken if it holds nothing else. The name ends with a
-- dot in this text, since it is replaced before one.
-- +goose StatementBegin
DO $$
DECLARE
    is_there pg_catalog.oid;
BEGIN
    SELECT n.oid INTO is_there FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = pg_catalog.rtrim('pgsession.', '.');
    IF is_there IS NULL THEN
        CREATE SCHEMA pgsession;
    ELSIF EXISTS (
            SELECT FROM pg_catalog.pg_class AS c
            WHERE c.relnamespace = is_there AND c.relname !~ '^goose_db_version'
        )
        OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = is_there)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_type AS t
            WHERE t.typnamespace = is_there AND t.typname !~ '^_?goose_db_version'
        )
    THEN
        RAISE duplicate_schema USING
            MESSAGE = pg_catalog.concat('schema ', pg_catalog.rtrim('pgsession.', '.'), ' is not empty');
    END IF;
END
$$;
-- +goose StatementEnd

COMMENT ON SCHEMA pgsession IS 'HTTP sessions: github.com/reporadar/pgsession';

-- Columns of fixed width come first: values of 8 bytes need no padding, and the
-- columns that a touch changes have a fixed offset.
CREATE TABLE pgsession.sessions (
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT pg_catalog.now(),
    last_seen_at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at          timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    authenticated_at    timestamptz,
    pending_since       timestamptz,
    login_id            uuid,
    id                  bytea       NOT NULL,
    user_id             text COLLATE "C",
    ip                  inet,
    user_agent          text,
    data                json        NOT NULL DEFAULT '{}',
    pending_user_id     text COLLATE "C",
    methods             json,
    tags                bytea[],

    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    -- The CHECKs are for other writers. The library never sends such a row, and
    -- could not read most of them. Only the two deadlines may be infinity.
    CONSTRAINT sessions_id_check CHECK (pg_catalog.octet_length(id) = 32),
    CONSTRAINT sessions_version_check CHECK (version > 0),
    CONSTRAINT sessions_created_at_check CHECK (
        created_at >= timestamptz '1970-01-01 00:00:00Z' AND created_at < timestamptz '9999-01-01 00:00:00Z'),
    CONSTRAINT sessions_last_seen_at_check CHECK (
        last_seen_at >= timestamptz '1970-01-01 00:00:00Z' AND last_seen_at < timestamptz '9999-01-01 00:00:00Z'),
    CONSTRAINT sessions_authenticated_at_check CHECK (
        authenticated_at >= timestamptz '1970-01-01 00:00:00Z' AND authenticated_at < timestamptz '9999-01-01 00:00:00Z'),
    CONSTRAINT sessions_pending_since_check CHECK (
        pending_since >= timestamptz '1970-01-01 00:00:00Z' AND pending_since < timestamptz '9999-01-01 00:00:00Z'),
    CONSTRAINT sessions_expires_at_check CHECK (expires_at <= absolute_expires_at),
    CONSTRAINT sessions_user_id_check CHECK (pg_catalog.octet_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT sessions_ip_check CHECK (
        pg_catalog.masklen(ip) = CASE pg_catalog.family(ip) WHEN 4 THEN 32 ELSE 128 END),
    CONSTRAINT sessions_user_agent_check CHECK (pg_catalog.octet_length(user_agent) <= 512),
    -- pg_column_size reads only the header of a value that is stored out of
    -- line.
    CONSTRAINT sessions_data_check CHECK (pg_catalog.pg_column_size(data) <= 1048576),
    -- A save casts data to jsonb, so what jsonb refuses could be loaded and never
    -- saved. Postgres checks each new version of a row, so a touch reads the value
    -- too, once in a touch interval.
    CONSTRAINT sessions_data_object_check CHECK (
        pg_catalog.jsonb_typeof(data::pg_catalog.jsonb) = 'object'),
    CONSTRAINT sessions_pending_user_id_check CHECK (
        pg_catalog.octet_length(pending_user_id) BETWEEN 1 AND 256),
    -- A pending login has a beginning, and its session has no user yet.
    CONSTRAINT sessions_pending_check CHECK (
        (pending_user_id IS NULL) = (pending_since IS NULL)
        AND (pending_user_id IS NULL OR user_id IS NULL)),
    CONSTRAINT sessions_methods_check CHECK (
        pg_catalog.jsonb_typeof(methods::pg_catalog.jsonb) = 'object'
        AND pg_catalog.pg_column_size(methods) <= 2048),
    -- A tag has 32 bytes, and 36 with the header that it has in the array.
    CONSTRAINT sessions_tags_check CHECK (
        pg_catalog.array_ndims(tags) = 1 AND pg_catalog.cardinality(tags) BETWEEN 1 AND 8
        AND pg_catalog.pg_column_size(tags) <= 32 + 36 * pg_catalog.cardinality(tags))
) WITH (
    -- Room on each page for the next version of a row makes a touch a heap-only
    -- update.
    fillfactor = 80,
    -- The default of 20 % would let a table of ten million sessions collect two
    -- million dead rows.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

-- Data of more than about 2 KB is compressed. lz4 takes a fraction of the time
-- of pglz, for about the same size; a server may be built without it.
-- +goose StatementBegin
DO $$
BEGIN
    IF (SELECT 'lz4' = ANY (s.enumvals) FROM pg_catalog.pg_settings AS s
        WHERE s.name = 'default_toast_compression')
    THEN
        ALTER TABLE pgsession.sessions ALTER COLUMN data SET COMPRESSION lz4;
    END IF;
END
$$;
-- +goose StatementEnd

COMMENT ON TABLE pgsession.sessions IS 'One row per session, until it is revoked, or pruned after its end';
COMMENT ON COLUMN pgsession.sessions.id IS 'SHA-256 of the token, which is stored nowhere';
COMMENT ON COLUMN pgsession.sessions.version IS
    '+1 with every save and rotation; a touch leaves it';
COMMENT ON COLUMN pgsession.sessions.created_at IS
    'When the session began; a login with a new token sets it again';
COMMENT ON COLUMN pgsession.sessions.last_seen_at IS
    'Personal data: the last use that was written, which is at most once a minute';
COMMENT ON COLUMN pgsession.sessions.user_id IS
    'Personal data: the user who is logged in; null for a visitor and for a pending login';
COMMENT ON COLUMN pgsession.sessions.ip IS
    'Personal data: the client''s address; null if unknown, and with SESSION_TRACK_METADATA=false';
COMMENT ON COLUMN pgsession.sessions.user_agent IS
    'Personal data: the client''s browser and system; null as ip is';
COMMENT ON COLUMN pgsession.sessions.data IS
    'Personal data, if the application stores any: one member per key of the session; json is read '
    'faster than jsonb, to which a save casts it';
COMMENT ON COLUMN pgsession.sessions.expires_at IS
    'The idle deadline, at most absolute_expires_at; a use moves it, in steps';
COMMENT ON COLUMN pgsession.sessions.absolute_expires_at IS
    'A use does not move it; a login does, and a lifetime of the session''s own';
COMMENT ON COLUMN pgsession.sessions.authenticated_at IS 'Time of the last login; null before';
COMMENT ON COLUMN pgsession.sessions.login_id IS
    'Random name of the last login, in events and logs; authenticates no user';
COMMENT ON COLUMN pgsession.sessions.methods IS
    'How the user logged in: one member per method, with its level and time';
COMMENT ON COLUMN pgsession.sessions.pending_user_id IS
    'Personal data: the user of a login that has yet to be completed; user_id is null then';
COMMENT ON COLUMN pgsession.sessions.pending_since IS 'When that login began';
COMMENT ON COLUMN pgsession.sessions.tags IS
    'Hashes of names by which the session is listed and revoked';

-- Loads, and the statements for many sessions, find rows by this index. It
-- compares numbers of four bytes, and needs two pages where the primary key's
-- has four. Only a B-tree can be unique.
CREATE INDEX sessions_id_idx ON pgsession.sessions USING hash (id);

-- For the prune and the counts. Many sessions have the same deadline. The prune
-- goes on behind the last one that it deleted, so the id is part of the index.
CREATE INDEX sessions_expires_at_idx ON pgsession.sessions (expires_at, id);

-- The sessions of a user, newest first. The few of one moment are sorted by id
-- when they are read. A touch changes none of its columns.
-- user_id is only compared for equality, so its collation is "C": under another
-- one, an upgrade of glibc or ICU can make the index miss rows.
CREATE INDEX sessions_user_id_idx
    ON pgsession.sessions (user_id, created_at DESC) WHERE user_id IS NOT NULL;

-- The pending logins of a user, in the same order. They are few.
CREATE INDEX sessions_pending_user_id_idx
    ON pgsession.sessions (pending_user_id, created_at DESC)
    WHERE pending_user_id IS NOT NULL;

-- The sessions with a tag. With fastupdate, a login would now and then write
-- the index entries of many logins before it.
CREATE INDEX sessions_tags_idx ON pgsession.sessions USING gin (tags)
    WITH (fastupdate = off) WHERE tags IS NOT NULL;

-- The deadline of a session that is used now and may then be idle for so long.
-- It stands here alone: every statement that makes or extends a session calls
-- it. The deadline is rounded up to a multiple of resolution, so that most uses
-- leave the indexed column as it was. Without a timeout it is null, which
-- greatest and least pass over: the session keeps the deadline that it has.
--
-- Postgres replaces the call by the body when it plans a statement. For that
-- the function may have no SET clause, so it runs with its caller's
-- search_path. Every function, operator and type in it names pg_catalog or is a
-- word of the grammar. It takes no column: in an UPDATE Citus refuses a STABLE
-- function of a column.
-- +goose StatementBegin
CREATE FUNCTION pgsession.idle_deadline(idle interval, resolution interval)
RETURNS timestamptz
LANGUAGE sql
STABLE
AS $$
    SELECT pg_catalog.date_bin(
        resolution,
        pg_catalog.now() OPERATOR(pg_catalog.+) idle
            OPERATOR(pg_catalog.+) resolution OPERATOR(pg_catalog.-) interval '1 microsecond',
        timestamp with time zone 'epoch'
    )
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.idle_deadline(interval, interval) FROM PUBLIC;

COMMENT ON FUNCTION pgsession.idle_deadline(interval, interval) IS
    'Deadline of a session that is used now: now() + idle, rounded up to a multiple of resolution';

-- The methods of a login that is written now: the object has @ as the time of
-- each. Like idle_deadline it becomes part of the statement, names pg_catalog
-- throughout and takes no column. A CASE would spare a row without methods the
-- formatting of the time, and Citus refuses now() in a CASE.
-- +goose StatementBegin
CREATE FUNCTION pgsession.methods_now(methods text) RETURNS json
LANGUAGE sql
STABLE
AS $$
    SELECT pg_catalog.replace(
        methods,
        '@',
        pg_catalog.to_char(
            pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'
        )
    )::pg_catalog.json
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.methods_now(text) FROM PUBLIC;

COMMENT ON FUNCTION pgsession.methods_now(text) IS
    'The methods of a login: an object with @ as each time, which becomes now()';

-- A revoke inserts a mark, and then deletes sessions. A login inserts its
-- session, and then looks for a later mark. So one of the two sees the other,
-- without a lock. No statement updates a mark.
CREATE TABLE pgsession.marks (
    revoked_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    id         bytea       NOT NULL,
    key        bytea       NOT NULL,

    CONSTRAINT marks_pkey PRIMARY KEY (id),
    -- A mark at infinity would refuse each login forever. A mark can be later
    -- than now() after the clock was set back, or a failover to a slower one.
    CONSTRAINT marks_revoked_at_check CHECK (
        revoked_at >= timestamptz '1970-01-01 00:00:00Z' AND revoked_at < timestamptz '9999-01-01 00:00:00Z'),
    CONSTRAINT marks_id_check CHECK (pg_catalog.octet_length(id) = 16),
    CONSTRAINT marks_key_check CHECK (pg_catalog.octet_length(key) = 32)
);

COMMENT ON TABLE pgsession.marks IS
    'Revoke marks: one row per revoke of a user or of all users; kept for 400 days';
COMMENT ON COLUMN pgsession.marks.revoked_at IS 'A login that began earlier is refused';
COMMENT ON COLUMN pgsession.marks.id IS
    'Random; by it the request that made the mark is not refused';
COMMENT ON COLUMN pgsession.marks.key IS 'SHA-256 of who was revoked: a user, or all users';

CREATE INDEX marks_key_idx ON pgsession.marks (key, revoked_at);

-- For the prune.
CREATE INDEX marks_revoked_at_idx ON pgsession.marks (revoked_at, id);

-- Why a session is over, as its browser may know. The statement that ends a
-- session inserts its ending: a logout, a revoke by handle, or a further login
-- beyond the limit. A load reads them only after it has found no session.
-- Nothing updates an ending. The application sets neither n nor ended_at, by
-- which the prune decides.
CREATE TABLE pgsession.endings (
    n        bigint      GENERATED ALWAYS AS IDENTITY,
    ended_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    id       bytea       NOT NULL,
    reason   text COLLATE "C" NOT NULL,

    CONSTRAINT endings_pkey PRIMARY KEY (id),
    CONSTRAINT endings_reason_check CHECK (reason IN ('ended', 'too_many'))
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE pgsession.endings IS
    'Why sessions are over, for their browsers; kept for 7 days, and the newest 1,000,000';
COMMENT ON COLUMN pgsession.endings.n IS 'Counts them; has gaps';
COMMENT ON COLUMN pgsession.endings.id IS 'Id of the session that ended; its row is gone';
COMMENT ON COLUMN pgsession.endings.reason IS
    'ended by a logout or by handle; or too_many: another login took its place';

-- For the prune.
CREATE INDEX endings_n_idx ON pgsession.endings (n);

-- The rows are locks: logins of a user with a limit of sessions wait for each
-- other, and with Citus a revoke waits for rotations. A user's lock is the row
-- that the hash of the user id names, so a few users share one. Every role that
-- may connect can take an advisory lock, and keep users from logging in; these
-- need the right to UPDATE. Nothing updates a row. The first lock makes all rows:
-- one that a migration inserts would be in the way of a restore.
CREATE TABLE pgsession.locks (
    n smallint NOT NULL,

    CONSTRAINT locks_pkey PRIMARY KEY (n),
    CONSTRAINT locks_n_check CHECK (n BETWEEN 0 AND 1023)
);

COMMENT ON TABLE pgsession.locks IS
    'Row locks of logins with a limit of sessions, and of revokes on Citus; empty until one of them '
    'needs it, then 1,024 rows';
COMMENT ON COLUMN pgsession.locks.n IS 'The hash of the user ids that share the lock';

-- The ids of a user's sessions, and of pending logins, where Citus distributes
-- both tables: sessions by id, and this one by user. It stays empty without
-- Citus. An entry is committed before a row of its user can be there, so no
-- session lacks one; an entry whose session is gone is stale. The prune deletes
-- entries a day after expires_at, when their session has ended. user_id is of
-- the type of sessions.id, so that the shards of both tables stay together.
CREATE TABLE pgsession.user_sessions (
    written_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at timestamptz NOT NULL,
    user_id    bytea       NOT NULL,
    id         bytea       NOT NULL,

    CONSTRAINT user_sessions_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT user_sessions_id_check CHECK (pg_catalog.octet_length(id) = 32),
    CONSTRAINT user_sessions_user_id_check CHECK (pg_catalog.octet_length(user_id) BETWEEN 1 AND 256)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE pgsession.user_sessions IS
    'On Citus: which sessions a user may have, so that a list or revoke asks their shards alone; '
    'else empty';
COMMENT ON COLUMN pgsession.user_sessions.written_at IS
    'When a statement last began to write the session; one that old and without a session is stale';
COMMENT ON COLUMN pgsession.user_sessions.expires_at IS
    'No earlier than the absolute deadline of the session';
COMMENT ON COLUMN pgsession.user_sessions.id IS 'Id of the session, which may be gone or not there yet';
COMMENT ON COLUMN pgsession.user_sessions.user_id IS
    'Personal data: the user of the session, or of its pending login, in UTF-8';

-- For the prune.
CREATE INDEX user_sessions_expires_at_idx ON pgsession.user_sessions (expires_at);

-- What happened to sessions, where the application turns it on: one row per
-- login, logout, revoke and change of a login's level. The transaction that does
-- it inserts the row. Nothing updates a row. The application sets neither tx nor
-- id nor at, by which the rows are read and pruned.
--
-- Transactions commit in another order than they insert. So a reader goes in
-- the order of tx, and only as far as every transaction has ended. xid8 does not
-- wrap around.
CREATE TABLE pgsession.events (
    tx         xid8        NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    count      bigint,
    level      smallint,
    login_id   uuid,
    kind       text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C",
    session    text COLLATE "C",
    ip         inet,
    user_agent text,
    methods    text[],
    reason     text COLLATE "C",
    actor      text COLLATE "C",
    detail     text,

    CONSTRAINT events_pkey PRIMARY KEY (tx, id),
    CONSTRAINT events_ip_check CHECK (
        pg_catalog.masklen(ip) = CASE pg_catalog.family(ip) WHEN 4 THEN 32 ELSE 128 END),
    CONSTRAINT events_user_agent_check CHECK (pg_catalog.octet_length(user_agent) <= 512)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE pgsession.events IS
    'Logins, logouts, revokes and changes of level, where SESSION_RECORD_EVENTS is true; kept for '
    'prune_state.keep_events. No token, no session id, no data';
COMMENT ON COLUMN pgsession.events.tx IS
    'The transaction that wrote it; a reader stops before the oldest one that is open';
COMMENT ON COLUMN pgsession.events.id IS 'Unique in the table, also after a restore; has gaps';
COMMENT ON COLUMN pgsession.events.at IS 'When the transaction began, by the server''s clock';
COMMENT ON COLUMN pgsession.events.count IS
    'How many sessions a revoke of many has ended; null when it begins, and for one session';
COMMENT ON COLUMN pgsession.events.level IS 'Level of the login after a login or step-up';
COMMENT ON COLUMN pgsession.events.login_id IS 'Login that the session belongs to';
COMMENT ON COLUMN pgsession.events.kind IS
    'session login, session login began, session stepped up, session logout, sessions revoked, '
    'session login refused, or session adopted';
COMMENT ON COLUMN pgsession.events.user_id IS
    'Personal data: the user of the session, or whose sessions were revoked; null for all users or a tag';
COMMENT ON COLUMN pgsession.events.session IS
    'Handle of the session; null for a revoke of many';
COMMENT ON COLUMN pgsession.events.ip IS
    'Personal data: where the request came from, as the session has it; null if unknown, with '
    'SESSION_TRACK_METADATA=false, and for a revoke that no session of the user asked for';
COMMENT ON COLUMN pgsession.events.user_agent IS
    'Personal data: what sent the request, as the session has it; null as ip is';
COMMENT ON COLUMN pgsession.events.methods IS
    'How the user logged in, the oldest method first; with level';
COMMENT ON COLUMN pgsession.events.reason IS
    'Why sessions ended: logout, login, handle, others, user, all, before, limit, tag or suspicious';
COMMENT ON COLUMN pgsession.events.actor IS
    'Personal data: the acting user, or the name given to WithActor';
COMMENT ON COLUMN pgsession.events.detail IS
    'Personal data, if a note has any: the note given to WithActor, or what was suspicious';

-- For the prune, and for an operator: what happened since a time.
CREATE INDEX events_at_idx ON pgsession.events (at, id);

-- For an operator: what happened to a user.
CREATE INDEX events_user_id_idx ON pgsession.events (user_id, id) WHERE user_id IS NOT NULL;

-- The one row of this table is the lock that makes prunes run one at a time. The
-- first prune makes it: like locks, the table is empty for a restore. It also
-- holds the time of the last prune, for health checks, the prune's place in
-- each table, and for how long events are kept. A row lock can't collide with
-- advisory locks of the application, and works through every pooler.
CREATE TABLE pgsession.prune_state (
    last_prune_at    timestamptz,
    pruned_total     bigint      NOT NULL DEFAULT 0,
    reached_at       timestamptz,
    reached_id       bytea,
    reached_n        bigint      NOT NULL DEFAULT 0,
    reached_event_at timestamptz,
    reached_event_id bigint,
    reached_mark_at  timestamptz,
    reached_mark_id  bytea,
    looked_at        timestamptz,
    runs             integer     NOT NULL DEFAULT 0,
    run_batches      integer     NOT NULL DEFAULT 0,
    only_row         boolean     NOT NULL DEFAULT true,
    keep_events      interval    NOT NULL DEFAULT '400 days',

    CONSTRAINT prune_state_pkey PRIMARY KEY (only_row),
    CONSTRAINT prune_state_keep_events_check CHECK (keep_events >= '1 day'),
    CONSTRAINT prune_state_only_row_check CHECK (only_row)
);

COMMENT ON TABLE pgsession.prune_state IS
    'One row, which prune_batch locks: the last prune, how many sessions were deleted in all, and '
    'its place';
COMMENT ON COLUMN pgsession.prune_state.reached_at IS
    'Deadline of the last session that was pruned; null before the first';
COMMENT ON COLUMN pgsession.prune_state.reached_id IS 'Id of that session';
COMMENT ON COLUMN pgsession.prune_state.reached_n IS 'The n of the last ending that was pruned';
COMMENT ON COLUMN pgsession.prune_state.reached_event_at IS
    'When the last event that was pruned happened; with reached_event_id its place; null before it';
COMMENT ON COLUMN pgsession.prune_state.reached_mark_at IS
    'Time of the last mark that was pruned; with reached_mark_id its place; null before it';
COMMENT ON COLUMN pgsession.prune_state.looked_at IS
    'When a batch last looked for endings, events and marks before their places';
COMMENT ON COLUMN pgsession.prune_state.runs IS
    'Runs since the last one that began at the start of the index';
COMMENT ON COLUMN pgsession.prune_state.run_batches IS
    'Full batches of the run under way; 0 if the next batch begins a run';
COMMENT ON COLUMN pgsession.prune_state.keep_events IS
    'For how long events are kept, at least a day; the owner may set it';

-- prune_batch deletes a batch of expired sessions, and in the room that is left
-- endings, events and marks beyond their bounds, and old entries of
-- user_sessions. It runs with the rights of its
-- owner, so a caller needs none on the tables, and can delete only what is due.
-- Its search_path is pinned, which makes this safe.
--
-- Its planner settings leave the order of the index as the only plan:
-- statistics are out of date after a bulk expiry. What that plan needs is on,
-- whatever the role and the database have. A plan that is turned off has a very
-- high cost. Where no other is left, Postgres would compile it, so jit is off.
--
-- While an old transaction is open, Postgres keeps deleted rows. So a batch
-- goes on where the last one ended, and reads none of them again. Expired rows
-- can appear before that place: by a late commit, an import, a bulk expiry, or
-- because they were locked. So a batch that finds no row looks again from the
-- start of the index, and the first batch of each tenth run begins there. A run
-- ends with a batch that is not full, or after 1000 batches.
-- +goose StatementBegin
CREATE FUNCTION pgsession.prune_batch(max_rows integer) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_indexscan = on
SET enable_indexonlyscan = on
SET enable_tidscan = on
SET enable_nestloop = on
AS $$
DECLARE
    state        pgsession.prune_state;
    distributed  boolean := false;
    from_start   boolean := false;
    from_at      timestamptz;
    from_id      bytea;
    ids          bytea[];
    deadlines    timestamptz[];
    places       tid[];
    n            integer;
    deleted      integer := 0;
    room         integer;
    gone         integer;
    newest_n     bigint;
    newest_tx    xid8;
    newest_event bigint;
    last_at      timestamptz;
    last_event   bigint;
    last_mark    bytea;
    last_n       bigint;
BEGIN
    IF max_rows IS NULL OR max_rows < 1 OR max_rows > 100000 THEN
        RAISE EXCEPTION 'pgsession.prune_batch: max_rows must be between 1 and 100000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT * INTO state FROM pgsession.prune_state FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM pgsession.prune_state) THEN
            RETURN NULL; -- another caller prunes
        END IF;
        -- The first prune makes the row. Others can't see it yet, and don't wait.
        BEGIN
            LOCK TABLE pgsession.prune_state IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        EXCEPTION WHEN lock_not_available THEN
            RETURN NULL;
        END;
        INSERT INTO pgsession.prune_state DEFAULT VALUES
        ON CONFLICT (only_row) DO NOTHING RETURNING * INTO state;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    IF state.run_batches = 0 THEN
        state.runs := state.runs + 1;
        from_start := state.runs >= 10;
    END IF;

    IF pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (
            SELECT FROM pg_catalog.pg_dist_partition
            WHERE logicalrelid = ''pgsession.sessions''::regclass
        )' INTO distributed;
    END IF;

    LOOP
        from_at := '-infinity';
        from_id := '';
        IF from_start THEN
            state.runs := 0;
        ELSIF state.reached_at IS NOT NULL THEN
            from_at := state.reached_at;
            from_id := state.reached_id;
        END IF;
        IF distributed THEN
            -- Citus refuses to lock rows of several shards, and has no ctid.
            SELECT
                pg_catalog.array_agg(few.id ORDER BY few.expires_at, few.id),
                pg_catalog.array_agg(few.expires_at ORDER BY few.expires_at, few.id)
            INTO ids, deadlines
            FROM (
                SELECT s.id, s.expires_at FROM pgsession.sessions AS s
                WHERE (s.expires_at, s.id) > (from_at, from_id)
                    AND s.expires_at <= pg_catalog.now()
                ORDER BY s.expires_at, s.id
                LIMIT max_rows
            ) AS few;
        ELSE
            SELECT
                pg_catalog.array_agg(few.id), pg_catalog.array_agg(few.expires_at),
                pg_catalog.array_agg(few.ctid)
            INTO ids, deadlines, places
            FROM (
                SELECT s.id, s.expires_at, s.ctid FROM pgsession.sessions AS s
                WHERE (s.expires_at, s.id) > (from_at, from_id)
                    AND s.expires_at <= pg_catalog.now()
                ORDER BY s.expires_at, s.id
                LIMIT max_rows
                FOR UPDATE SKIP LOCKED
            ) AS few;
        END IF;
        n := coalesce(pg_catalog.cardinality(ids), 0);
        EXIT WHEN n > 0 OR from_start;
        from_start := true;
    END LOOP;

    IF n > 0 THEN
        IF distributed THEN
            -- A touch can have extended a row since: a session in use is never
            -- deleted.
            DELETE FROM pgsession.sessions AS s
            WHERE s.id = ANY (ids) AND s.expires_at <= pg_catalog.now();
        ELSE
            -- The rows are locked, so their places stay. In a partitioned
            -- table, rows of other partitions have the same places: so the
            -- deadline is checked again. IS TRUE keeps that from using the
            -- index.
            DELETE FROM pgsession.sessions AS s
            WHERE s.ctid = ANY (places) AND (s.expires_at <= pg_catalog.now()) IS TRUE;
        END IF;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        -- If a batch that began at the start is not full, no expired row is
        -- left before the old place, and the place stays.
        IF n = max_rows OR state.reached_at IS NULL
            OR (deadlines[n], ids[n]) > (state.reached_at, state.reached_id)
        THEN
            state.reached_at := deadlines[n];
            state.reached_id := ids[n];
        END IF;
    END IF;

    -- The other tables have a place each, as sessions have. Rows that are due
    -- can appear before it: by a transaction that was long, or after the clock
    -- was set back. So a batch looks there once a day, and goes back to the first
    -- that it finds, also if it has no room.
    room := max_rows - n;
    newest_n := (SELECT pg_catalog.max(e.n) FROM pgsession.endings AS e);
    IF newest_n < state.reached_n THEN
        state.reached_n := 0; -- a TRUNCATE restarted n
    END IF;
    -- The newest event stays, for the cursor of a reader that has read all.
    SELECT w.tx, w.id INTO newest_tx, newest_event FROM pgsession.events AS w
    ORDER BY w.tx DESC, w.id DESC LIMIT 1;
    IF (state.looked_at > pg_catalog.now() - interval '1 day'
        AND state.looked_at <= pg_catalog.now()) IS NOT TRUE
    THEN
        state.looked_at := pg_catalog.now();
        state.reached_n := coalesce((
            SELECT e.n - 1 FROM pgsession.endings AS e
            WHERE e.n <= state.reached_n
                AND (e.n <= newest_n - 1000000 OR e.ended_at < pg_catalog.now() - interval '7 days')
            ORDER BY e.n LIMIT 1
        ), state.reached_n);
        SELECT v.at, v.id - 1 INTO last_at, last_event FROM pgsession.events AS v
        WHERE (v.at, v.id) <= (state.reached_event_at, state.reached_event_id)
            AND v.at < pg_catalog.now() - state.keep_events
            AND (v.tx, v.id) <> (newest_tx, newest_event)
        ORDER BY v.at, v.id LIMIT 1;
        IF FOUND THEN
            state.reached_event_at := last_at;
            state.reached_event_id := last_event;
        END IF;
        SELECT m.revoked_at INTO last_at FROM pgsession.marks AS m
        WHERE (m.revoked_at, m.id) <= (state.reached_mark_at, state.reached_mark_id)
            AND m.revoked_at < pg_catalog.now() - interval '400 days'
        ORDER BY m.revoked_at, m.id LIMIT 1;
        IF FOUND THEN
            state.reached_mark_at := last_at;
            state.reached_mark_id := '';
        END IF;
    END IF;

    -- Events, in the order of at. Those from the future come last.
    WITH few AS MATERIALIZED (
        SELECT v.tx, v.id, v.at FROM pgsession.events AS v
        WHERE (v.at, v.id) > (
                coalesce(state.reached_event_at, '-infinity'), coalesce(state.reached_event_id, 0)
            )
            AND v.at < pg_catalog.now() - state.keep_events
            AND (v.tx, v.id) <> (newest_tx, newest_event)
        ORDER BY v.at, v.id
        LIMIT room
    ), deleted_events AS (
        DELETE FROM pgsession.events AS v USING few WHERE v.tx = few.tx AND v.id = few.id
    )
    SELECT
        pg_catalog.count(*), (pg_catalog.array_agg(few.at))[pg_catalog.count(*)],
        (pg_catalog.array_agg(few.id))[pg_catalog.count(*)]
    INTO gone, last_at, last_event FROM few;
    IF gone > 0 THEN
        state.reached_event_at := last_at;
        state.reached_event_id := last_event;
    END IF;
    room := room - gone;

    -- Marks, in the order of their time. No session is older than 400 days, so no
    -- login is.
    WITH few AS MATERIALIZED (
        SELECT m.id, m.revoked_at FROM pgsession.marks AS m
        WHERE (m.revoked_at, m.id) > (
                coalesce(state.reached_mark_at, '-infinity'), coalesce(state.reached_mark_id, '')
            )
            AND m.revoked_at < pg_catalog.now() - interval '400 days'
        ORDER BY m.revoked_at, m.id
        LIMIT room
    ), deleted_marks AS (
        DELETE FROM pgsession.marks AS m USING few WHERE m.id = few.id
    )
    SELECT
        pg_catalog.count(*), (pg_catalog.array_agg(few.revoked_at))[pg_catalog.count(*)],
        (pg_catalog.array_agg(few.id))[pg_catalog.count(*)]
    INTO gone, last_at, last_mark FROM few;
    IF gone > 0 THEN
        state.reached_mark_at := last_at;
        state.reached_mark_id := last_mark;
    END IF;
    room := room - gone;

    -- Endings, in the order of n. It looks at no more rows than it may delete,
    -- and passes over those from the future.
    WITH deleted_endings AS (
        DELETE FROM pgsession.endings AS e
        WHERE e.n > state.reached_n
            AND e.n <= (
                SELECT pg_catalog.max(few.n) FROM (
                    SELECT b.n FROM pgsession.endings AS b
                    WHERE b.n > state.reached_n
                        AND (b.ended_at <= pg_catalog.now() OR b.n <= newest_n - 1000000)
                    ORDER BY b.n
                    LIMIT room
                ) AS few
            )
            AND (e.n <= newest_n - 1000000 OR e.ended_at < pg_catalog.now() - interval '7 days')
        RETURNING e.n
    )
    SELECT pg_catalog.count(*), pg_catalog.max(d.n) INTO gone, last_n FROM deleted_endings AS d;
    state.reached_n := coalesce(last_n, state.reached_n);
    room := room - gone;

    -- Entries of user_sessions, whose sessions have ended. The day is for nodes
    -- whose clocks differ.
    IF distributed AND room > 0 THEN
        DELETE FROM pgsession.user_sessions AS u
        WHERE (u.user_id, u.id) IN (
            SELECT o.user_id, o.id FROM pgsession.user_sessions AS o
            WHERE o.expires_at < pg_catalog.now() - interval '1 day'
            ORDER BY o.expires_at
            LIMIT room
        ) AND u.expires_at < pg_catalog.now() - interval '1 day';
        GET DIAGNOSTICS gone = ROW_COUNT;
        room := room - gone;
    END IF;

    UPDATE pgsession.prune_state SET
        last_prune_at = pg_catalog.now(),
        pruned_total = pruned_total + deleted,
        reached_at = state.reached_at,
        reached_id = state.reached_id,
        reached_n = state.reached_n,
        reached_event_at = state.reached_event_at,
        reached_event_id = state.reached_event_id,
        reached_mark_at = state.reached_mark_at,
        reached_mark_id = state.reached_mark_id,
        looked_at = state.looked_at,
        runs = state.runs,
        run_batches = CASE WHEN room > 0 OR state.run_batches >= 999 THEN 0
            ELSE state.run_batches + 1 END;
    RETURN deleted + max_rows - n - room;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.prune_batch(integer) FROM PUBLIC;

COMMENT ON FUNCTION pgsession.prune_batch(integer) IS
    'Deletes at most max_rows expired sessions, old events, marks and endings, and returns how '
    'many; null if another caller prunes';

-- prune calls prune_batch until it has deleted enough. A procedure that is
-- SECURITY DEFINER or has a SET clause may not COMMIT. So prune runs as its
-- caller and with its caller's search_path, where any operator may come first.
-- Every function and operator in it names its schema. It uses no BETWEEN, no IN
-- and no type name that Postgres would look up.
-- +goose StatementBegin
CREATE PROCEDURE pgsession.prune(
    max_rows    bigint DEFAULT 1000000,
    max_seconds bigint DEFAULT 50,
    batch_rows  bigint DEFAULT 1000,
    INOUT deleted bigint DEFAULT 0
)
LANGUAGE plpgsql
AS $$
DECLARE
    ends  timestamp with time zone;
    batch integer;
    n     integer;
BEGIN
    IF max_rows IS NULL OR max_rows OPERATOR(pg_catalog.<) 1
        OR max_rows OPERATOR(pg_catalog.>) 1000000000
    THEN
        RAISE EXCEPTION 'pgsession.prune: max_rows must be between 1 and 1000000000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF max_seconds IS NULL OR max_seconds OPERATOR(pg_catalog.<) 1
        OR max_seconds OPERATOR(pg_catalog.>) 86400
    THEN
        RAISE EXCEPTION 'pgsession.prune: max_seconds must be between 1 and 86400'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF batch_rows IS NULL OR batch_rows OPERATOR(pg_catalog.<) 1
        OR batch_rows OPERATOR(pg_catalog.>) 100000
    THEN
        RAISE EXCEPTION 'pgsession.prune: batch_rows must be between 1 and 100000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    deleted := 0;
    ends := pg_catalog.clock_timestamp()
        OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => max_seconds);
    -- A stricter default_transaction_isolation would make an error of each row
    -- that another prune or a request has changed. The isolation can be set only
    -- right after a COMMIT.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    LOOP
        batch := LEAST(batch_rows, max_rows OPERATOR(pg_catalog.-) deleted);
        n := pgsession.prune_batch(batch);
        COMMIT; -- releases the locks, and keeps what was deleted if a later batch fails
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN n IS NULL; -- another caller prunes
        deleted := deleted OPERATOR(pg_catalog.+) n;
        EXIT WHEN n OPERATOR(pg_catalog.<) batch
            OR deleted OPERATOR(pg_catalog.>=) max_rows
            OR pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) ends;
    END LOOP;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) FROM PUBLIC;

COMMENT ON PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) IS
    'Deletes expired sessions, batch_rows in each transaction, until none is left, max_rows are '
    'deleted, max_seconds are over or another caller prunes. CALL it alone, outside a transaction';

-- count_expired counts the expired sessions that the prune has yet to reach, up
-- to max_rows, in the order of the index. So it costs the same on any table. It
-- runs with the rights of its owner, and returns only a number.
-- +goose StatementBegin
CREATE FUNCTION pgsession.count_expired(max_rows integer) RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_indexscan = on
SET enable_indexonlyscan = on
AS $$
DECLARE
    after_at timestamptz;
    after_id bytea;
    counted  bigint;
BEGIN
    SELECT p.reached_at, p.reached_id INTO after_at, after_id
    FROM pgsession.prune_state AS p;
    SELECT pg_catalog.count(*) INTO counted FROM (
        SELECT 1 FROM pgsession.sessions AS s
        WHERE (s.expires_at, s.id) > (coalesce(after_at, '-infinity'), coalesce(after_id, ''))
            AND s.expires_at <= pg_catalog.now()
        ORDER BY s.expires_at, s.id
        LIMIT max_rows
    ) AS few;
    RETURN counted;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.count_expired(integer) FROM PUBLIC;

COMMENT ON FUNCTION pgsession.count_expired(integer) IS
    'How many expired sessions the prune has yet to reach, at most max_rows';

-- table_stats returns the sizes of the table of sessions, what Postgres counts of
-- its rows, and the oldest deadline that the prune has yet to reach. It costs the
-- same on any table. If Citus has distributed the table, the sizes and counts are
-- those of the shards: each node adds up its own. It runs with the rights of its
-- owner, whom Citus connects to the nodes as, and returns no id and no data.
-- +goose StatementBegin
CREATE FUNCTION pgsession.table_stats() RETURNS TABLE (
    live_rows bigint, dead_rows bigint, updates bigint, hot_updates bigint,
    table_bytes bigint, index_bytes bigint, last_vacuum_at timestamptz,
    oldest_expired_at timestamptz
)
LANGUAGE plpgsql
STABLE
ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_indexscan = on
SET enable_indexonlyscan = on
AS $$
DECLARE
    relation    regclass := 'pgsession.sessions';
    distributed boolean := false;
    after_at    timestamptz;
    after_id    bytea;
BEGIN
    IF pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        SELECT EXISTS (
            SELECT FROM pg_catalog.pg_dist_partition AS d
            WHERE d.logicalrelid = relation AND d.partmethod = 'h'
        ) INTO distributed;
    END IF;
    IF NOT distributed THEN
        live_rows := pg_catalog.pg_stat_get_live_tuples(relation);
        dead_rows := pg_catalog.pg_stat_get_dead_tuples(relation);
        updates := pg_catalog.pg_stat_get_tuples_updated(relation);
        hot_updates := pg_catalog.pg_stat_get_tuples_hot_updated(relation);
        table_bytes := pg_catalog.pg_table_size(relation);
        index_bytes := pg_catalog.pg_indexes_size(relation);
        last_vacuum_at := greatest(
            pg_catalog.pg_stat_get_last_vacuum_time(relation),
            pg_catalog.pg_stat_get_last_autovacuum_time(relation)
        );
    ELSE
        -- A node that does not reply has no result, and then there is no sum.
        SELECT
            n.live, n.dead, n.updated, n.hot, n.bytes, n.indexes, n.vacuumed
        INTO live_rows, dead_rows, updates, hot_updates, table_bytes, index_bytes, last_vacuum_at
        FROM (
            SELECT
                pg_catalog.bool_and(r.success) AS complete,
                pg_catalog.sum((o.sums ->> 'live')::bigint)::bigint AS live,
                pg_catalog.sum((o.sums ->> 'dead')::bigint)::bigint AS dead,
                pg_catalog.sum((o.sums ->> 'updated')::bigint)::bigint AS updated,
                pg_catalog.sum((o.sums ->> 'hot')::bigint)::bigint AS hot,
                pg_catalog.sum((o.sums ->> 'bytes')::bigint)::bigint AS bytes,
                pg_catalog.sum((o.sums ->> 'indexes')::bigint)::bigint AS indexes,
                pg_catalog.max((o.sums ->> 'vacuumed')::timestamptz) AS vacuumed
            FROM pg_catalog.run_command_on_all_nodes(pg_catalog.format(
                $shards$
                    SELECT pg_catalog.json_build_object(
                        'live', pg_catalog.sum(pg_catalog.pg_stat_get_live_tuples(c.oid)),
                        'dead', pg_catalog.sum(pg_catalog.pg_stat_get_dead_tuples(c.oid)),
                        'updated', pg_catalog.sum(pg_catalog.pg_stat_get_tuples_updated(c.oid)),
                        'hot', pg_catalog.sum(pg_catalog.pg_stat_get_tuples_hot_updated(c.oid)),
                        'bytes', pg_catalog.sum(pg_catalog.pg_table_size(c.oid)),
                        'indexes', pg_catalog.sum(pg_catalog.pg_indexes_size(c.oid)),
                        'vacuumed', pg_catalog.max(greatest(
                            pg_catalog.pg_stat_get_last_vacuum_time(c.oid),
                            pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)
                        ))
                    )
                    FROM pg_catalog.pg_dist_shard AS s
                    JOIN pg_catalog.pg_dist_placement AS p
                        ON p.shardid OPERATOR(pg_catalog.=) s.shardid
                    JOIN pg_catalog.pg_dist_local_group AS g
                        ON g.groupid OPERATOR(pg_catalog.=) p.groupid
                    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=)
                        pg_catalog.to_regclass(pg_catalog.shard_name(s.logicalrelid, s.shardid))::pg_catalog.oid
                    WHERE s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)
                        %L::pg_catalog.regclass::pg_catalog.oid
                $shards$, 'pgsession.sessions'
            )) AS r
            CROSS JOIN LATERAL (
                SELECT CASE WHEN r.success THEN r.result::json END AS sums
            ) AS o
        ) AS n
        WHERE n.complete;
    END IF;
    SELECT p.reached_at, p.reached_id INTO after_at, after_id
    FROM pgsession.prune_state AS p;
    SELECT s.expires_at INTO oldest_expired_at FROM pgsession.sessions AS s
    WHERE (s.expires_at, s.id) > (coalesce(after_at, '-infinity'), coalesce(after_id, ''))
        AND s.expires_at <= pg_catalog.now()
    ORDER BY s.expires_at, s.id
    LIMIT 1;
    RETURN NEXT;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.table_stats() FROM PUBLIC;

COMMENT ON FUNCTION pgsession.table_stats() IS
    'For the view stats: sizes, dead rows and the oldest expired session that the prune has yet '
    'to reach. On Citus they are of all shards';

-- stats costs the same on any table.
CREATE VIEW pgsession.stats AS
SELECT
    t.live_rows,
    t.dead_rows,
    t.updates,
    t.hot_updates,
    t.table_bytes,
    t.index_bytes,
    t.last_vacuum_at,
    pgsession.count_expired(10000) AS expired,
    t.oldest_expired_at,
    p.last_prune_at,
    coalesce(p.pruned_total, 0) AS pruned_total,
    pg_catalog.now() AS asked_at
FROM pgsession.table_stats() AS t (
    live_rows, dead_rows, updates, hot_updates, table_bytes, index_bytes, last_vacuum_at,
    oldest_expired_at
)
LEFT JOIN pgsession.prune_state AS p ON true;

COMMENT ON VIEW pgsession.stats IS
    'One row about the table of sessions, cheap on any size: sizes, dead rows, up to 10,000 '
    'expired sessions that the prune has yet to reach, the last prune. No ids, no data';

-- count_by_state counts the sessions in each state. It runs with the rights of
-- its owner, whom Citus connects to the nodes as, and returns only numbers.
-- +goose StatementBegin
CREATE FUNCTION pgsession.count_by_state() RETURNS TABLE (state text, sessions bigint)
LANGUAGE plpgsql
STABLE
ROWS 4
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    total         bigint;
    alive         bigint;
    authenticated bigint;
    pending       bigint;
BEGIN
    SELECT
        pg_catalog.count(*),
        pg_catalog.count(*) FILTER (WHERE s.expires_at > pg_catalog.now()),
        pg_catalog.count(s.user_id) FILTER (WHERE s.expires_at > pg_catalog.now()),
        pg_catalog.count(s.pending_user_id) FILTER (
            WHERE s.user_id IS NULL AND s.expires_at > pg_catalog.now()
        )
    INTO total, alive, authenticated, pending
    FROM pgsession.sessions AS s;
    RETURN QUERY VALUES
        ('anonymous', alive - authenticated - pending),
        ('pending', pending),
        ('authenticated', authenticated),
        ('expired', total - alive);
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.count_by_state() FROM PUBLIC;

COMMENT ON FUNCTION pgsession.count_by_state() IS
    'For the view sessions_by_state: how many sessions are in each state; reads the whole table';

CREATE VIEW pgsession.sessions_by_state AS
SELECT c.state, c.sessions FROM pgsession.count_by_state() AS c (state, sessions);

COMMENT ON VIEW pgsession.sessions_by_state IS
    'How many sessions are anonymous, have a pending login, are authenticated and expired. Exact; '
    'reads the whole table';

-- +goose Down
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

-- The schema stays: it holds the list of migrations, and another role may have
-- made it.

DROP VIEW pgsession.sessions_by_state;
DROP FUNCTION pgsession.count_by_state();
DROP VIEW pgsession.stats;
DROP FUNCTION pgsession.table_stats();
DROP PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint);
DROP FUNCTION pgsession.count_expired(integer);
DROP FUNCTION pgsession.prune_batch(integer);
DROP FUNCTION pgsession.methods_now(text);
DROP FUNCTION pgsession.idle_deadline(interval, interval);
DROP TABLE pgsession.prune_state;
DROP TABLE pgsession.events;
DROP TABLE pgsession.user_sessions;
DROP TABLE pgsession.locks;
DROP TABLE pgsession.endings;
DROP TABLE pgsession.marks;
DROP TABLE pgsession.sessions;
