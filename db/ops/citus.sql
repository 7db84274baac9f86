-- Distributes the table of sessions over the nodes of a Citus cluster, by id. The tests in
-- integration/citus run it, and the library on what it makes, on a real Citus.
--
-- Run it on the coordinator, in the database with the sessions, after `migrate up` and before the application has many:
-- the rows that are there are copied, and nothing can be written meanwhile. It can be run again.
--
-- What is known, from Citus's sources and issues: prune_state stays a table of the coordinator, and its row is the lock
-- of the prune, so prune there. Citus checks the rights on shards as whoever asks, so the views need a role that may
-- read the table (citusdata/citus issues 1683 and 6161). It refuses FOR UPDATE over several shards, so on a distributed
-- table the library sends a statement for each session in place of one for many.

DO $$
DECLARE
    owner name;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'Citus is not in database %, so nothing was distributed: CREATE EXTENSION citus on every node first', current_database();
    END IF;
    IF to_regclass('pgsession.sessions') IS NULL THEN
        RAISE EXCEPTION 'database % has no table pgsession.sessions, so nothing was distributed: run `migrate up` first', current_database();
    END IF;
    -- Citus connects to the nodes as whoever runs a statement, and prune_batch runs as its owner (citusdata/citus issue 7719).
    SELECT r.rolname INTO owner FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
    WHERE c.oid = 'pgsession.sessions'::regclass AND NOT r.rolcanlogin;
    IF FOUND THEN
        RAISE EXCEPTION 'role %, which owns the sessions, can not log in to the nodes and so not prune, so nothing was distributed: ALTER ROLE % LOGIN', owner, owner;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'pgsession.sessions'::regclass) THEN
        PERFORM create_distributed_table('pgsession.sessions', 'id', colocate_with => 'none');
    END IF;
END
$$;
