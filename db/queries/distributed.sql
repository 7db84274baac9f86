-- Statements in place of those for many sessions, on a table that Citus has
-- distributed: Citus refuses to lock rows of several shards in order. The forms
-- for one session that run there too are in session.sql.

-- DistributedTouch extends one session. It asks one shard and locks one row, so
-- it holds nothing while it waits.
-- name: DistributedTouch :execrows
UPDATE pgsession.sessions SET
    last_seen_at = greatest(last_seen_at, pg_catalog.now()),
    ip = coalesce(sqlc.narg(ip)::inet, ip),
    user_agent = coalesce(sqlc.narg(user_agent)::text, user_agent),
    expires_at = least(absolute_expires_at, greatest(
        expires_at,
        pgsession.idle_deadline(sqlc.narg(idle)::interval, sqlc.arg(resolution)::interval)
    ))
WHERE id = @id::bytea AND expires_at > pg_catalog.now();

-- DistributedDelete is SessionDelete without an ending. Endings would be a table
-- of the coordinator, and no statement of a session changes two tables there.
-- name: DistributedDelete :execrows
DELETE FROM pgsession.sessions WHERE id = @id::bytea;

-- DistributedRevokeHandle is OwnerRevokeHandle without an ending.
-- name: DistributedRevokeHandle :many
DELETE FROM pgsession.sessions AS s
WHERE (s.user_id = @user_id::text OR s.pending_user_id = @user_id::text)
    AND s.expires_at > pg_catalog.now()
    AND substring(pg_catalog.sha256(sqlc.arg(label)::bytea || s.id) FROM 1 FOR 16)
        = @handle::bytea
RETURNING s.id;

-- DistributedRevokeAll revokes the sessions of all users that began no later
-- than until, as AllFind finds them. seen is how many there were when the statement began.
-- name: DistributedRevokeAll :one
WITH gone AS (
    DELETE FROM pgsession.sessions AS s
    WHERE least(s.created_at, s.authenticated_at) <= sqlc.arg(until)::timestamptz
    RETURNING 1
)
SELECT
    (
        SELECT pg_catalog.count(*) FROM pgsession.sessions AS o
        WHERE least(o.created_at, o.authenticated_at) <= sqlc.arg(until)::timestamptz
    )::bigint AS seen,
    (SELECT pg_catalog.count(*) FROM gone)::bigint AS revoked;

-- DistributedRevoke revokes the sessions of a user, or with a tag, but one. The
-- other one of user and tag is null; tag is as in owner.sql. It needs OwnerLock
-- of the user, or DistributedLockAll for a tag: Citus reads the shards one after
-- the other. A session that is
-- rotated meanwhile could be missed, on the old shard and on the new one.
-- name: DistributedRevoke :many
DELETE FROM pgsession.sessions AS s
WHERE (s.user_id = sqlc.narg(user_id)::text OR s.pending_user_id = sqlc.narg(user_id)::text
        OR s.tags OPERATOR(pg_catalog.&&) sqlc.narg(tag)::bytea[])
    AND s.id <> @spared::bytea AND s.expires_at > pg_catalog.now()
RETURNING s.id;

-- DistributedEnter writes the entry of a session: it commits before a row of
-- this user can be there. expires_at is no earlier than the absolute deadline
-- that the row will have: absolute is the longest timeout, and until the
-- deadline of the row that a rotation replaces. Both tables have times of the
-- coordinator.
-- name: DistributedEnter :exec
INSERT INTO pgsession.user_sessions AS u (user_id, id, written_at, expires_at)
VALUES (
    @user_id::bytea,
    @id::bytea,
    pg_catalog.now(),
    greatest(pg_catalog.now() + sqlc.arg(absolute)::interval, sqlc.arg(until)::timestamptz)
)
ON CONFLICT (user_id, id) DO UPDATE SET
    written_at = excluded.written_at,
    expires_at = greatest(u.expires_at, excluded.expires_at);

-- DistributedEntries returns entries of a user. One is old if its session has
-- been there for long, or is gone.
-- name: DistributedEntries :many
SELECT u.id, (u.written_at < pg_catalog.now() - interval '1 hour')::boolean AS old
FROM pgsession.user_sessions AS u
WHERE u.user_id = @user_id::bytea
ORDER BY u.id
LIMIT @max::integer;

-- DistributedForget deletes an entry whose session is gone. A statement that
-- writes the session refreshes written_at first.
-- name: DistributedForget :exec
DELETE FROM pgsession.user_sessions AS u
WHERE u.user_id = @user_id::bytea AND u.id = @id::bytea
    AND u.written_at < pg_catalog.now() - interval '1 hour';

-- DistributedRow reports whether a session has a row, alive or expired.
-- name: DistributedRow :one
SELECT pg_catalog.count(*)::bigint FROM pgsession.sessions AS s WHERE s.id = @id::bytea;

-- DistributedListed is OwnerList for one session of a user.
-- name: DistributedListed :one
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    '{}'::json AS data, s.pending_user_id, s.methods,
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END)::timestamptz
        AS validated_at
FROM pgsession.sessions AS s
WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    AND (s.user_id = @user_id::text OR s.pending_user_id = @user_id::text);

-- DistributedRevokeOne revokes one session of a user.
-- name: DistributedRevokeOne :execrows
DELETE FROM pgsession.sessions AS s
WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    AND (s.user_id = @user_id::text OR s.pending_user_id = @user_id::text);

-- DistributedOwner returns the user of a session that is about to be written, or
-- of its pending login, for OwnerLock and DistributedEnter; none without the
-- session. A standby may not have it yet. A deadline can be infinity, which Go
-- has no time for.
-- name: DistributedOwner :one
SELECT
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    ARRAY(
        SELECT coalesce(s.user_id, s.pending_user_id, '')
        FROM pgsession.sessions AS s
        WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    )::text[] AS users,
    ARRAY(
        SELECT least(s.absolute_expires_at, '9999-01-01 00:00:00Z'::timestamptz)
        FROM pgsession.sessions AS s
        WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    )::timestamptz[] AS until;

-- DistributedOwnerLocked is DistributedOwner for the transaction that then
-- writes the session: no other one changes its user in between. It locks a row
-- of one shard, which Citus can.
-- name: DistributedOwnerLocked :one
SELECT
    coalesce(s.user_id, s.pending_user_id, '')::text AS user_id,
    least(s.absolute_expires_at, '9999-01-01 00:00:00Z'::timestamptz)::timestamptz AS until
FROM pgsession.sessions AS s
WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
FOR UPDATE;

-- DistributedLockAll is OwnerLock for all users.
-- name: DistributedLockAll :one
SELECT pg_catalog.count(*) FROM (
    SELECT l.n FROM pgsession.locks AS l ORDER BY l.n FOR UPDATE
) AS locked;

-- DistributedTrim revokes all sessions of a user but those with the latest
-- logins, as OwnerTrim does.
-- name: DistributedTrim :many
DELETE FROM pgsession.sessions AS s
WHERE s.id IN (
    SELECT o.id FROM pgsession.sessions AS o
    WHERE o.user_id = @user_id::text AND o.expires_at > pg_catalog.now()
    ORDER BY o.authenticated_at DESC, o.id
    OFFSET @keep::integer
)
RETURNING s.id;

-- DistributedExpired counts at most 10,000 expired sessions, as ExpiryEstimate
-- does.
-- name: DistributedExpired :one
SELECT pg_catalog.count(*) FROM (
    SELECT 1 FROM pgsession.sessions WHERE expires_at <= pg_catalog.now() LIMIT 10000
) AS few;

-- DistributedSample counts the sessions in this percentage of the pages.
-- name: DistributedSample :one
SELECT pg_catalog.count(*)
FROM pgsession.sessions TABLESAMPLE pg_catalog.system (@percent::real);

-- DistributedMissing is SessionMissing for one session and without endings, and
-- asks one shard. The standby would be the coordinator.
-- name: DistributedMissing :one
SELECT
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    ARRAY(
        SELECT s.id FROM pgsession.sessions AS s
        WHERE s.id = @id::bytea AND s.expires_at <= pg_catalog.now()
    )::bytea[] AS expired;
