-- Statements that prune and count.

-- ExpiryPrune prunes one batch and returns how many rows it deleted, or -1 if
-- another caller is pruning. It does not wait for the disk: rows that a crash
-- brings back have expired all the same.
-- name: ExpiryPrune :one
WITH quick AS (
    SELECT pg_catalog.set_config('synchronous_commit', 'off', true) AS done
)
SELECT coalesce(pgsession.prune_batch(@max_rows::integer), -1)::integer AS deleted
FROM quick WHERE quick.done = 'off';

-- ExpiryCount counts all sessions. It reads every row, so it is exact, and slow
-- on a large table.
-- name: ExpiryCount :one
SELECT
    pg_catalog.count(*) AS total,
    pg_catalog.count(*) FILTER (WHERE expires_at > pg_catalog.now()) AS active
FROM pgsession.sessions;

-- ExpiryEstimate costs the same on any table. Below 16 MiB it counts. Above,
-- the total is the planner's estimate, and it counts at most 10,000 expired
-- rows that the prune has yet to reach. The planner has no estimate, -1, of a
-- table that no ANALYZE has read: it is as dense as its first 100 pages.
-- name: ExpiryEstimate :one
WITH relation AS (
    SELECT
        pg_catalog.pg_relation_size(c.oid) AS bytes,
        pg_catalog.current_setting('block_size')::bigint AS block,
        CASE WHEN c.reltuples::double precision >= 0::double precision
            THEN c.reltuples::double precision / greatest(c.relpages, 1)::double precision
            ELSE (
                SELECT pg_catalog.count(*) FROM pgsession.sessions AS s
                WHERE s.ctid < '(100,0)'::tid
            )::double precision / 100::double precision
        END AS density
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = 'pgsession.sessions'::regclass::oid
)
SELECT
    (CASE WHEN r.bytes <= 16777216
        THEN (SELECT pg_catalog.count(*) FROM pgsession.sessions)
        ELSE r.density * (r.bytes / r.block)::double precision
    END)::bigint AS total,
    (CASE WHEN r.bytes <= 16777216
        THEN (
            SELECT pg_catalog.count(*) FROM pgsession.sessions
            WHERE expires_at <= pg_catalog.now()
        )
        ELSE pgsession.count_expired(10000::integer)
    END)::bigint AS expired,
    (r.bytes <= 16777216)::boolean AS exact
FROM relation AS r;

-- ExpiryLastPrune returns the time of the last prune, null before the first.
-- name: ExpiryLastPrune :one
SELECT p.last_prune_at, pg_catalog.now()::timestamptz AS asked_at
FROM (SELECT 1) AS always LEFT JOIN pgsession.prune_state AS p ON true;
