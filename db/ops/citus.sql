-- Distributes the table of sessions over the nodes of a Citus cluster, by id. integration/citus runs it, and the library on what
-- it makes, on Citus 13.2 with Postgres 15; what that costs and what does not work there is in docs/operations/citus.md.
--
-- Run it on the coordinator, in the database with the sessions, after `migrate up` and roles.sql. It can be run again, and while
-- the application runs: the rows that are there are copied, and whoever writes waits for it. `SET citus.shard_count = 8` before
-- it decides about the number of shards; Citus's default is 32.
--
-- The owner of the table must be able to log in to every node, as must the application's role: Citus connects to the nodes as
-- whoever runs a statement, and prune_batch runs as the owner. All other tables stay on the coordinator, and the row of
-- prune_state is the lock of the prune: prune there, and connect applications there.

DO $$
DECLARE
    owner   pg_catalog.name;
    routine pg_catalog.regprocedure;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'Citus is not in database %, so nothing was distributed: CREATE EXTENSION citus on every node first', pg_catalog.current_database();
    END IF;
    IF pg_catalog.to_regclass('pgsession.sessions') IS NULL THEN
        RAISE EXCEPTION 'database % has no table pgsession.sessions, so nothing was distributed: run `migrate up` first', pg_catalog.current_database();
    END IF;
    -- Citus connects to the nodes as whoever runs a statement, and prune_batch runs as its owner (citusdata/citus issue 7719).
    SELECT r.rolname INTO owner FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
    WHERE c.oid = 'pgsession.sessions'::regclass AND NOT r.rolcanlogin;
    IF FOUND THEN
        RAISE EXCEPTION 'role %, which owns the sessions, can not log in to the nodes and so not prune, so nothing was distributed: ALTER ROLE % LOGIN', owner, owner;
    END IF;

    IF pg_catalog.to_regnamespace('pgsession_support') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema pgsession_support is there, whose statements are those for one Postgres, so nothing was distributed: DROP SCHEMA pgsession_support CASCADE, and use the command `pgsession revoke`';
    END IF;

    -- A rotation calls these functions on the node of its session. The nodes have
    -- them already if the extension was there before `migrate up`.
    FOR routine IN
        SELECT r.oid FROM pg_catalog.pg_proc AS r
        WHERE r.oid IN (
            'pgsession.idle_deadline(interval,interval)'::regprocedure,
            'pgsession.methods_now(text)'::regprocedure
        ) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_dist_object AS d
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = r.oid
        )
    LOOP
        PERFORM pg_catalog.create_distributed_function(routine);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'pgsession.sessions'::regclass) THEN
        PERFORM pg_catalog.create_distributed_table('pgsession.sessions', 'id', colocate_with => 'none');
    END IF;
END
$$;
