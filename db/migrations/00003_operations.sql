-- For the people who run the database: a procedure that prunes in batches, and views to watch by. The library needs
-- none of it.

-- +goose Up

-- Looking at a table for a view waits for whoever has it locked, and everybody after waits for this migration then.
SET LOCAL lock_timeout = '3s';

-- Whoever may call it no longer needs rights on the tables: what it deletes is expired, whatever the caller wants.
-- Its search_path is pinned since 00002, which is what makes this safe.
ALTER FUNCTION pgsession.prune_batch(integer) SECURITY DEFINER;

-- A procedure that is SECURITY DEFINER or has a SET clause may not COMMIT. So this one runs as its caller and with the
-- caller's search_path, where anybody's operators may stand first: every function and operator in it names its schema,
-- and it does not use BETWEEN, IN and type names that would be looked up.
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
    IF max_rows IS NULL OR max_rows OPERATOR(pg_catalog.<) 1 OR max_rows OPERATOR(pg_catalog.>) 1000000000 THEN
        RAISE EXCEPTION 'pgsession.prune: max_rows must be between 1 and 1000000000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF max_seconds IS NULL OR max_seconds OPERATOR(pg_catalog.<) 1 OR max_seconds OPERATOR(pg_catalog.>) 86400 THEN
        RAISE EXCEPTION 'pgsession.prune: max_seconds must be between 1 and 86400'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF batch_rows IS NULL OR batch_rows OPERATOR(pg_catalog.<) 1 OR batch_rows OPERATOR(pg_catalog.>) 100000 THEN
        RAISE EXCEPTION 'pgsession.prune: batch_rows must be between 1 and 100000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    deleted := 0;
    ends := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => max_seconds);
    LOOP
        batch := LEAST(batch_rows, max_rows OPERATOR(pg_catalog.-) deleted);
        n := pgsession.prune_batch(batch);
        COMMIT; -- locks nothing while it goes on, and keeps what it has done if it is ended
        EXIT WHEN n IS NULL; -- another caller is at it
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
    'Deletes expired sessions, batch_rows in each transaction, until none is left, max_rows are deleted, max_seconds are over or another caller prunes. CALL it outside a transaction, alone';

-- Costs the same on any table: it counts 10,000 rows at most.
CREATE VIEW pgsession.stats AS
SELECT
    pg_catalog.pg_stat_get_live_tuples(t.relation) AS live_rows,
    pg_catalog.pg_stat_get_dead_tuples(t.relation) AS dead_rows,
    pg_catalog.pg_stat_get_tuples_updated(t.relation) AS updates,
    pg_catalog.pg_stat_get_tuples_hot_updated(t.relation) AS hot_updates,
    pg_catalog.pg_table_size(t.relation) AS table_bytes,
    pg_catalog.pg_indexes_size(t.relation) AS index_bytes,
    greatest(pg_catalog.pg_stat_get_last_vacuum_time(t.relation), pg_catalog.pg_stat_get_last_autovacuum_time(t.relation)) AS last_vacuum_at,
    (SELECT count(*) FROM (SELECT 1 FROM pgsession.sessions AS s WHERE s.expires_at <= now() LIMIT 10000) AS few) AS expired,
    (SELECT s.expires_at FROM pgsession.sessions AS s WHERE s.expires_at <= now() ORDER BY s.expires_at LIMIT 1) AS oldest_expired_at,
    p.last_prune_at,
    p.pruned_total,
    now() AS asked_at
FROM (SELECT 'pgsession.sessions'::regclass::oid AS relation) AS t
LEFT JOIN pgsession.prune_state AS p ON true;

COMMENT ON VIEW pgsession.stats IS 'One row about the table of sessions, cheap: sizes, dead rows, what is left to prune (10,000 at most are counted), the last prune. No ids, no data';

CREATE VIEW pgsession.sessions_by_state AS
SELECT d.state, count(s.state) AS sessions
FROM (SELECT unnest(ARRAY['anonymous', 'authenticated', 'expired']) AS state) AS d
LEFT JOIN (
    SELECT CASE WHEN expires_at <= now() THEN 'expired' WHEN user_id IS NULL THEN 'anonymous' ELSE 'authenticated' END AS state
    FROM pgsession.sessions
) AS s ON s.state = d.state
GROUP BY d.state;

COMMENT ON VIEW pgsession.sessions_by_state IS 'How many sessions are anonymous, authenticated and expired: exact, and reads the whole table';

-- +goose Down
SET LOCAL lock_timeout = '3s';

DROP VIEW pgsession.sessions_by_state;
DROP VIEW pgsession.stats;
DROP PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint);
ALTER FUNCTION pgsession.prune_batch(integer) SECURITY INVOKER;
