-- The table of sessions, in a schema of its own, so that it collides with nothing of the application's.
-- Every statement of the library names the schema; nothing depends on search_path.

-- +goose Up
CREATE SCHEMA pgsession;

COMMENT ON SCHEMA pgsession IS 'HTTP sessions: github.com/reporadar/pgsession';

-- Fixed-width columns first: 8-byte values need no padding, and what a touch changes sits at a fixed offset.
CREATE TABLE pgsession.sessions (
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_seen_at        timestamptz NOT NULL DEFAULT now(),
    expires_at          timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    authenticated_at    timestamptz,
    id                  bytea       NOT NULL,
    user_id             text,
    ip                  inet,
    user_agent          text,
    data                jsonb       NOT NULL DEFAULT '{}',

    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    -- The CHECKs are for foreign writers: the library never sends such a row.
    CONSTRAINT sessions_id_check CHECK (octet_length(id) = 32),
    CONSTRAINT sessions_version_check CHECK (version > 0),
    CONSTRAINT sessions_expires_at_check CHECK (expires_at <= absolute_expires_at),
    CONSTRAINT sessions_user_id_check CHECK (octet_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT sessions_user_agent_check CHECK (octet_length(user_agent) <= 512),
    -- pg_column_size reads only the header of a value that is stored out of line, so a touch stays cheap.
    CONSTRAINT sessions_data_check CHECK (pg_column_size(data) <= 1048576)
) WITH (
    -- Room on each page for the next version of a row: what makes a touch a heap-only update.
    fillfactor = 80,
    -- The default of 20 % would let a table of ten million sessions collect two million dead rows.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

COMMENT ON TABLE pgsession.sessions IS 'One row per live session; a revoked session has no row';
COMMENT ON COLUMN pgsession.sessions.id IS 'SHA-256 of the token; the token itself is stored nowhere';
COMMENT ON COLUMN pgsession.sessions.version IS '+1 with every save; a touch leaves it';
COMMENT ON COLUMN pgsession.sessions.data IS 'One member per key of the session';
COMMENT ON COLUMN pgsession.sessions.expires_at IS 'The one effective deadline: the idle deadline, never past absolute_expires_at; moves in steps';
COMMENT ON COLUMN pgsession.sessions.absolute_expires_at IS 'Never moves';
COMMENT ON COLUMN pgsession.sessions.authenticated_at IS 'When the user last proved who they are; null before login';

-- For the prune and the counts.
CREATE INDEX sessions_expires_at_idx ON pgsession.sessions (expires_at);

-- A user's sessions, newest first. No column of it changes in a touch.
CREATE INDEX sessions_user_id_idx ON pgsession.sessions (user_id, created_at DESC, id) WHERE user_id IS NOT NULL;

-- +goose Down
DROP TABLE pgsession.sessions;
DROP SCHEMA pgsession;
