-- Distributes the table of sessions over the nodes of a Citus cluster, by id, and table user_sessions by user, after it has made
-- an entry there for each session of a user. integration/citus runs it, and the library on what it makes, on Citus 13.2 with
-- Postgres 15; what that costs and what does not work there is in docs/operations/citus.md.
--
-- Run it on the coordinator, in the database with the sessions, after `migrate up` and roles.sql. It can be run again, and while
-- the application runs: the rows that are there are copied, and writes wait for it. Run it again after a restore of rows. `SET citus.shard_count = 8` before
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
    -- From here to the commit no statement writes a session. One that waits is
    -- planned anew then, and Citus refuses it if it would make no entry. Each
    -- statement here must see what committed before the lock.
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the isolation of this transaction is %, so nothing was distributed: run this file in READ COMMITTED',
            pg_catalog.current_setting('transaction_isolation');
    END IF;
    LOCK TABLE pgsession.sessions IN EXCLUSIVE MODE;
    INSERT INTO pgsession.user_sessions AS u (user_id, id, written_at, expires_at)
    SELECT pg_catalog.convert_to(coalesce(s.user_id, s.pending_user_id), 'UTF8'), s.id, pg_catalog.now(), s.absolute_expires_at
    FROM pgsession.sessions AS s
    WHERE s.user_id IS NOT NULL OR s.pending_user_id IS NOT NULL
    ON CONFLICT (user_id, id) DO UPDATE SET
        written_at = excluded.written_at, expires_at = greatest(u.expires_at, excluded.expires_at);
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'pgsession.sessions'::regclass) THEN
        PERFORM pg_catalog.create_distributed_table('pgsession.sessions', 'id', colocate_with => CASE
            WHEN EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'pgsession.user_sessions'::regclass)
            THEN 'pgsession.user_sessions' ELSE 'none' END);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'pgsession.user_sessions'::regclass) THEN
        PERFORM pg_catalog.create_distributed_table('pgsession.user_sessions', 'user_id', colocate_with => 'pgsession.sessions');
    END IF;
END
$$;
