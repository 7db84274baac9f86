-- The statements of one request. Each names the schema of what it uses, lists
-- its columns, and takes every time from Postgres's clock.
--
-- Only SessionCreate, SessionRotate and their forms for many sessions insert
-- rows, and a rotation inserts only the row that it deletes. So no statement
-- brings a session back that has ended.
--
-- An operation has a form for one session and one for many. Both leave the same
-- row behind; integration/forms compares them. A form for one session waits for
-- a locked row, and one for many leaves it out.
--
-- No form that may write a row of a user runs on a table that Citus has
-- distributed, where an entry of user_sessions comes first: an instance that
-- does not know of Citus yet is refused, and learns it. Citus refuses now() in
-- RETURNING, also of a DELETE within WITH, and row locks of several shards.
-- integration/citus sends each of these forms as it stands here.
--
-- With last_seen_at in place of that now(), which is the same time, the forms
-- for one session run there too: see schema.OnCitus. SessionDelete does not, as
-- there are no endings. Citus refuses now() in CASE and COALESCE as well. So an
-- interval that is null leaves a column as it is.
--
-- All return the same columns, in the order in which internal/postgres reads
-- them. The tags are none of them: a load has no use for them.
--
-- A login replaces login_id, methods and tags, and ends a pending login. The
-- forms for many sessions write no tags and no pending login: a call that has
-- them runs in the form for one.

-- SessionLoad returns 'epoch' as the time of a standby: its rows may be older
-- than its clock.
-- name: SessionLoad :one
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END)::timestamptz
        AS validated_at
FROM pgsession.sessions AS s
WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now();

-- SessionLoadMany loads many sessions. The ids are in a subquery, where the
-- planner can't see how many they are: it would find each short list cheaper
-- than the general case, and plan every execution anew. They are joined: of an
-- array and a hash index Postgres would make a bitmap. The time is in a subquery
-- too, which runs once.
-- name: SessionLoadMany :many
SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END
    )::timestamptz AS validated_at
FROM pg_catalog.unnest((SELECT @ids::bytea[])) AS u (id)
JOIN pgsession.sessions AS s ON s.id = u.id
WHERE s.expires_at > pg_catalog.now();

-- SessionMissing explains why a load found fewer rows than ids: the server is a
-- standby, these sessions have expired and are not pruned yet, or they have an
-- ending. If a row's deadline has not passed, the session began after the load.
-- name: SessionMissing :one
SELECT
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    ARRAY(
        SELECT s.id FROM pgsession.sessions AS s
        WHERE s.id = ANY((SELECT @ids::bytea[])::bytea[]) AND s.expires_at <= pg_catalog.now()
    )::bytea[] AS expired,
    coalesce(o.ended, '{}')::bytea[] AS ended,
    coalesce(o.replaced, '{}')::bytea[] AS replaced
FROM (
    SELECT
        pg_catalog.array_agg(e.id) FILTER (WHERE e.reason = 'ended') AS ended,
        pg_catalog.array_agg(e.id) FILTER (WHERE e.reason = 'too_many') AS replaced
    FROM pgsession.endings AS e
    WHERE e.id = ANY((SELECT @ids::bytea[])::bytea[])
) AS o;

-- SessionCreate inserts a session. login is the age of the login, and null
-- without one; pending is that of a pending login. Without a sliding window the
-- caller subtracts the age from idle: the timeout runs from the creation.
-- lifetime is that of the session, at most the absolute timeout.
-- name: SessionCreate :one
INSERT INTO pgsession.sessions AS s (
    id, user_id, created_at, authenticated_at, last_seen_at, data, ip, user_agent,
    absolute_expires_at, expires_at, pending_user_id, pending_since, login_id, methods, tags
)
VALUES (
    @id::bytea,
    sqlc.narg(user_id)::text,
    pg_catalog.now() - sqlc.arg(age)::interval,
    pg_catalog.now() - sqlc.narg(login)::interval,
    pg_catalog.now(),
    (@data::jsonb)::json,
    sqlc.narg(ip)::inet,
    sqlc.narg(user_agent)::text,
    pg_catalog.now() - sqlc.arg(age)::interval + sqlc.arg(lifetime)::interval,
    least(
        pg_catalog.now() - sqlc.arg(age)::interval + sqlc.arg(lifetime)::interval,
        pgsession.idle_deadline(sqlc.arg(idle)::interval, sqlc.arg(resolution)::interval)
    ),
    sqlc.narg(pending_user_id)::text,
    pg_catalog.now() - sqlc.narg(pending)::interval,
    sqlc.narg(login_id)::uuid,
    pgsession.methods_now(sqlc.narg(methods)::text),
    sqlc.narg(tags)::bytea[]
)
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionCreateMany inserts no session for a login that a mark refuses already.
-- login_ages is how long ago each login began; own_marks are the marks that the
-- requests of these logins have made. The same holds for saves and rotations.
-- never deletes no row: it is there for Citus to refuse.
-- name: SessionCreateMany :many
WITH never AS (
    DELETE FROM pgsession.sessions WHERE false RETURNING pg_catalog.now()
)
INSERT INTO pgsession.sessions AS s (
    id, user_id, created_at, authenticated_at, last_seen_at, data, ip, user_agent,
    absolute_expires_at, expires_at, login_id, methods
)
SELECT
    d.id,
    d.user_id,
    pg_catalog.now() - d.age,
    CASE WHEN d.user_id IS NOT NULL THEN pg_catalog.now() - d.age END,
    pg_catalog.now(),
    d.data::json,
    d.ip,
    d.user_agent,
    pg_catalog.now() - d.age + d.lifetime,
    least(
        pg_catalog.now() - d.age + d.lifetime,
        pgsession.idle_deadline(d.idle, sqlc.arg(resolution)::interval)
    ),
    d.login_id,
    pgsession.methods_now(d.methods)
FROM (
    SELECT
        pg_catalog.unnest(@ids::bytea[]) AS id,
        nullif(pg_catalog.unnest(@user_ids::text[]), '') AS user_id,
        pg_catalog.unnest(@ages::interval[]) AS age,
        pg_catalog.unnest(@lifetimes::interval[]) AS lifetime,
        pg_catalog.unnest(@idles::interval[]) AS idle,
        pg_catalog.unnest(@data::jsonb[]) AS data,
        pg_catalog.unnest(@ips::inet[]) AS ip,
        nullif(pg_catalog.unnest(@user_agents::text[]), '') AS user_agent,
        pg_catalog.unnest(@login_ids::uuid[]) AS login_id,
        nullif(pg_catalog.unnest(@methods::text[]), '') AS methods,
        pg_catalog.unnest(@login_keys::bytea[]) AS login_key,
        pg_catalog.unnest(@login_ages::interval[]) AS login_age
) AS d
WHERE d.user_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM pgsession.marks AS m
    WHERE m.key IN (d.login_key, @everyone::bytea)
        AND m.revoked_at > pg_catalog.now() - d.login_age
        AND m.id <> ALL (@own_marks::bytea[])
)
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionSave changes only those members of data that the request changed: two
-- requests that change different keys both succeed. If the session now belongs
-- to another user, or with drops, the old data is dropped. A pending login makes
-- it belong to its user too. login is zero for a
-- login and else null. idle is null if the deadline does not slide.
-- name: SessionSave :one
UPDATE pgsession.sessions AS s SET
    data = (CASE WHEN user_id <> sqlc.narg(user_id)::text
            OR pending_user_id <> sqlc.narg(user_id)::text OR @drops::boolean THEN '{}'
        ELSE data::jsonb - @removed::text[] END || @changed::jsonb)::json,
    user_id = coalesce(sqlc.narg(user_id)::text, user_id),
    pending_user_id = CASE WHEN sqlc.narg(user_id)::text IS NULL THEN pending_user_id END,
    pending_since = CASE WHEN sqlc.narg(user_id)::text IS NULL THEN pending_since END,
    login_id = CASE WHEN sqlc.narg(user_id)::text IS NULL THEN login_id
        ELSE sqlc.narg(login_id)::uuid END,
    -- A CASE with now(), as Citus takes it. A subscript that is a whole value of
    -- SET crashes Citus 13.2.2, so this one has an operator behind it.
    methods = ((ARRAY[methods, pgsession.methods_now(sqlc.narg(methods)::text)])[
        CASE WHEN sqlc.narg(user_id)::text IS NULL THEN 1 ELSE 2 END]::text || '')::json,
    tags = CASE WHEN sqlc.narg(user_id)::text IS NULL THEN tags
        ELSE sqlc.narg(tags)::bytea[] END,
    -- coalesce(now() - login, authenticated_at), as Citus takes it
    authenticated_at = least(
        greatest(authenticated_at, pg_catalog.now() - sqlc.narg(login)::interval),
        pg_catalog.now() - sqlc.narg(login)::interval
    ),
    version = version + 1,
    ip = coalesce(sqlc.narg(ip)::inet, ip),
    user_agent = coalesce(sqlc.narg(user_agent)::text, user_agent),
    last_seen_at = pg_catalog.now(),
    expires_at = least(absolute_expires_at, greatest(
        expires_at,
        pgsession.idle_deadline(sqlc.narg(idle)::interval, sqlc.arg(resolution)::interval)
    ))
WHERE id = @id::bytea AND expires_at > pg_catalog.now()
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionSaveMany saves many sessions, no id twice. It waits for no row: it
-- leaves out one that another transaction has locked, whose call waits by
-- itself. So one locked session holds up no other, and no two statements wait
-- for each other.
-- name: SessionSaveMany :many
WITH change AS (
    SELECT
        pg_catalog.unnest(@ids::bytea[]) AS id,
        pg_catalog.unnest(@removed::jsonb[]) AS removed,
        pg_catalog.unnest(@changed::jsonb[]) AS changed,
        nullif(pg_catalog.unnest(@user_ids::text[]), '') AS user_id,
        pg_catalog.unnest(@ips::inet[]) AS ip,
        nullif(pg_catalog.unnest(@user_agents::text[]), '') AS user_agent,
        pg_catalog.unnest(@drops::boolean[]) AS drops,
        pg_catalog.unnest(@login_ids::uuid[]) AS login_id,
        nullif(pg_catalog.unnest(@methods::text[]), '') AS methods,
        pg_catalog.unnest(@login_keys::bytea[]) AS login_key,
        pg_catalog.unnest(@login_ages::interval[]) AS login_age
), locked AS (
    SELECT l.id FROM pg_catalog.unnest((SELECT @ids::bytea[])) AS u (id)
    JOIN pgsession.sessions AS l ON l.id = u.id
    WHERE l.expires_at > pg_catalog.now()
    FOR NO KEY UPDATE OF l SKIP LOCKED
)
UPDATE pgsession.sessions AS s SET
    data = (CASE WHEN s.user_id <> change.user_id OR s.pending_user_id <> change.user_id
            OR change.drops THEN '{}'
        WHEN change.removed = '[]' THEN s.data::jsonb
        ELSE s.data::jsonb - ARRAY(SELECT pg_catalog.jsonb_array_elements_text(change.removed)) END
        || change.changed)::json,
    user_id = coalesce(change.user_id, s.user_id),
    authenticated_at = CASE WHEN change.user_id IS NOT NULL THEN pg_catalog.now()
        ELSE s.authenticated_at END,
    pending_user_id = CASE WHEN change.user_id IS NULL THEN s.pending_user_id END,
    pending_since = CASE WHEN change.user_id IS NULL THEN s.pending_since END,
    login_id = CASE WHEN change.user_id IS NULL THEN s.login_id ELSE change.login_id END,
    methods = CASE WHEN change.user_id IS NULL THEN s.methods
        ELSE pgsession.methods_now(change.methods) END,
    tags = CASE WHEN change.user_id IS NULL THEN s.tags END,
    version = s.version + 1,
    ip = coalesce(change.ip, s.ip),
    user_agent = coalesce(change.user_agent, s.user_agent),
    last_seen_at = pg_catalog.now(),
    expires_at = least(s.absolute_expires_at, greatest(
        s.expires_at,
        pgsession.idle_deadline(sqlc.narg(idle)::interval, sqlc.arg(resolution)::interval)
    ))
FROM change, locked
WHERE s.id = locked.id AND s.id = change.id AND s.expires_at > pg_catalog.now()
AND (change.user_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM pgsession.marks AS m
    WHERE m.key IN (change.login_key, @everyone::bytea)
        AND m.revoked_at > pg_catalog.now() - change.login_age
        AND m.id <> ALL (@own_marks::bytea[])
))
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionRotate gives a session a new id. With a user it is a login: both
-- deadlines start afresh, and the data of another user is dropped. Without one
-- it is a use, and the deadline moves as in a save. idle is null if the
-- deadline does not slide and this is no login. lifetime is that of a login, at
-- most the absolute timeout.
--
-- With pending_user_id it begins a login, for a session without a user. With
-- completed_since it completes the pending login that began then. With steps_up
-- it adds methods to the login login_id.
-- name: SessionRotate :one
WITH old AS (
    DELETE FROM pgsession.sessions AS d
    WHERE d.id = @old_id::bytea AND d.expires_at > pg_catalog.now()
        AND (sqlc.narg(pending_user_id)::text IS NULL OR d.user_id IS NULL)
        AND (sqlc.narg(completed_since)::timestamptz IS NULL
            OR d.pending_since = sqlc.narg(completed_since)::timestamptz)
        AND (NOT @steps_up::boolean OR d.user_id IS NOT NULL
            AND d.login_id IS NOT DISTINCT FROM sqlc.narg(login_id)::uuid)
    RETURNING
        d.version, d.user_id, d.data, d.ip, d.user_agent, d.created_at, d.authenticated_at,
        d.absolute_expires_at, d.expires_at, d.pending_user_id, d.pending_since, d.login_id,
        d.methods, d.tags, pg_catalog.now()::timestamptz AS validated_at
)
INSERT INTO pgsession.sessions AS s (
    id, version, user_id, data, ip, user_agent, created_at, authenticated_at, last_seen_at,
    absolute_expires_at, expires_at, pending_user_id, pending_since, login_id, methods, tags
)
SELECT
    @id::bytea,
    old.version + 1,
    coalesce(sqlc.narg(user_id)::text, old.user_id),
    (CASE WHEN coalesce(old.user_id, old.pending_user_id)
            <> coalesce(sqlc.narg(user_id)::text, sqlc.narg(pending_user_id)::text)
            OR @drops::boolean THEN '{}'
        ELSE old.data::jsonb - @removed::text[] END || @changed::jsonb)::json,
    coalesce(sqlc.narg(ip)::inet, old.ip),
    coalesce(sqlc.narg(user_agent)::text, old.user_agent),
    CASE WHEN sqlc.narg(user_id)::text IS NOT NULL THEN pg_catalog.now()
        ELSE old.created_at END,
    CASE WHEN sqlc.narg(user_id)::text IS NOT NULL THEN pg_catalog.now()
        ELSE old.authenticated_at END,
    pg_catalog.now(),
    CASE WHEN sqlc.narg(user_id)::text IS NOT NULL
        THEN pg_catalog.now() + sqlc.arg(lifetime)::interval
        ELSE old.absolute_expires_at END,
    least(
        CASE WHEN sqlc.narg(user_id)::text IS NOT NULL
            THEN pg_catalog.now() + sqlc.arg(lifetime)::interval
            ELSE old.absolute_expires_at END,
        greatest(
            CASE WHEN sqlc.narg(user_id)::text IS NULL THEN old.expires_at END,
            pgsession.idle_deadline(sqlc.narg(idle)::interval, sqlc.arg(resolution)::interval)
        )
    ),
    CASE WHEN sqlc.narg(user_id)::text IS NULL
        THEN coalesce(sqlc.narg(pending_user_id)::text, old.pending_user_id) END,
    CASE WHEN sqlc.narg(user_id)::text IS NOT NULL THEN NULL
        WHEN sqlc.narg(pending_user_id)::text IS NOT NULL THEN pg_catalog.now()
        ELSE old.pending_since END,
    CASE WHEN sqlc.narg(user_id)::text IS NOT NULL THEN sqlc.narg(login_id)::uuid
        ELSE old.login_id END,
    CASE WHEN @steps_up::boolean OR sqlc.narg(completed_since)::timestamptz IS NOT NULL
        THEN coalesce(
            (old.methods::jsonb || pgsession.methods_now(sqlc.narg(methods)::text)::jsonb)::json,
            pgsession.methods_now(sqlc.narg(methods)::text), old.methods)
        WHEN coalesce(sqlc.narg(user_id)::text, sqlc.narg(pending_user_id)::text) IS NOT NULL
        THEN pgsession.methods_now(sqlc.narg(methods)::text)
        ELSE old.methods END,
    CASE WHEN coalesce(sqlc.narg(user_id)::text, sqlc.narg(pending_user_id)::text) IS NOT NULL
        THEN sqlc.narg(tags)::bytea[]
        ELSE old.tags END
FROM old
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionPending returns the pending login that a rotation is to complete. The
-- rotation takes place only if it is still the same one.
-- name: SessionPending :one
SELECT s.pending_since::timestamptz AS since, coalesce(s.tags, '{}')::bytea[] AS tags
FROM pgsession.sessions AS s
WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    AND s.pending_user_id = @user_id::text
    AND s.pending_since > pg_catalog.now() - sqlc.arg(timeout)::interval;

-- SessionTags returns the tags of a session, which a save that looks for revoke
-- marks again has to know. A standby may not have them yet.
-- name: SessionTags :one
SELECT
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    coalesce((
        SELECT s.tags FROM pgsession.sessions AS s
        WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now()
    ), '{}')::bytea[] AS tags;

-- SessionRotateMany leaves out rows that are locked, as SessionSaveMany does.
-- lifetimes are those of logins.
-- name: SessionRotateMany :many
WITH change AS (
    SELECT
        pg_catalog.unnest(@old_ids::bytea[]) AS old_id,
        pg_catalog.unnest(@ids::bytea[]) AS id,
        pg_catalog.unnest(@removed::jsonb[]) AS removed,
        pg_catalog.unnest(@changed::jsonb[]) AS changed,
        nullif(pg_catalog.unnest(@user_ids::text[]), '') AS user_id,
        pg_catalog.unnest(@ips::inet[]) AS ip,
        nullif(pg_catalog.unnest(@user_agents::text[]), '') AS user_agent,
        pg_catalog.unnest(@drops::boolean[]) AS drops,
        pg_catalog.unnest(@lifetimes::interval[]) AS lifetime,
        pg_catalog.unnest(@login_ids::uuid[]) AS login_id,
        nullif(pg_catalog.unnest(@methods::text[]), '') AS methods,
        pg_catalog.unnest(@login_keys::bytea[]) AS login_key,
        pg_catalog.unnest(@login_ages::interval[]) AS login_age
), locked AS (
    SELECT l.id FROM pg_catalog.unnest((SELECT @old_ids::bytea[])) AS u (id)
    JOIN pgsession.sessions AS l ON l.id = u.id
    WHERE l.expires_at > pg_catalog.now()
    FOR UPDATE OF l SKIP LOCKED
), old AS (
    DELETE FROM pgsession.sessions AS d USING locked, change
    WHERE d.id = locked.id AND d.id = change.old_id AND d.expires_at > pg_catalog.now()
    AND (change.user_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM pgsession.marks AS m
        WHERE m.key IN (change.login_key, @everyone::bytea)
            AND m.revoked_at > pg_catalog.now() - change.login_age
            AND m.id <> ALL (@own_marks::bytea[])
    ))
    RETURNING
        d.id, d.version, d.user_id, d.data, d.ip, d.user_agent, d.created_at, d.authenticated_at,
        d.absolute_expires_at, d.expires_at, d.pending_user_id, d.pending_since, d.login_id,
        d.methods, d.tags
)
INSERT INTO pgsession.sessions AS s (
    id, version, user_id, data, ip, user_agent, created_at, authenticated_at, last_seen_at,
    absolute_expires_at, expires_at, pending_user_id, pending_since, login_id, methods, tags
)
SELECT
    change.id,
    old.version + 1,
    coalesce(change.user_id, old.user_id),
    (CASE WHEN coalesce(old.user_id, old.pending_user_id) <> change.user_id OR change.drops THEN '{}'
        WHEN change.removed = '[]' THEN old.data::jsonb
        ELSE old.data::jsonb
            - ARRAY(SELECT pg_catalog.jsonb_array_elements_text(change.removed)) END
        || change.changed)::json,
    coalesce(change.ip, old.ip),
    coalesce(change.user_agent, old.user_agent),
    CASE WHEN change.user_id IS NOT NULL THEN pg_catalog.now() ELSE old.created_at END,
    CASE WHEN change.user_id IS NOT NULL THEN pg_catalog.now() ELSE old.authenticated_at END,
    pg_catalog.now(),
    CASE WHEN change.user_id IS NOT NULL THEN pg_catalog.now() + change.lifetime
        ELSE old.absolute_expires_at END,
    least(
        CASE WHEN change.user_id IS NOT NULL THEN pg_catalog.now() + change.lifetime
            ELSE old.absolute_expires_at END,
        greatest(
            CASE WHEN change.user_id IS NULL THEN old.expires_at END,
            pgsession.idle_deadline(
                CASE WHEN @slides::boolean OR change.user_id IS NOT NULL
                    THEN sqlc.arg(idle)::interval END,
                sqlc.arg(resolution)::interval
            )
        )
    ),
    CASE WHEN change.user_id IS NULL THEN old.pending_user_id END,
    CASE WHEN change.user_id IS NULL THEN old.pending_since END,
    CASE WHEN change.user_id IS NULL THEN old.login_id ELSE change.login_id END,
    CASE WHEN change.user_id IS NULL THEN old.methods
        ELSE pgsession.methods_now(change.methods) END,
    CASE WHEN change.user_id IS NULL THEN old.tags END
FROM old JOIN change ON change.old_id = old.id
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    pg_catalog.now()::timestamptz AS validated_at;

-- SessionLifetime follows a save or a rotation in its transaction, whose row has
-- the times that deadline is made of: Citus refuses created_at + an interval in
-- an UPDATE. The idle timeout starts afresh, also if it does not slide: the
-- session may live longer than before.
-- name: SessionLifetime :one
UPDATE pgsession.sessions AS s SET
    absolute_expires_at = sqlc.arg(deadline)::timestamptz,
    expires_at = least(sqlc.arg(deadline)::timestamptz, greatest(
        expires_at,
        pgsession.idle_deadline(sqlc.arg(idle)::interval, sqlc.arg(resolution)::interval)
    ))
WHERE id = @id::bytea
RETURNING
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    s.last_seen_at AS validated_at;

-- SessionDelete deletes a session, alive or expired, and returns how many it
-- was. With noted it inserts an ending. The id can have one already if a row was
-- made under it once more: the first one stays.
-- name: SessionDelete :one
WITH gone AS (
    DELETE FROM pgsession.sessions AS d WHERE d.id = @id::bytea RETURNING d.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone WHERE @noted::boolean
    ON CONFLICT (id) DO NOTHING
)
SELECT pg_catalog.count(*) FROM gone;

-- SessionDeleteFree is SessionDelete without a wait: it leaves a locked row.
-- name: SessionDeleteFree :one
WITH gone AS (
    DELETE FROM pgsession.sessions AS d
    WHERE d.id = (
        SELECT s.id FROM pgsession.sessions AS s WHERE s.id = @id::bytea FOR UPDATE SKIP LOCKED
    )
    RETURNING d.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone WHERE @noted::boolean
    ON CONFLICT (id) DO NOTHING
)
SELECT pg_catalog.count(*) FROM gone;

-- SessionAwaitStandby follows a revoke that deleted nothing. An earlier attempt
-- may have deleted the row and timed out waiting for a synchronous standby. A
-- commit that has written nothing does not wait for it, so this writes an empty
-- message.
-- name: SessionAwaitStandby :exec
SELECT pg_catalog.pg_logical_emit_message(true, 'pgsession', '')
WHERE pg_catalog.current_setting('synchronous_standby_names') <> '';

-- SessionTouch extends many sessions. It does not wait for the disk: a touch
-- that a crash loses costs a session one touch interval of its idle timeout. It
-- leaves out locked rows and returns the ids of the others.
-- name: SessionTouch :many
WITH quick AS (
    SELECT pg_catalog.set_config('synchronous_commit', 'off', true) AS done
), seen AS (
    SELECT
        pg_catalog.unnest(@ids::bytea[]) AS id,
        pg_catalog.unnest(@ips::inet[]) AS ip,
        nullif(pg_catalog.unnest(@user_agents::text[]), '') AS user_agent
), locked AS (
    SELECT l.id FROM pg_catalog.unnest((SELECT @ids::bytea[])) AS u (id)
    JOIN pgsession.sessions AS l ON l.id = u.id
    WHERE l.expires_at > pg_catalog.now()
    FOR NO KEY UPDATE OF l SKIP LOCKED
)
UPDATE pgsession.sessions SET
    last_seen_at = greatest(sessions.last_seen_at, pg_catalog.now()),
    ip = coalesce(seen.ip, sessions.ip),
    user_agent = coalesce(seen.user_agent, sessions.user_agent),
    expires_at = least(sessions.absolute_expires_at, greatest(
        sessions.expires_at,
        pgsession.idle_deadline(sqlc.narg(idle)::interval, sqlc.arg(resolution)::interval)
    ))
FROM quick, seen, locked
WHERE sessions.id = locked.id AND sessions.id = seen.id AND quick.done = 'off'
RETURNING sessions.id;
