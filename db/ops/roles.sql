-- Four roles, each with the least it needs in the schema pgsession:
--
--   pgsession_owner    owns everything, migrates; nobody logs in as it
--   pgsession_app      the application
--   pgsession_pruner   prunes, from pg_cron or any other cron
--   pgsession_monitor  reads the views: counts and sizes, no ids and no data
--
-- Run it in the database with the sessions, after `migrate up`, and again after every migration: it takes back what
-- every role has in the schema and grants what these four need, in one transaction. It needs a superuser, or the role that
-- migrated so far, with CREATEROLE. A superuser who takes the schema over from another role names it first, if they trust it:
-- SET pgsession.trusted_owner = 'that_role'. The roles that log in have no password until you give them one:
-- \password pgsession_app.
--
-- `migrate -schema NAME ops roles` prints this file for a schema of another name, after which all else is named, too.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

DO $$
DECLARE
    object pg_catalog.text;
    owner  pg_catalog.oid;
BEGIN
    IF pg_catalog.to_regprocedure('pgsession.prune(bigint,bigint,bigint,bigint)') IS NULL THEN
        RAISE EXCEPTION 'database % has no schema pgsession of this version: run `migrate up` first', pg_catalog.current_database();
    END IF;

    -- The owner of a table, a function or a type of the schema can leave code there
    -- that runs with the rights of others, now or much later. The checks below find
    -- mistakes; no list finds all that can be done on purpose. So a superuser names
    -- the roles that they trust, and no other one may have owned anything.
    SELECT pg_catalog.string_agg(DISTINCT r.rolname::pg_catalog.text, ', ') INTO object
    FROM (
        SELECT n.nspowner AS oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'pgsession'
        UNION ALL SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'pgsession'::regnamespace
        UNION ALL SELECT p.proowner FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'pgsession'::regnamespace
        UNION ALL SELECT t.typowner FROM pg_catalog.pg_type AS t WHERE t.typnamespace = 'pgsession'::regnamespace
    ) AS o JOIN pg_catalog.pg_roles AS r ON r.oid = o.oid
    WHERE NOT r.rolsuper AND r.rolname NOT IN ('pgsession_owner', current_user, session_user)
        AND r.rolname <> ALL (pg_catalog.string_to_array(coalesce(pg_catalog.current_setting('pgsession.trusted_owner', true), ''), ','));
    IF object IS NOT NULL THEN
        RAISE EXCEPTION 'schema pgsession has objects of %, who could have left code in it that runs with the rights of others', object
            USING HINT = pg_catalog.format('Nothing was changed. If you trust %s as you trust yourself, SET pgsession.trusted_owner = %L before this file. If not, make the schema anew as a superuser, as "An untrusted role" in docs/operations/roles.md says.', object, pg_catalog.replace(object, ', ', ','));
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
    SELECT pg_catalog.min(r.rolname::pg_catalog.text) INTO object FROM pg_catalog.pg_roles AS r
    WHERE r.rolsuper AND r.rolname IN ('pgsession_app', 'pgsession_pruner', 'pgsession_monitor');
    IF object IS NOT NULL THEN
        RAISE EXCEPTION 'role % exists and is a superuser: ALTER ROLE % NOSUPERUSER', object, object;
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

    -- Another role may have migrated, and may have left more than the migrations
    -- make: code that would run as the owner, or as the application.
    owner := 'pgsession_owner'::regrole;
    SELECT pg_catalog.string_agg(p.what, ', ' ORDER BY p.what COLLATE "C") INTO object
    FROM (
        -- The test TestRolesKnowTheRoutines says which hash is missing here.
        SELECT pg_catalog.concat('routine ', r.oid::regprocedure) AS what
        FROM pg_catalog.pg_proc AS r JOIN pg_catalog.pg_language AS l ON l.oid = r.prolang
        WHERE r.pronamespace = 'pgsession'::regnamespace AND r.proowner <> owner AND NOT EXISTS (
            SELECT FROM (VALUES
                ('pgsession.idle_deadline(interval,interval)', 'sql', false, 's', '',
                    '97675ec2b3a0753eddd8ee36911305f0e94ca47f84fa4619418ab83abc76bf90'),
                ('pgsession.methods_now(text)', 'sql', false, 's', '',
                    'd73c81f1e81d48f161b769e1bbfe4f0d2309d3289a556b12939643734404f4db'),
                ('pgsession.prune_batch(integer)', 'plpgsql', true, 'v',
                    'search_path=pg_catalog, pg_temp;jit=off;enable_seqscan=off;enable_bitmapscan=off;enable_sort=off;enable_hashjoin=off;enable_mergejoin=off;enable_indexscan=on;enable_indexonlyscan=on;enable_tidscan=on;enable_nestloop=on',
                    'fa7a081c7e477aad86d5aa9ce566057fd41741aeaa97a1c112df036d2b067822'),
                ('pgsession.count_expired(integer)', 'plpgsql', true, 's',
                    'search_path=pg_catalog, pg_temp;jit=off;enable_seqscan=off;enable_bitmapscan=off;enable_sort=off;enable_indexscan=on;enable_indexonlyscan=on',
                    '519062a271160fdf21d92dbd0d6da4859081ef14f51eb9da1265d013bd95381f'),
                ('pgsession.table_stats()', 'plpgsql', true, 's',
                    'search_path=pg_catalog, pg_temp;jit=off;enable_seqscan=off;enable_bitmapscan=off;enable_sort=off;enable_indexscan=on;enable_indexonlyscan=on',
                    'fe2bf42060cdb590a82b54c51d4fb4ed7a9a41fdba3219c3043d8006403f7099'),
                ('pgsession.count_by_state()', 'plpgsql', true, 's', 'search_path=pg_catalog, pg_temp',
                    'e24b3cdcf66e857b857f6fb7f80a92aa112b22b62c56b9c72b09190b3799f496'),
                ('pgsession.prune(bigint,bigint,bigint,bigint)', 'plpgsql', false, 'v', '',
                    '7abfe89e4f28d92bdb5fbe623a06be460a912dabf54db86929caf9cd5075e41c')
            ) AS known (signature, language, definer, volatility, settings, body)
            WHERE r.oid = pg_catalog.to_regprocedure(known.signature)::oid AND r.prosecdef = known.definer AND r.provolatile::text = known.volatility
                AND pg_catalog.concat(pg_catalog.array_to_string(r.proconfig, ';')) = known.settings AND l.lanname = known.language
                AND pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(r.prosrc, 'UTF8')), 'hex') = known.body
        )
        UNION ALL
        SELECT pg_catalog.concat('view or foreign table ', c.oid::regclass)
        FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner AND c.relkind IN ('v', 'm', 'f')
            AND c.relname NOT IN ('stats', 'sessions_by_state')
        UNION ALL
        -- A domain has a default and CHECKs of its own, which each insert runs.
        SELECT pg_catalog.concat('type ', t.oid::regtype)
        FROM pg_catalog.pg_type AS t LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem
        WHERE t.typnamespace = 'pgsession'::regnamespace AND t.typowner <> owner AND t.typrelid = 0 AND coalesce(e.typrelid, 0) = 0
        UNION ALL
        SELECT pg_catalog.concat('domain ', a.atttypid::regtype, ' of column ', c.oid::regclass, '.', a.attname)
        FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner AND t.typtype = 'd'
        UNION ALL
        -- ANALYZE runs the expressions of statistics as the owner of the table.
        SELECT pg_catalog.concat('statistics ', s.stxnamespace::regnamespace, '.', s.stxname)
        FROM pg_catalog.pg_statistic_ext AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
        WHERE c.relnamespace = 'pgsession'::regnamespace AND s.stxowner <> owner
        UNION ALL
        -- A publication, or a table without an identity, can make each delete fail.
        SELECT pg_catalog.concat('publication ', b.pubname, ' of ', c.oid::regclass)
        FROM pg_catalog.pg_publication AS b JOIN pg_catalog.pg_publication_rel AS p ON p.prpubid = b.oid
        JOIN pg_catalog.pg_class AS c ON c.oid = p.prrelid JOIN pg_catalog.pg_roles AS r ON r.oid = b.pubowner
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner AND NOT r.rolsuper
        UNION ALL
        SELECT pg_catalog.concat('replica identity of ', c.oid::regclass)
        FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relkind IN ('r', 'p') AND c.relowner <> owner AND c.relreplident NOT IN ('d', 'f')
        UNION ALL
        SELECT pg_catalog.concat('trigger ', t.tgname, ' on ', c.oid::regclass)
        FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner AND NOT t.tgisinternal
        UNION ALL
        SELECT pg_catalog.concat('rule ', w.rulename, ' on ', c.oid::regclass)
        FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner AND w.rulename <> '_RETURN'
        UNION ALL
        SELECT pg_catalog.concat('policy ', y.polname, ' on ', c.oid::regclass)
        FROM pg_catalog.pg_policy AS y JOIN pg_catalog.pg_class AS c ON c.oid = y.polrelid
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner
        UNION ALL
        -- Rows of a table that inherits are sessions, and a foreign key keeps them.
        SELECT pg_catalog.concat('table ', k.oid::regclass, ' that inherits from ', c.oid::regclass)
        FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhparent
        JOIN pg_catalog.pg_class AS k ON k.oid = i.inhrelid
        WHERE c.relnamespace = 'pgsession'::regnamespace AND c.relkind IN ('r', 'p') AND k.relnamespace <> c.relnamespace AND k.relowner <> owner
        UNION ALL
        SELECT pg_catalog.concat('foreign key ', k.conname, ' of ', k.conrelid::regclass)
        FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.confrelid
        WHERE k.contype = 'f' AND c.relnamespace = 'pgsession'::regnamespace AND c.relowner <> owner
        UNION ALL
        -- ANALYZE calls the functions of an index as the owner of its table.
        SELECT pg_catalog.concat(i.type, ' ', i.identity, ' that ', o.what, ' uses')
        FROM (
            SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid, c.relowner AS held_by, pg_catalog.concat(c.oid::regclass) AS what
            FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT 'pg_catalog.pg_attrdef'::regclass::oid, f.oid, c.relowner, pg_catalog.concat('a default of ', c.oid::regclass)
            FROM pg_catalog.pg_attrdef AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.adrelid WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT 'pg_catalog.pg_rewrite'::regclass::oid, w.oid, c.relowner, pg_catalog.concat(c.oid::regclass)
            FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, c.relowner, pg_catalog.concat('constraint ', k.conname)
            FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
            WHERE k.connamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT 'pg_catalog.pg_proc'::regclass::oid, r.oid, r.proowner, pg_catalog.concat(r.oid::regprocedure)
            FROM pg_catalog.pg_proc AS r WHERE r.pronamespace = 'pgsession'::regnamespace
        ) AS o
        JOIN pg_catalog.pg_depend AS d ON d.classid = o.class AND d.objid = o.oid
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) AS i
        WHERE o.held_by <> owner AND pg_catalog.btrim(i.schema, '"') NOT IN ('pg_catalog', 'pgsession') AND d.refclassid IN (
            'pg_catalog.pg_proc'::regclass::oid, 'pg_catalog.pg_operator'::regclass::oid, 'pg_catalog.pg_type'::regclass::oid,
            'pg_catalog.pg_opclass'::regclass::oid, 'pg_catalog.pg_collation'::regclass::oid,
            CASE o.class WHEN 'pg_catalog.pg_rewrite'::regclass::oid THEN 'pg_catalog.pg_class'::regclass::oid END
        )
        UNION ALL
        -- Postgres records no dependency on a built-in function. query_to_xml and its
        -- like run any text; an immutable function runs nothing. The list of names is
        -- that of internal/schema.
        SELECT DISTINCT pg_catalog.concat('function ', f.proname, ' that ', e.what, ' calls')
        FROM (
            SELECT pg_catalog.concat('a default of ', c.oid::regclass) AS what, c.relowner AS held_by, d.adbin::pg_catalog.text AS tree
            FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT pg_catalog.concat('constraint ', k.conname), c.relowner, k.conbin::pg_catalog.text
            FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid WHERE k.connamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT pg_catalog.concat(c.oid::regclass), c.relowner, w.ev_action::pg_catalog.text
            FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT pg_catalog.concat('an argument of ', r.oid::regprocedure), r.proowner, r.proargdefaults::pg_catalog.text
            FROM pg_catalog.pg_proc AS r WHERE r.pronamespace = 'pgsession'::regnamespace
        ) AS e
        CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS m (ids)
        JOIN pg_catalog.pg_proc AS f ON f.oid = m.ids[1]::oid
        WHERE e.held_by <> owner AND f.pronamespace = 'pg_catalog'::regnamespace AND f.provolatile <> 'i'
            AND f.proname::pg_catalog.text !~ '^(now|(timestamp|date|time|interval)[a-z_]*|[a-z]+_timestamp|gen_random_uuid|nextval|pg_current_xact_id|pg_(column|table|indexes|relation|total_relation)_size|pg_stat_get_[a-z_]+)$'
    ) AS p;
    IF object IS NOT NULL THEN
        RAISE EXCEPTION 'no migration of this version made it so: %', object
            USING HINT = 'Nothing was changed. DROP what you do not know; what is yours you can make again afterwards, as a superuser. Of a function of ours, the body or a setting is another: make the schema anew, or run the roles.sql of the version that migrated.';
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

-- Every role loses what it has, with what it passed on: a role that migrated
-- before may have granted anything to anybody. CASCADE reaches what one grantee
-- granted to the next, so a later line may find nothing left.
DO $$
DECLARE
    line pg_catalog.text;
BEGIN
    FOR line IN
        SELECT DISTINCT pg_catalog.format('%s FROM %s CASCADE', g.what, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname::text) END)
        FROM (
            SELECT 'REVOKE ALL ON SCHEMA pgsession' AS what, a.grantee, n.nspowner AS owner
            FROM pg_catalog.pg_namespace AS n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a
            WHERE n.nspname = 'pgsession'
            UNION ALL
            SELECT pg_catalog.format('REVOKE ALL ON %s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass), a.grantee, c.relowner
            FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
            WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            -- With a right on the table goes that on its columns.
            SELECT pg_catalog.format('REVOKE ALL ON TABLE %s', c.oid::regclass), a.grantee, c.relowner
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_attribute AS t ON t.attrelid = c.oid
            CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS a
            WHERE c.relnamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT pg_catalog.format('REVOKE ALL ON ROUTINE %s', p.oid::regprocedure), a.grantee, p.proowner
            FROM pg_catalog.pg_proc AS p CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
            WHERE p.pronamespace = 'pgsession'::regnamespace
            UNION ALL
            SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE ALL ON %s', d.defaclrole::regrole,
                CASE d.defaclnamespace WHEN 0 THEN '' ELSE ' IN SCHEMA pgsession' END,
                CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END), a.grantee, d.defaclrole
            FROM pg_catalog.pg_default_acl AS d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a
            WHERE d.defaclobjtype IN ('r', 'S', 'f', 'T') AND pg_catalog.pg_has_role(d.defaclrole, 'USAGE')
                AND (d.defaclnamespace = 'pgsession'::regnamespace OR d.defaclnamespace = 0 AND d.defaclrole = 'pgsession_owner'::regrole)
        ) AS g
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = g.grantee
        WHERE g.grantee <> g.owner
    LOOP
        EXECUTE line;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA pgsession TO pgsession_app, pgsession_pruner, pgsession_monitor;

-- The application. Not UPDATE of everything: a session's id and its age are not to be changed.
GRANT SELECT, INSERT, DELETE ON pgsession.sessions TO pgsession_app;
GRANT UPDATE (
    version, last_seen_at, expires_at, absolute_expires_at, authenticated_at, pending_since, login_id, user_id, ip,
    user_agent, data, pending_user_id, methods, tags
) ON pgsession.sessions TO pgsession_app;
-- A mark has the time of the server: one from the future would refuse each login
-- until then.
GRANT SELECT, INSERT (id, key) ON pgsession.marks TO pgsession_app;
-- An ending has the time of the server too: the prune would keep one from the
-- future.
GRANT SELECT, INSERT (id, reason) ON pgsession.endings TO pgsession_app;
-- Without UPDATE a role can't lock a row. The first lock inserts all rows.
GRANT SELECT, INSERT (n), UPDATE (n) ON pgsession.locks TO pgsession_app;
-- Used with Citus alone.
GRANT SELECT, INSERT, DELETE, UPDATE (written_at, expires_at) ON pgsession.user_sessions TO pgsession_app;
-- An event has the transaction and the time of the server, and stays as it is.
GRANT SELECT, INSERT (
    kind, user_id, session, login_id, level, ip, user_agent, methods, reason, actor, detail, count
) ON pgsession.events TO pgsession_app;
GRANT SELECT ON pgsession.prune_state TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.idle_deadline(interval, interval) TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.methods_now(text) TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO pgsession_app;
GRANT EXECUTE ON FUNCTION pgsession.count_expired(integer) TO pgsession_app, pgsession_monitor;

-- The pruner can read no session and delete none that has not expired: the function does it, with its owner's rights.
GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO pgsession_pruner;
GRANT EXECUTE ON PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) TO pgsession_pruner;

-- The monitor. The columns are for alarms.sql.
GRANT SELECT ON pgsession.stats, pgsession.sessions_by_state TO pgsession_monitor;
-- The views call these with the rights of the reader.
GRANT EXECUTE ON FUNCTION pgsession.table_stats() TO pgsession_monitor;
GRANT EXECUTE ON FUNCTION pgsession.count_by_state() TO pgsession_monitor;
GRANT SELECT (expires_at) ON pgsession.sessions TO pgsession_monitor;
GRANT SELECT (reached_at) ON pgsession.prune_state TO pgsession_monitor;
GRANT SELECT (revoked_at) ON pgsession.marks TO pgsession_monitor;
GRANT SELECT (at) ON pgsession.events TO pgsession_monitor;

-- The last resort behind the deadlines of the library, also through a pooler. They hold for who logs in as the role
-- itself: a member of it does not inherit settings.
ALTER ROLE pgsession_app SET statement_timeout = '30s';
ALTER ROLE pgsession_app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_pruner SET lock_timeout = '10s';
ALTER ROLE pgsession_pruner SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_monitor SET statement_timeout = '30s';
ALTER ROLE pgsession_monitor SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_monitor SET default_transaction_read_only = on;

COMMIT;
