-- Statements about the sessions of a user, or about those with a tag. Pending
-- logins of a user are among the user's, but no limit counts them. Every
-- statement that locks many rows locks them in the order of their ids, so no two
-- of them deadlock.
--
-- The parameter tag is the tag and a null. gin_fuzzy_search_limit, which every
-- role and database can set, makes a GIN index leave out rows at random, unless
-- it has one of the elements sought in fewer rows than the limit. It has none
-- with a null, and && finds no row by a null.

-- OwnerList returns a page of a user's sessions, the newest first. before and
-- after are the creation and the id of the last session of the page before. A
-- page leaves data out, which could be a hundred megabytes; the empty object
-- keeps the columns those of a session. Of pending logins a page has max_pending
-- at most, see store.Page.PendingLimit. Each branch is a page in the order of an
-- index: without its LIMIT, Postgres would sort all sessions of the user.
--
-- An empty page is a row of nulls with the time, which is 'epoch' on a standby,
-- as SessionLoad's.
-- name: OwnerList :many
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    '{}'::json AS data, s.pending_user_id, s.methods,
    a.validated_at
FROM (
    SELECT
        (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END
        )::timestamptz AS validated_at
) AS a
LEFT JOIN (
    (SELECT
        o.version, o.created_at, o.last_seen_at, o.expires_at, o.absolute_expires_at,
        o.authenticated_at, o.pending_since, o.login_id, o.id, o.user_id, o.ip, o.user_agent,
        o.pending_user_id, o.methods
    FROM pgsession.sessions AS o
    WHERE o.user_id = @user_id::text AND o.expires_at > pg_catalog.now()
        AND o.created_at <= sqlc.arg(before)::timestamptz
        AND (o.created_at < sqlc.arg(before)::timestamptz OR o.id > sqlc.arg(after)::bytea)
    ORDER BY o.created_at DESC, o.id
    LIMIT @max::integer)
    UNION ALL
    (SELECT
        p.version, p.created_at, p.last_seen_at, p.expires_at, p.absolute_expires_at,
        p.authenticated_at, p.pending_since, p.login_id, p.id, p.user_id, p.ip, p.user_agent,
        p.pending_user_id, p.methods
    FROM pgsession.sessions AS p
    WHERE p.pending_user_id = @user_id::text AND p.expires_at > pg_catalog.now()
        AND p.created_at <= sqlc.arg(before)::timestamptz
        AND (p.created_at < sqlc.arg(before)::timestamptz OR p.id > sqlc.arg(after)::bytea)
    ORDER BY p.created_at DESC, p.id
    LIMIT @max_pending::integer)
) AS s ON true
ORDER BY s.created_at DESC, s.id
LIMIT @max::integer;

-- TagList is OwnerList for the sessions with a tag.
-- name: TagList :many
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    '{}'::json AS data, s.pending_user_id, s.methods,
    a.validated_at
FROM (
    SELECT
        (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END
        )::timestamptz AS validated_at
) AS a
LEFT JOIN (
    SELECT
        o.version, o.created_at, o.last_seen_at, o.expires_at, o.absolute_expires_at,
        o.authenticated_at, o.pending_since, o.login_id, o.id, o.user_id, o.ip, o.user_agent,
        o.pending_user_id, o.methods
    FROM pgsession.sessions AS o
    WHERE o.tags OPERATOR(pg_catalog.&&) @tag::bytea[] AND o.expires_at > pg_catalog.now()
        AND o.created_at <= sqlc.arg(before)::timestamptz
        AND (o.created_at < sqlc.arg(before)::timestamptz OR o.id > sqlc.arg(after)::bytea)
    ORDER BY o.created_at DESC, o.id
    LIMIT @max::integer
) AS s ON true
ORDER BY s.created_at DESC, s.id;

-- AllList is OwnerList for the sessions of all users and visitors. No index has
-- this order, which each login would have to write: Postgres reads the table
-- and keeps the newest of what it has read (ADR 1712).
-- name: AllList :many
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    '{}'::json AS data, s.pending_user_id, s.methods,
    a.validated_at
FROM (
    SELECT
        (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END
        )::timestamptz AS validated_at
) AS a
LEFT JOIN (
    SELECT
        o.version, o.created_at, o.last_seen_at, o.expires_at, o.absolute_expires_at,
        o.authenticated_at, o.pending_since, o.login_id, o.id, o.user_id, o.ip, o.user_agent,
        o.pending_user_id, o.methods
    FROM pgsession.sessions AS o
    WHERE o.expires_at > pg_catalog.now()
        AND o.created_at <= sqlc.arg(before)::timestamptz
        AND (o.created_at < sqlc.arg(before)::timestamptz OR o.id > sqlc.arg(after)::bytea)
    ORDER BY o.created_at DESC, o.id
    LIMIT @max::integer
) AS s ON true
ORDER BY s.created_at DESC, s.id;

-- OwnerRevoke revokes up to max sessions of a user, or with a tag, that began no
-- later than until, but for one. The other one of user and tag is null. seen is the id of one in the statement's snapshot, and
-- empty for none. A session that is rotated meanwhile is seen and not deleted,
-- so the caller repeats the statement until it has seen none.
--
-- A statement that deleted none still waits for a synchronous standby, as
-- SessionAwaitStandby does: another caller's delete may not have reached it.
--
-- It finds rows by the user's index and locks them by id. A plan that reads the
-- table in the order of ids to find a user's rows would read all of it.
--
-- lock_timeout is in milliseconds and bounds the wait for a locked row:
-- Postgres then refuses the statement. Empty leaves the setting as it is.
-- name: OwnerRevoke :one
WITH bound AS MATERIALIZED (
    SELECT CASE WHEN @lock_timeout::text <> ''::text
        THEN pg_catalog.set_config('lock_timeout'::text, @lock_timeout::text, true)
        ELSE ''::text END AS lock_timeout
), found AS MATERIALIZED (
    SELECT f.id FROM (
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.user_id = sqlc.narg(user_id)::text
        UNION ALL
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.pending_user_id = sqlc.narg(user_id)::text
        UNION ALL
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.tags OPERATOR(pg_catalog.&&) sqlc.narg(tag)::bytea[]
    ) AS f
    WHERE f.id <> @spared::bytea
        AND f.expires_at > pg_catalog.now() AND f.created_at <= sqlc.arg(until)::timestamptz
    LIMIT sqlc.arg(max)::integer
), locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE (SELECT b.lock_timeout FROM bound AS b) IS NOT NULL
        AND s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
        AND (s.user_id = sqlc.narg(user_id)::text OR s.pending_user_id = sqlc.narg(user_id)::text
            OR s.tags OPERATOR(pg_catalog.&&) sqlc.narg(tag)::bytea[]) IS TRUE
        AND s.expires_at > pg_catalog.now()
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id
)
SELECT
    coalesce((SELECT f.id FROM found AS f LIMIT 1), ''::bytea)::bytea AS seen,
    ARRAY(SELECT gone.id FROM gone)::bytea[] AS ids,
    coalesce((
        SELECT pg_catalog.pg_logical_emit_message(true, 'pgsession'::text, ''::text)::text
        WHERE pg_catalog.current_setting('synchronous_standby_names'::text) <> ''::text
            AND NOT EXISTS (SELECT 1 FROM gone)
    ), ''::text)::text AS waited;

-- OwnerFind finds the next sessions of a user, or with a tag, to revoke, in the
-- order of their ids. OFFSET 0 has the indexes of users and tags answer it, and
-- not the table in the order of ids.
-- name: OwnerFind :many
SELECT f.id FROM (
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.user_id = sqlc.narg(user_id)::text
    UNION ALL
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.pending_user_id = sqlc.narg(user_id)::text
    UNION ALL
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.tags OPERATOR(pg_catalog.&&) sqlc.narg(tag)::bytea[]
    OFFSET 0
) AS f
WHERE f.id > @after::bytea AND f.id <> @spared::bytea
    AND f.created_at <= sqlc.arg(until)::timestamptz
ORDER BY f.id
LIMIT sqlc.arg(max)::integer;

-- OwnerRevokeFound revokes those of these sessions that are alive, the user's or
-- with the tag, and not locked. IS TRUE keeps it from the other indexes, where
-- each batch would read over the entries of all batches before.
-- name: OwnerRevokeFound :many
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id = ANY((SELECT @ids::bytea[])::bytea[])
        AND (s.user_id = sqlc.narg(user_id)::text OR s.pending_user_id = sqlc.narg(user_id)::text
            OR s.tags OPERATOR(pg_catalog.&&) sqlc.narg(tag)::bytea[]) IS TRUE
        AND s.expires_at > pg_catalog.now()
    ORDER BY s.id
    FOR UPDATE SKIP LOCKED
)
DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id;

-- OwnerRevokeHandle revokes the session of a user that has this handle: the
-- first half of a SHA-256 over label and id. It inserts an ending, as
-- SessionDelete does. It reads the sessions of the user, and of no one else: the
-- index on users holds no ids (ADR 1521).
-- name: OwnerRevokeHandle :many
WITH found AS MATERIALIZED (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.user_id = @user_id::text
        AND substring(pg_catalog.sha256(sqlc.arg(label)::bytea || s.id) FROM 1 FOR 16)
            = @handle::bytea
    UNION ALL
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.pending_user_id = @user_id::text
        AND substring(pg_catalog.sha256(sqlc.arg(label)::bytea || s.id) FROM 1 FOR 16)
            = @handle::bytea
), gone AS (
    DELETE FROM pgsession.sessions AS s
    WHERE s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
        AND (s.user_id = @user_id::text OR s.pending_user_id = @user_id::text) IS TRUE
        AND s.expires_at > pg_catalog.now()
    RETURNING s.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone
    ON CONFLICT (id) DO NOTHING
)
SELECT gone.id FROM gone;

-- OwnerHasHandle reports whether the session of OwnerRevokeHandle is there.
-- name: OwnerHasHandle :one
SELECT EXISTS (
    SELECT 1 FROM pgsession.sessions AS s
    WHERE s.id = ANY(ARRAY(
        SELECT f.id FROM pgsession.sessions AS f
        WHERE f.user_id = @user_id::text
            AND substring(pg_catalog.sha256(sqlc.arg(label)::bytea || f.id) FROM 1 FOR 16)
                = @handle::bytea
        UNION ALL
        SELECT f.id FROM pgsession.sessions AS f
        WHERE f.pending_user_id = @user_id::text
            AND substring(pg_catalog.sha256(sqlc.arg(label)::bytea || f.id) FROM 1 FOR 16)
                = @handle::bytea
    )) AND s.expires_at > pg_catalog.now()
)::boolean AS found;

-- OwnerTrim revokes all sessions of a user but those with the latest logins. It
-- needs no lock against other logins: each trims after its commit. No trim
-- revokes one of the latest sessions of all, and the last trim sees every
-- login. It inserts an ending of each.
-- name: OwnerTrim :many
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id IN (
        SELECT o.id FROM pgsession.sessions AS o
        WHERE o.user_id = @user_id::text AND o.expires_at > pg_catalog.now()
        ORDER BY o.authenticated_at DESC, o.id
        OFFSET @keep::integer
    )
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'too_many' FROM gone
    ON CONFLICT (id) DO NOTHING
)
SELECT gone.id FROM gone;

-- AllFind finds the next sessions of all users to revoke, in the order of their
-- ids. The login of a session of another library is older than its row here, and
-- counts. least ignores a null.
-- name: AllFind :many
SELECT s.id FROM pgsession.sessions AS s
WHERE s.id > @after::bytea
    AND least(s.created_at, s.authenticated_at) <= sqlc.arg(until)::timestamptz
ORDER BY s.id
LIMIT sqlc.arg(max)::integer;

-- AllRevokeFound revokes those of these sessions that are not locked, alive or
-- expired.
-- name: AllRevokeFound :execrows
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id = ANY((SELECT @ids::bytea[])::bytea[])
    ORDER BY s.id
    FOR UPDATE SKIP LOCKED
)
DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id;

-- AllRevoke is OwnerRevoke for one session of any user.
-- name: AllRevoke :one
WITH bound AS MATERIALIZED (
    SELECT pg_catalog.set_config('lock_timeout'::text, @lock_timeout::text, true) AS lock_timeout
), found AS MATERIALIZED (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE least(s.created_at, s.authenticated_at) <= sqlc.arg(until)::timestamptz
    LIMIT 1
), locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE (SELECT b.lock_timeout FROM bound AS b) IS NOT NULL
        AND s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING 1
)
SELECT
    coalesce((SELECT f.id FROM found AS f LIMIT 1), ''::bytea)::bytea AS seen,
    (SELECT pg_catalog.count(*) FROM gone)::bigint AS revoked,
    coalesce((
        SELECT pg_catalog.pg_logical_emit_message(true, 'pgsession'::text, ''::text)::text
        WHERE pg_catalog.current_setting('synchronous_standby_names'::text) <> ''::text
            AND NOT EXISTS (SELECT 1 FROM gone)
    ), ''::text)::text AS waited;

-- OwnerLock makes the logins of a user wait for each other, until the end of
-- the transaction. It returns how many rows it has locked: one.
-- name: OwnerLock :one
SELECT pg_catalog.count(*) FROM (
    SELECT l.n FROM pgsession.locks AS l WHERE l.n = @n::smallint FOR UPDATE
) AS locked;

-- OwnerLocks makes the rows that OwnerLock and DistributedLockAll lock.
-- name: OwnerLocks :exec
INSERT INTO pgsession.locks (n)
SELECT pg_catalog.generate_series(0, 1023) ON CONFLICT (n) DO NOTHING;

-- OwnerCount counts the sessions of a user but for one.
-- name: OwnerCount :one
SELECT pg_catalog.count(*)::bigint FROM pgsession.sessions AS s
WHERE s.user_id = @user_id::text AND s.expires_at > pg_catalog.now() AND s.id <> @spared::bytea;

-- OwnerAlive returns those of these sessions that are alive, and before them an
-- empty id. A standby does not return that: its rows may lack a revoke and the
-- latest sessions. The ids are in a subquery as in SessionLoadMany.
-- name: OwnerAlive :many
SELECT ''::bytea AS id WHERE NOT pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT s.id FROM pgsession.sessions AS s
WHERE s.id = ANY((SELECT @ids::bytea[])::bytea[]) AND s.expires_at > pg_catalog.now();
