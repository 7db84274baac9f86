-- Revoke marks. A revoke inserts a mark, commits, and then deletes sessions. A
-- login commits its session, and then looks for a later mark. On a table that
-- Citus has distributed, marks stay a table of the coordinator: no statement
-- joins the two there.

-- MarkAdd inserts a mark and returns its time. It can be repeated after a lost
-- reply.
-- name: MarkAdd :one
WITH added AS (
    INSERT INTO pgsession.marks (id, key) VALUES (@id, @key)
    ON CONFLICT (id) DO NOTHING
    RETURNING revoked_at
)
SELECT
    coalesce(
        (SELECT a.revoked_at FROM added AS a),
        (SELECT m.revoked_at FROM pgsession.marks AS m WHERE m.id = @id)
    )::timestamptz AS revoked_at;

-- MarkLook returns the marks with one of these keys that are later than a time,
-- or younger than an age. The caller decides with the time of the reply. A
-- standby may lack the latest marks, so the reply reports whether it is one.
-- name: MarkLook :many
SELECT
    a.asked_at::timestamptz AS asked_at, a.standby::boolean AS standby,
    m.id, m.key, m.revoked_at
FROM (
    SELECT pg_catalog.now() AS asked_at, pg_catalog.pg_is_in_recovery() AS standby
) AS a
LEFT JOIN pgsession.marks AS m
    ON m.key = ANY((SELECT @keys::bytea[])::bytea[])
    AND m.revoked_at > least(
        a.asked_at - sqlc.arg(age)::interval, sqlc.arg(since)::timestamptz
    );
