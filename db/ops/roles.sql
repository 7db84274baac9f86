-- Four roles, each with the least it needs in the schema pgsession:
--
--   pgsession_owner    owns everything, migrates; nobody logs in as it
--   pgsession_app      the application
--   pgsession_pruner   prunes, from pg_cron or any other cron
--   pgsession_monitor  reads the views: counts and sizes, no ids and no data
--
-- Run it in the database with the sessions, after `migrate up`, and again after every migration: it takes back what
-- these roles have in the schema and grants what they need, in one transaction. It needs a superuser, or the role that
-- migrated so far, with CREATEROLE. The roles that log in have no password until you give them one:
-- \password pgsession_app.
--
-- `migrate -schema NAME ops roles` prints this file for a schema of another name, after which all else is named, too.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

DO $$
DECLARE
    object pg_catalog.text;
BEGIN
    IF pg_catalog.to_regprocedure('pgsession.prune(bigint,bigint,bigint,bigint)') IS NULL THEN
        RAISE EXCEPTION 'database % has no schema pgsession of this version: run `migrate up` first', pg_catalog.current_database();
    END IF;

    -- Roles belong to the whole server: another database may have made them. Who can
    -- act as the owner can change what the owner's code does, and a migration runs
    -- with the rights of the caller. On Citus the owner logs in to the nodes.
    SELECT CASE
        WHEN o.rolsuper THEN 'is a superuser: ALTER ROLE pgsession_owner NOSUPERUSER'
        WHEN o.rolcanlogin AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')
            THEN 'can log in: ALTER ROLE pgsession_owner NOLOGIN'
        ELSE (
            SELECT pg_catalog.format('has the member %I: REVOKE pgsession_owner FROM %1$I, or run this file as %1$I', r.rolname)
            FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
            WHERE m.roleid = o.oid AND NOT r.rolsuper AND r.rolname NOT IN (current_user, session_user)
            ORDER BY r.rolname LIMIT 1
        ) END
    INTO object FROM pg_catalog.pg_roles AS o WHERE o.rolname = 'pgsession_owner';
    IF object IS NOT NULL THEN
        RAISE EXCEPTION 'role pgsession_owner exists and %', object;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_owner') THEN
        CREATE ROLE pgsession_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_app') THEN
        CREATE ROLE pgsession_app LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_pruner') THEN
        CREATE ROLE pgsession_pruner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_monitor') THEN
        CREATE ROLE pgsession_monitor LOGIN;
    END IF;

    -- Without this, whoever is no superuser could not hand anything over, nor migrate as the owner later. Not MEMBER: since
    -- Postgres 16 who makes a role is a member of it that may grant it, and no more.
    IF NOT pg_catalog.pg_has_role('pgsession_owner', 'USAGE') THEN
        EXECUTE pg_catalog.format('GRANT pgsession_owner TO %I', current_user);
    END IF;
    FOR object IN
        SELECT 'SCHEMA pgsession' FROM pg_catalog.pg_namespace
        WHERE nspname = 'pgsession' AND nspowner <> 'pgsession_owner'::regrole
        UNION ALL
        SELECT pg_catalog.format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass) FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relowner <> 'pgsession_owner'::regrole
        UNION ALL
        SELECT pg_catalog.format('ROUTINE %s', p.oid::regprocedure) FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'pgsession'::regnamespace AND p.proowner <> 'pgsession_owner'::regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER %s OWNER TO pgsession_owner', object);
    END LOOP;

    -- A superuser's migration refuses a version table that a role with fewer rights
    -- owns, and that role no longer owns the schema. It must be a plain table: the
    -- migration checks that.
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        SELECT r.rolname INTO object
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
        WHERE c.oid = pg_catalog.to_regclass('public.pgsession_migrations')::oid AND NOT r.rolsuper;
        IF FOUND THEN
            ALTER TABLE public.pgsession_migrations OWNER TO CURRENT_USER;
        END IF;
    END IF;

    -- In this database alone, and before any other setting. The statements name what
    -- they use, so an application of its own role may have a path of its own: it is
    -- kept. Without this line a schema of the role's name would come before public.
    FOR object IN
        SELECT r.rolname FROM pg_catalog.pg_roles AS r
        WHERE r.rolname IN ('pgsession_owner', 'pgsession_app', 'pgsession_pruner', 'pgsession_monitor')
            AND NOT (r.rolname = 'pgsession_app' AND EXISTS (
                SELECT FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN pg_catalog.unnest(s.setconfig) AS c
                WHERE s.setrole = r.oid AND s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
                    AND c ~~ 'search_path=%'
            ))
    LOOP
        EXECUTE pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET search_path = pg_catalog, pg_temp', object, pg_catalog.current_database());
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA pgsession FROM PUBLIC, pgsession_app, pgsession_pruner, pgsession_monitor;
REVOKE ALL ON ALL TABLES IN SCHEMA pgsession FROM PUBLIC, pgsession_app, pgsession_pruner, pgsession_monitor;
REVOKE ALL ON ALL ROUTINES IN SCHEMA pgsession FROM PUBLIC, pgsession_app, pgsession_pruner, pgsession_monitor;

GRANT USAGE ON SCHEMA pgsession TO pgsession_app, pgsession_pruner, pgsession_monitor;

-- The application. Not UPDATE of everything: a session's id, its age and its last deadline are not to be changed.
GRANT SELECT, INSERT, DELETE ON pgsession.sessions TO pgsession_app;
GRANT UPDATE (version, last_seen_at, expires_at, authenticated_at, user_id, ip, user_agent, data) ON pgsession.sessions TO pgsession_app;
-- A mark has the time of the server: one from the future would refuse each login
-- until then.
GRANT SELECT, INSERT (id, key) ON pgsession.marks TO pgsession_app;
GRANT SELECT ON pgsession.prune_state TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.count_expired(integer) TO pgsession_app, pgsession_monitor;

-- The pruner can read no session and delete none that has not expired: the function does it, with its owner's rights.
GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO pgsession_pruner;
GRANT EXECUTE ON PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) TO pgsession_pruner;

-- The monitor. The columns are for alarms.sql.
GRANT SELECT ON pgsession.stats, pgsession.sessions_by_state TO pgsession_monitor;
GRANT SELECT (expires_at) ON pgsession.sessions TO pgsession_monitor;
GRANT SELECT (reached_at) ON pgsession.prune_state TO pgsession_monitor;
GRANT SELECT (revoked_at) ON pgsession.marks TO pgsession_monitor;

-- The owner, for later migrations: goose's own table lies outside the schema.
GRANT SELECT, INSERT, DELETE ON public.pgsession_migrations TO pgsession_owner;

-- The last resort behind the deadlines of the library, also through a pooler. They hold for who logs in as the role
-- itself: a member of it does not inherit settings.
ALTER ROLE pgsession_app SET statement_timeout = '30s';
ALTER ROLE pgsession_app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_pruner SET lock_timeout = '10s';
ALTER ROLE pgsession_monitor SET statement_timeout = '30s';
ALTER ROLE pgsession_monitor SET default_transaction_read_only = on;

COMMIT;
