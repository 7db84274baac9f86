-- What concerns the sessions of a user. Rows are locked in the order of their ids, as by every statement that takes
-- many, so that none of them can deadlock with another.

-- OwnerList is a page of a user's sessions, the newest first. before and after are where the page before ended. What the
-- sessions hold stays where it is: a page could be a hundred megabytes of it. The empty object keeps the columns those of a
-- session.
-- name: OwnerList :many
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent,
    '{}'::jsonb AS data, now()::timestamptz AS validated_at
FROM pgsession.sessions AS s
WHERE s.user_id = @user_id::text AND s.expires_at > now()
    AND s.created_at <= sqlc.arg(before)::timestamptz AND (s.created_at < sqlc.arg(before)::timestamptz OR s.id > sqlc.arg(after)::bytea)
ORDER BY s.created_at DESC, s.id
LIMIT @max::integer;

-- OwnerRevoke ends all sessions of a user but one. seen is how many there were when the statement began: a session
-- that got a new id meanwhile is seen and not deleted, and the statement must run again. That the user stands twice lets the
-- planner find the rows to delete as it has found those to lock, in place of one by one by their ids.
-- name: OwnerRevoke :one
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s WHERE s.user_id = @user_id::text AND s.id <> @spared::bytea AND s.expires_at > now()
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id AND d.user_id = @user_id::text RETURNING d.id
)
SELECT
    (SELECT count(*) FROM pgsession.sessions AS s WHERE s.user_id = @user_id::text AND s.id <> @spared::bytea AND s.expires_at > now())::bigint AS seen,
    ARRAY(SELECT gone.id FROM gone)::bytea[] AS ids;

-- OwnerRevokeOne ends the session of a user that has this handle, which is the first half of a SHA-256 over label and id.
-- name: OwnerRevokeOne :many
DELETE FROM pgsession.sessions AS s
WHERE s.user_id = @user_id::text AND s.expires_at > now() AND substring(sha256(sqlc.arg(label)::bytea || s.id) FROM 1 FOR 16) = @handle::bytea
RETURNING s.id;

-- OwnerTrim ends all sessions of a user but those with the latest logins. It needs no lock against logins beside it: each of them trims when it
-- has committed, no trim ends a session that belongs to the latest of all, and the last trim sees every login.
-- name: OwnerTrim :many
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id IN (
        SELECT o.id FROM pgsession.sessions AS o
        WHERE o.user_id = @user_id::text AND o.expires_at > now()
        ORDER BY o.authenticated_at DESC, o.id
        OFFSET @keep::integer
    )
    ORDER BY s.id
    FOR UPDATE
)
DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id;

-- OwnerRevokeAll ends every session of everybody. seen is as in OwnerRevoke.
-- name: OwnerRevokeAll :one
WITH gone AS (
    DELETE FROM pgsession.sessions RETURNING 1
)
SELECT (SELECT count(*) FROM pgsession.sessions)::bigint AS seen, (SELECT count(*) FROM gone)::bigint AS ended;

-- OwnerLock makes the logins of a user wait for each other, until the end of the transaction.
-- name: OwnerLock :exec
SELECT pg_advisory_xact_lock(hashtextextended(@user_id::text, 5498127346018201));

-- OwnerCount counts the sessions of a user but for one.
-- name: OwnerCount :one
SELECT count(*)::bigint FROM pgsession.sessions AS s
WHERE s.user_id = @user_id::text AND s.expires_at > now() AND s.id <> @spared::bytea;

-- OwnerAlive says which of many sessions are alive, for the connections that are bound to them. The ids stand in a subquery
-- as in SessionLoadMany.
-- name: OwnerAlive :many
SELECT s.id FROM pgsession.sessions AS s WHERE s.id = ANY((SELECT @ids::bytea[])::bytea[]) AND s.expires_at > now();
