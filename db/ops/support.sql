-- Sessions by SQL, for support and for an auditor, in a schema of its own:
--
--   SELECT * FROM pgsession_support.sessions WHERE user_id = 'ada';      by an index
--   SELECT * FROM pgsession_support.sessions WHERE handle = '…';         reads the table
--   SELECT * FROM pgsession_support.logged_in;                           reads the table
--   CALL pgsession_support.revoke_user('ada');
--   CALL pgsession_support.revoke_handle('…');                           reads the table
--   CALL pgsession_support.revoke_before('2026-01-31 20:00+00');         reads the table
--   CALL pgsession_support.revoke_all();                                 reads the table
--   SELECT * FROM pgsession_support.events WHERE user_id = 'ada';        for pgsession_auditor
--
-- handle is that of lists of devices, of the log and of events. No index has it, which each login would have to write;
-- docs/operations/operator.md has the one that revoke_handle would use.
--
-- A revoke does what the library does, by the same statements: it adds a mark, which refuses the logins that are under
-- way, commits, and ends the sessions in batches. CALL it alone, outside of a transaction, and again after an error: it goes
-- on from there. Each is an event, with the role that logged in as its actor.
--
-- Redis learns nothing of it. An instance that has a cache may serve a session for its freshness, its grace and 250 ms
-- after it has ended; `pgsession revoke` tells Redis about one session, or all of a user.
--
-- The roles: pgsession_support reads sessions and logged_in and ends sessions, pgsession_auditor reads events. Both log in,
-- and have no password until you give them one. The application has no right here. No data of a session can be read, and
-- no id.
--
-- Run it after roles.sql, as a superuser, or as a member of pgsession_owner with CREATEROLE that may CREATE in the
-- database. It can be run again. `DROP SCHEMA pgsession_support CASCADE` undoes it; `migrate down` needs that first. With
-- Citus it refuses to run: its statements are those for one Postgres.
--
-- `pgsession ops support -schema NAME` prints this file for a schema of another name, after which all else is named, too.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

DO $$
DECLARE
    owned_by pg_catalog.name;
BEGIN
    SELECT pg_catalog.pg_get_userbyid(n.nspowner) INTO owned_by FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = pg_catalog.rtrim('pgsession.', '.');
    IF owned_by IS DISTINCT FROM 'pgsession_owner' THEN
        RAISE EXCEPTION 'the schema belongs to %: run roles.sql first', coalesce(owned_by::text, 'nobody, as it is not there');
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'Citus is installed, and these statements are those for one Postgres: use the command `pgsession revoke`';
    END IF;
    SELECT pg_catalog.pg_get_userbyid(n.nspowner) INTO owned_by FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'pgsession_support';
    IF owned_by <> 'pgsession_owner' THEN
        RAISE EXCEPTION 'a schema pgsession_support is there and belongs to %: drop it, or rename it', owned_by;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_support') THEN
        CREATE ROLE pgsession_support LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_auditor') THEN
        CREATE ROLE pgsession_auditor LOGIN;
    END IF;
    EXECUTE pg_catalog.format('ALTER ROLE pgsession_support IN DATABASE %I SET search_path = pg_catalog, pg_temp', pg_catalog.current_database());
    EXECUTE pg_catalog.format('ALTER ROLE pgsession_auditor IN DATABASE %I SET search_path = pg_catalog, pg_temp', pg_catalog.current_database());
END
$$;

ALTER ROLE pgsession_support SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_auditor SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pgsession_auditor SET default_transaction_read_only = on;

DROP SCHEMA IF EXISTS pgsession_support CASCADE;
CREATE SCHEMA pgsession_support AUTHORIZATION pgsession_owner;

-- The owner of the tables owns what reads them.
SET LOCAL ROLE pgsession_owner;

CREATE VIEW pgsession_support.sessions AS
SELECT
    pg_catalog.translate(pg_catalog.rtrim(pg_catalog.encode(substring(
        pg_catalog.sha256(pg_catalog.decode('706773657373696f6e2068616e646c6520763100', 'hex') || s.id) FROM 1 FOR 16
    ), 'base64'), '='), '+/', '-_') AS handle,
    s.user_id, s.pending_user_id, s.created_at, s.authenticated_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.ip, s.user_agent, s.login_id, s.methods
FROM pgsession.sessions AS s
WHERE s.expires_at > pg_catalog.now();

COMMENT ON VIEW pgsession_support.sessions IS
    'Live sessions by handle; pending_user_id is that of a login which waits for a second factor';

CREATE VIEW pgsession_support.logged_in AS
SELECT
    s.user_id, pg_catalog.count(*) AS sessions, pg_catalog.min(s.authenticated_at) AS first_login_at,
    pg_catalog.max(s.authenticated_at) AS last_login_at, pg_catalog.max(s.last_seen_at) AS last_seen_at
FROM pgsession.sessions AS s
WHERE s.user_id IS NOT NULL AND s.expires_at > pg_catalog.now()
GROUP BY s.user_id;

COMMENT ON VIEW pgsession_support.logged_in IS
    'Who is logged in, one row per user; last_seen_at is up to a minute before the last use';

CREATE VIEW pgsession_support.events AS
SELECT
    v.id, v.at, v.kind, v.user_id, v.session AS handle, v.login_id, v.level, v.methods, v.reason, v.actor, v.detail, v.count
FROM pgsession.events AS v;

COMMENT ON VIEW pgsession_support.events IS
    'What happened to sessions, where SESSION_RECORD_EVENTS is true, and each revoke by SQL: see docs/guides/events.md';

-- The statements of the library, letter by letter; a test compares them. Each
-- runs with the rights of the owner of the tables.
CREATE FUNCTION pgsession_support.mark_add(bytea, bytea) RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
WITH added AS (
    INSERT INTO pgsession.marks (id, key) VALUES ($1, $2)
    ON CONFLICT (id) DO NOTHING
    RETURNING revoked_at
)
SELECT
    coalesce(
        (SELECT a.revoked_at FROM added AS a),
        (SELECT m.revoked_at FROM pgsession.marks AS m WHERE m.id = $1)
    )::timestamptz AS revoked_at
$$;

CREATE FUNCTION pgsession_support.owner_revoke(text, text, bytea[], bytea, timestamptz, integer)
RETURNS TABLE (seen bytea, ids bytea[], waited text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
WITH bound AS MATERIALIZED (
    SELECT CASE WHEN $1::text <> ''::text
        THEN pg_catalog.set_config('lock_timeout'::text, $1::text, true)
        ELSE ''::text END AS lock_timeout
), found AS MATERIALIZED (
    SELECT f.id FROM (
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.user_id = $2::text
        UNION ALL
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.pending_user_id = $2::text
        UNION ALL
        SELECT s.id, s.expires_at, s.created_at FROM pgsession.sessions AS s
        WHERE s.tags OPERATOR(pg_catalog.&&) $3::bytea[]
    ) AS f
    WHERE f.id <> $4::bytea
        AND f.expires_at > pg_catalog.now() AND f.created_at <= $5::timestamptz
    LIMIT $6::integer
), locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE (SELECT b.lock_timeout FROM bound AS b) IS NOT NULL
        AND s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
        AND (s.user_id = $2::text OR s.pending_user_id = $2::text
            OR s.tags OPERATOR(pg_catalog.&&) $3::bytea[]) IS TRUE
        AND s.expires_at > pg_catalog.now()
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id
)
SELECT
    coalesce((SELECT f.id FROM found AS f LIMIT 1), ''::bytea)::bytea AS seen,
    ARRAY(SELECT gone.id FROM gone)::bytea[] AS ids,
    coalesce((
        SELECT pg_catalog.pg_logical_emit_message(true, 'pgsession'::text, ''::text)::text
        WHERE pg_catalog.current_setting('synchronous_standby_names'::text) <> ''::text
            AND NOT EXISTS (SELECT 1 FROM gone)
    ), ''::text)::text AS waited
$$;

CREATE FUNCTION pgsession_support.owner_revoke_handle(text, bytea, bytea) RETURNS SETOF bytea
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
WITH found AS MATERIALIZED (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.user_id = $1::text
        AND substring(pg_catalog.sha256($2::bytea || s.id) FROM 1 FOR 16)
            = $3::bytea
    UNION ALL
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.pending_user_id = $1::text
        AND substring(pg_catalog.sha256($2::bytea || s.id) FROM 1 FOR 16)
            = $3::bytea
), gone AS (
    DELETE FROM pgsession.sessions AS s
    WHERE s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
        AND (s.user_id = $1::text OR s.pending_user_id = $1::text) IS TRUE
        AND s.expires_at > pg_catalog.now()
    RETURNING s.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone
    ON CONFLICT (id) DO NOTHING
)
SELECT gone.id FROM gone
$$;

CREATE FUNCTION pgsession_support.session_delete(bytea, boolean) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
WITH gone AS (
    DELETE FROM pgsession.sessions AS d WHERE d.id = $1::bytea RETURNING d.id
), noted AS (
    INSERT INTO pgsession.endings (id, reason)
    SELECT gone.id, 'ended' FROM gone WHERE $2::boolean
    ON CONFLICT (id) DO NOTHING
)
SELECT pg_catalog.count(*) FROM gone
$$;

CREATE FUNCTION pgsession_support.all_find(bytea, timestamptz, integer) RETURNS SETOF bytea
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT s.id FROM pgsession.sessions AS s
WHERE s.id > $1::bytea AND s.created_at <= $2::timestamptz
ORDER BY s.id
LIMIT $3::integer
$$;

CREATE FUNCTION pgsession_support.all_revoke_found(bytea[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deleted bigint;
BEGIN
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id = ANY((SELECT $1::bytea[])::bytea[])
    ORDER BY s.id
    FOR UPDATE SKIP LOCKED
)
DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

CREATE FUNCTION pgsession_support.all_revoke(text, timestamptz)
RETURNS TABLE (seen bytea, revoked bigint, waited text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
WITH bound AS MATERIALIZED (
    SELECT pg_catalog.set_config('lock_timeout'::text, $1::text, true) AS lock_timeout
), found AS MATERIALIZED (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.created_at <= $2::timestamptz
    LIMIT 1
), locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE (SELECT b.lock_timeout FROM bound AS b) IS NOT NULL
        AND s.id = ANY(ARRAY(SELECT f.id FROM found AS f))
    ORDER BY s.id
    FOR UPDATE
), gone AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING 1
)
SELECT
    coalesce((SELECT f.id FROM found AS f LIMIT 1), ''::bytea)::bytea AS seen,
    (SELECT pg_catalog.count(*) FROM gone)::bigint AS revoked,
    coalesce((
        SELECT pg_catalog.pg_logical_emit_message(true, 'pgsession'::text, ''::text)::text
        WHERE pg_catalog.current_setting('synchronous_standby_names'::text) <> ''::text
            AND NOT EXISTS (SELECT 1 FROM gone)
    ), ''::text)::text AS waited
$$;

-- begin_revoke adds the mark and the event with which a revoke of many begins.
-- It returns until when a session began that the revoke ends. The key of a mark
-- is a hash over purpose and value, each after its length.
CREATE FUNCTION pgsession_support.begin_revoke(why text, who text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purpose bytea := CASE WHEN why = 'user' THEN 'user'::bytea ELSE 'all'::bytea END;
    value   bytea := ''::bytea;
    marked  timestamptz;
BEGIN
    IF why = 'user' THEN
        value := pg_catalog.convert_to(who, 'UTF8');
        IF who IS NULL OR pg_catalog.octet_length(value) NOT BETWEEN 1 AND 256 THEN
            RAISE EXCEPTION 'no session can have this user id: it has 1 to 256 bytes'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the id that the application passes to Login.';
        END IF;
    END IF;
    marked := pgsession_support.mark_add(
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
        pg_catalog.sha256(
            pg_catalog.int4send(pg_catalog.octet_length(purpose)) || purpose
            || pg_catalog.int4send(pg_catalog.octet_length(value)) || value
        )
    );
    INSERT INTO pgsession.events (kind, user_id, reason, actor)
    VALUES ('sessions revoked', CASE WHEN why = 'user' THEN who END, why, session_user);
    RETURN marked + interval '250 milliseconds';
END
$$;

CREATE FUNCTION pgsession_support.end_revoke(why text, who text, ended bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO pgsession.events (kind, user_id, reason, actor, count)
    VALUES ('sessions revoked', who, why, session_user, ended)
$$;

-- A procedure that ends many commits after each batch, so it may neither be
-- SECURITY DEFINER nor have a SET clause. It runs with its caller's search_path,
-- and names the schema of each function and operator.
CREATE PROCEDURE pgsession_support.revoke_user(user_id text, INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
DECLARE
    until timestamp with time zone;
    r     record;
    stuck boolean := false;
BEGIN
    ended := 0;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    until := pgsession_support.begin_revoke('user', user_id);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        BEGIN
            SELECT o.seen, pg_catalog.cardinality(o.ids) AS n INTO r
            FROM pgsession_support.owner_revoke('10000', user_id, NULL, '', until, 1000) AS o;
        EXCEPTION WHEN lock_not_available OR query_canceled THEN
            RAISE EXCEPTION '% sessions ended, then: %', ended, SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'pg_stat_activity and pg_blocking_pids show who holds a row of the user. End that, and CALL again.';
        END;
        ended := ended OPERATOR(pg_catalog.+) r.n;
        EXIT WHEN pg_catalog.octet_length(r.seen) OPERATOR(pg_catalog.=) 0;
        -- A session that got a new token meanwhile is seen once, and not deleted.
        IF r.n OPERATOR(pg_catalog.>) 0 THEN
            RAISE NOTICE '% sessions ended so far', ended;
            stuck := false;
        ELSIF stuck THEN
            RAISE EXCEPTION '% sessions ended, then a rule or a trigger kept one', ended;
        ELSE
            stuck := true;
        END IF;
    END LOOP;
    PERFORM pgsession_support.end_revoke('user', user_id, ended);
END
$$;

-- revoke_many ends the sessions that began before a time.
CREATE PROCEDURE pgsession_support.revoke_many(why text, before timestamptz, INOUT ended bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    until timestamp with time zone;
    after pg_catalog.bytea := '';
    ids   pg_catalog.bytea[];
    r     record;
    stuck boolean := false;
BEGIN
    ended := 0;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    until := least(
        before OPERATOR(pg_catalog.-) interval '1 microsecond', pgsession_support.begin_revoke(why, NULL)
    );
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        SELECT pg_catalog.array_agg(f.id ORDER BY f.id) INTO ids
        FROM pgsession_support.all_find(after, until, 1000) AS f(id);
        EXIT WHEN ids IS NULL;
        after := ids[pg_catalog.cardinality(ids)];
        ended := ended OPERATOR(pg_catalog.+) pgsession_support.all_revoke_found(ids);
        RAISE NOTICE '% sessions ended so far', ended;
    END LOOP;
    -- Those that were locked, or got a new token meanwhile.
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        BEGIN
            SELECT o.seen, o.revoked AS n INTO r FROM pgsession_support.all_revoke('10000', until) AS o;
        EXCEPTION WHEN lock_not_available OR query_canceled THEN
            RAISE EXCEPTION '% sessions ended, then: %', ended, SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'pg_stat_activity and pg_blocking_pids show who holds a row. End that, and CALL again.';
        END;
        ended := ended OPERATOR(pg_catalog.+) r.n;
        EXIT WHEN pg_catalog.octet_length(r.seen) OPERATOR(pg_catalog.=) 0;
        IF r.n OPERATOR(pg_catalog.>) 0 THEN
            stuck := false;
        ELSIF stuck THEN
            RAISE EXCEPTION '% sessions ended, then a rule or a trigger kept one', ended;
        ELSE
            stuck := true;
        END IF;
    END LOOP;
    PERFORM pgsession_support.end_revoke(why, NULL, ended);
END
$$;

CREATE PROCEDURE pgsession_support.revoke_before(at timestamptz, INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
BEGIN
    IF at IS NULL OR NOT pg_catalog.isfinite(at) OR at OPERATOR(pg_catalog.>) pg_catalog.now() THEN
        RAISE EXCEPTION 'the time must be in the past'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For all sessions CALL revoke_all.';
    END IF;
    CALL pgsession_support.revoke_many('before', at, ended);
END
$$;

CREATE PROCEDURE pgsession_support.revoke_all(INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pgsession_support.revoke_many('all', 'infinity', ended);
END
$$;

-- revoke_handle ends one session, as a user does in a list of devices.
CREATE PROCEDURE pgsession_support.revoke_handle(handle text, INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    half  bytea;
    whose text;
    which bytea;
    login uuid;
BEGIN
    IF handle IS NULL OR handle !~ '^[A-Za-z0-9_-]{22}$' THEN
        RAISE EXCEPTION 'a handle has 22 letters, digits, - and _'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Lists of devices, logs and events have it. A token is none.';
    END IF;
    half := pg_catalog.decode(pg_catalog.translate(handle, '-_', '+/') || '==', 'base64');
    SELECT s.id, coalesce(s.user_id, s.pending_user_id), s.login_id INTO which, whose, login
    FROM pgsession.sessions AS s
    WHERE s.expires_at > pg_catalog.now() AND substring(pg_catalog.sha256(pg_catalog.decode('706773657373696f6e2068616e646c6520763100', 'hex') || s.id) FROM 1 FOR 16) = half;
    IF which IS NULL THEN
        RAISE EXCEPTION 'no live session has this handle'
            USING ERRCODE = 'no_data_found', HINT = 'It has ended or expired, or a login gave it another handle: look for the user in pgsession_support.sessions.';
    END IF;
    IF whose IS NULL THEN
        ended := pgsession_support.session_delete(which, true);
    ELSE
        SELECT pg_catalog.count(*) INTO ended
        FROM pgsession_support.owner_revoke_handle(whose, pg_catalog.decode('706773657373696f6e2068616e646c6520763100', 'hex'), half);
    END IF;
    IF ended > 0 AND whose IS NOT NULL THEN
        INSERT INTO pgsession.events (kind, user_id, session, login_id, reason, actor)
        VALUES ('sessions revoked', whose, handle, login, 'handle', session_user);
    END IF;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA pgsession_support FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA pgsession_support FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsession_support TO pgsession_support, pgsession_auditor;
GRANT SELECT ON pgsession_support.sessions, pgsession_support.logged_in TO pgsession_support;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgsession_support TO pgsession_support;
GRANT SELECT ON pgsession_support.events TO pgsession_auditor;

COMMIT;
