-- In place of the statements for many sessions, on a table that Citus has distributed: it refuses to lock rows of several
-- shards in order. What works on one session is in session.sql.

-- DistributedTouch extends one session: one shard, one row, so that it waits for nobody while it holds something.
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

-- DistributedRevokeAll ends every session of everybody. seen is how many there were when the statement began.
-- name: DistributedRevokeAll :one
WITH gone AS (
    DELETE FROM pgsession.sessions RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM pgsession.sessions)::bigint AS seen, (SELECT pg_catalog.count(*) FROM gone)::bigint AS ended;

-- DistributedRevoke needs OwnerLock: the shards are not looked at in one moment, so that it could miss a session which gets
-- a new id meanwhile, on the old shard and on the new one.
-- name: DistributedRevoke :many
DELETE FROM pgsession.sessions AS s
WHERE s.user_id = @user_id::text AND s.id <> @spared::bytea AND s.expires_at > pg_catalog.now()
RETURNING s.id;

-- DistributedUser says whose session is about to get a new id, for DistributedLock.
-- name: DistributedUser :one
SELECT coalesce(s.user_id, '')::text FROM pgsession.sessions AS s WHERE s.id = @id::bytea AND s.expires_at > pg_catalog.now();

-- DistributedLock keeps the revokes of a user, and those of everybody, waiting until the end of the transaction, and no other new
-- ids. Its keys are OwnerLock's; nobody is called ''.
-- name: DistributedLock :exec
SELECT
    pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('', 5498127346018201)),
    pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended(@user_id::text, 5498127346018201));

-- name: DistributedTrim :many
DELETE FROM pgsession.sessions AS s
WHERE s.id IN (
    SELECT o.id FROM pgsession.sessions AS o
    WHERE o.user_id = @user_id::text AND o.expires_at > pg_catalog.now()
    ORDER BY o.authenticated_at DESC, o.id
    OFFSET @keep::integer
)
RETURNING s.id;

-- DistributedExpired counts 10,000 at most, as ExpiryEstimate does.
-- name: DistributedExpired :one
SELECT pg_catalog.count(*) FROM (SELECT 1 FROM pgsession.sessions WHERE expires_at <= pg_catalog.now() LIMIT 10000) AS few;

-- DistributedSample counts the sessions in so many percent of the pages.
-- name: DistributedSample :one
SELECT pg_catalog.count(*) FROM pgsession.sessions TABLESAMPLE pg_catalog.system (@percent::real);

-- DistributedMissing is SessionMissing for one session, and asks one shard. The standby would be the coordinator.
-- name: DistributedMissing :one
SELECT
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    ARRAY(SELECT s.id FROM pgsession.sessions AS s WHERE s.id = @id::bytea AND s.expires_at <= pg_catalog.now())::bytea[] AS expired;
