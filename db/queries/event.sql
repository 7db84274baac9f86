-- The rows of events. A statement that ends sessions has a form here that
-- inserts what it did as well. Those that log in are one transaction with
-- EventAdd.
--
-- A session is named by its handle: the first half of a SHA-256 over label and
-- id, in base64 for URLs.

-- EventAdd inserts an event.
-- name: EventAdd :exec
INSERT INTO pgsession.events (
    kind, user_id, session, login_id, level, ip, user_agent, methods, reason, actor, detail, count
)
VALUES (
    @kind::text, sqlc.narg(user_id)::text, sqlc.narg(session)::text, sqlc.narg(login_id)::uuid,
    sqlc.narg(level)::smallint, sqlc.narg(ip)::inet, sqlc.narg(user_agent)::text,
    sqlc.narg(methods)::text[], sqlc.narg(reason)::text, sqlc.narg(actor)::text,
    sqlc.narg(detail)::text, sqlc.narg(count)::bigint
);

-- EventMark is MarkAdd with the event that a revoke begins. A repeated one adds
-- none.
-- name: EventMark :one
WITH added AS (
    INSERT INTO pgsession.marks (id, key) VALUES (@id, @key)
    ON CONFLICT (id) DO NOTHING
    RETURNING revoked_at
), recorded AS (
    INSERT INTO pgsession.events (kind, user_id, ip, user_agent, reason, actor, detail)
    SELECT
        @kind::text, sqlc.narg(user_id)::text, sqlc.narg(ip)::inet, sqlc.narg(user_agent)::text,
        sqlc.narg(reason)::text, sqlc.narg(actor)::text, sqlc.narg(detail)::text
    FROM added
)
SELECT
    coalesce(
        (SELECT a.revoked_at FROM added AS a),
        (SELECT m.revoked_at FROM pgsession.marks AS m WHERE m.id = @id)
    )::timestamptz AS revoked_at;

-- EventDelete is SessionDelete with its event. A session without a user has
-- one only while a login is pending.
-- name: EventDelete :one
WITH gone AS (
    DELETE FROM pgsession.sessions AS d WHERE d.id = @id::bytea
    RETURNING d.id, coalesce(d.user_id, d.pending_user_id) AS user_id, d.login_id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone WHERE @noted::boolean
    ON CONFLICT (id) DO NOTHING
), recorded AS (
    INSERT INTO pgsession.events (
        kind, user_id, session, login_id, ip, user_agent, reason, actor, detail
    )
    SELECT
        @kind::text, gone.user_id, @session::text, gone.login_id, sqlc.narg(ip)::inet,
        sqlc.narg(user_agent)::text, sqlc.narg(reason)::text, sqlc.narg(actor)::text,
        sqlc.narg(detail)::text
    FROM gone WHERE gone.user_id IS NOT NULL
)
SELECT pg_catalog.count(*) FROM gone;

-- EventDeleteFree is EventDelete without a wait: it leaves a locked row.
-- name: EventDeleteFree :one
WITH gone AS (
    DELETE FROM pgsession.sessions AS d
    WHERE d.id = (
        SELECT s.id FROM pgsession.sessions AS s WHERE s.id = @id::bytea FOR UPDATE SKIP LOCKED
    )
    RETURNING d.id, coalesce(d.user_id, d.pending_user_id) AS user_id, d.login_id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone WHERE @noted::boolean
    ON CONFLICT (id) DO NOTHING
), recorded AS (
    INSERT INTO pgsession.events (
        kind, user_id, session, login_id, ip, user_agent, reason, actor, detail
    )
    SELECT
        @kind::text, gone.user_id, @session::text, gone.login_id, sqlc.narg(ip)::inet,
        sqlc.narg(user_agent)::text, sqlc.narg(reason)::text, sqlc.narg(actor)::text,
        sqlc.narg(detail)::text
    FROM gone WHERE gone.user_id IS NOT NULL
)
SELECT pg_catalog.count(*) FROM gone;

-- EventPage returns the events after a place, in the order of (tx, id). It stops
-- before the oldest transaction that is open in its snapshot: no later commit
-- adds an event before the end of a page.
--
-- Without events it returns one row, with an empty kind. known reports
-- whether the event at the place is there. foreign_rows reports events of
-- another cluster: their tx is none that this one has given out. It asks for the
-- last tx: an EXISTS would let the planner read the whole table, which without
-- statistics it takes for a third of such rows.
-- name: EventPage :many
SELECT
    a.cluster::text AS cluster, a.known::boolean AS known,
    a.foreign_rows::boolean AS foreign_rows,
    coalesce(e.id, 0)::bigint AS id, coalesce(e.tx::text, '')::text AS tx,
    coalesce(e.at, 'epoch')::timestamptz AS at, e.count, e.level, e.login_id,
    coalesce(e.kind, '')::text AS kind, e.user_id, e.session, e.ip,
    e.user_agent, coalesce(e.methods, '{}')::text[] AS methods, e.reason, e.actor, e.detail
FROM (
    SELECT
        pg_catalog.row_to_json(pg_catalog.pg_control_system()) ->> 'system_identifier' AS cluster,
        EXISTS (
            SELECT 1 FROM pgsession.events AS k
            WHERE k.tx = (@tx::text)::xid8 AND k.id = @id::bigint AND k.at = @at::timestamptz
        ) AS known,
        coalesce(
            (SELECT f.tx FROM pgsession.events AS f ORDER BY f.tx DESC, f.id DESC LIMIT 1)
                >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
            false
        ) AS foreign_rows
) AS a
LEFT JOIN (
    SELECT
        p.id, p.tx, p.at, p.count, p.level, p.login_id, p.kind, p.user_id, p.session, p.ip,
        p.user_agent, p.methods, p.reason, p.actor, p.detail
    FROM pgsession.events AS p
    WHERE (p.tx, p.id) > ((@tx::text)::xid8, @id::bigint)
        AND p.tx < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
    ORDER BY p.tx, p.id
    LIMIT sqlc.arg(max)::integer
) AS e ON true
ORDER BY e.tx, e.id;
