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
-- on from there. Each is an event before the first session ends, with the role that logged in as its actor.
--
-- Redis learns nothing of it. An instance that has a cache may serve a session for its freshness, its grace and 250 ms
-- after it has ended; `pgsession revoke` tells Redis about one session, or all of a user.
--
-- The roles: pgsession_support reads sessions and logged_in and ends sessions, pgsession_auditor reads events. Both log in,
-- and have no password until you give them one. The application has no right here. No data of a session can be read, and
-- no id: a routine that takes or returns one is for the owner alone.
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
        RAISE EXCEPTION 'the schema belongs to %: run roles.sql first', coalesce(owned_by::text, 'no role, as it is missing');
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

-- The owner of the tables owns what reads them. Without a barrier a function of a
-- caller would see rows that a view leaves out.
SET LOCAL ROLE pgsession_owner;

CREATE VIEW pgsession_support.sessions WITH (security_barrier) AS
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

CREATE VIEW pgsession_support.logged_in WITH (security_barrier) AS
SELECT
    s.user_id, pg_catalog.count(*) AS sessions, pg_catalog.min(s.authenticated_at) AS first_login_at,
    pg_catalog.max(s.authenticated_at) AS last_login_at, pg_catalog.max(s.last_seen_at) AS last_seen_at
FROM pgsession.sessions AS s
WHERE s.user_id IS NOT NULL AND s.expires_at > pg_catalog.now()
GROUP BY s.user_id;

COMMENT ON VIEW pgsession_support.logged_in IS
    'Who is logged in, one row per user; last_seen_at is up to a minute before the last use';

CREATE VIEW pgsession_support.events WITH (security_barrier) AS
SELECT
    v.id, v.at, v.kind, v.user_id, v.session AS handle, v.login_id, v.level, v.ip, v.user_agent, v.methods, v.reason,
    v.actor, v.detail, v.count
FROM pgsession.events AS v;

COMMENT ON VIEW pgsession_support.events IS
    'What happened to sessions, where SESSION_RECORD_EVENTS is true, and each revoke by SQL: see docs/guides/events.md';

-- The statements of the library, letter by letter; a test compares them. They
-- run as their caller, and only the owner may call them: they take and return
-- ids, and record no event.
CREATE FUNCTION pgsession_support.mark_add(bytea, bytea) RETURNS timestamptz
LANGUAGE sql SET search_path = pg_catalog, pg_temp
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

CREATE FUNCTION pgsession_support.owner_find(text, bytea[], bytea, bytea, timestamptz, integer) RETURNS SETOF bytea
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
SELECT f.id FROM (
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.user_id = $1::text
    UNION ALL
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.pending_user_id = $1::text
    UNION ALL
    SELECT s.id, s.created_at FROM pgsession.sessions AS s
    WHERE s.tags OPERATOR(pg_catalog.&&) $2::bytea[]
    OFFSET 0
) AS f
WHERE f.id > $3::bytea AND f.id <> $4::bytea
    AND f.created_at <= $5::timestamptz
ORDER BY f.id
LIMIT $6::integer
$$;

CREATE FUNCTION pgsession_support.owner_revoke_found(bytea[], text, bytea[]) RETURNS SETOF bytea
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
WITH locked AS (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE s.id = ANY((SELECT $1::bytea[])::bytea[])
        AND (s.user_id = $2::text OR s.pending_user_id = $2::text
            OR s.tags OPERATOR(pg_catalog.&&) $3::bytea[]) IS TRUE
        AND s.expires_at > pg_catalog.now()
    ORDER BY s.id
    FOR UPDATE SKIP LOCKED
)
DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id RETURNING d.id
$$;

CREATE FUNCTION pgsession_support.owner_revoke(text, text, bytea[], bytea, timestamptz, integer)
RETURNS TABLE (seen bytea, ids bytea[], waited text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
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
LANGUAGE sql SET search_path = pg_catalog, pg_temp
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
LANGUAGE sql SET search_path = pg_catalog, pg_temp
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
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
SELECT s.id FROM pgsession.sessions AS s
WHERE s.id > $1::bytea
    AND least(s.created_at, s.authenticated_at) <= $2::timestamptz
ORDER BY s.id
LIMIT $3::integer
$$;

CREATE FUNCTION pgsession_support.all_revoke_found(bytea[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
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
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
WITH bound AS MATERIALIZED (
    SELECT pg_catalog.set_config('lock_timeout'::text, $1::text, true) AS lock_timeout
), found AS MATERIALIZED (
    SELECT s.id FROM pgsession.sessions AS s
    WHERE least(s.created_at, s.authenticated_at) <= $2::timestamptz
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

-- A revoke of many that is under way, of the connection that began it.
CREATE UNLOGGED TABLE pgsession_support.underway (
    pid     integer     NOT NULL PRIMARY KEY DEFAULT pg_catalog.pg_backend_pid(),
    why     text        NOT NULL,
    user_id text, -- NULL: of all users and visitors
    until   timestamptz NOT NULL, -- it ends no session that began later
    marked  timestamptz NOT NULL,
    after   bytea       DEFAULT '', -- NULL: all were looked at
    stuck   boolean     NOT NULL DEFAULT false, -- one was seen, and not deleted
    ended   bigint      NOT NULL DEFAULT 0
);

-- begin_revoke adds the mark and the event with which a revoke of many begins:
-- of a user, of those that began before a time, or of all. The key of a mark is
-- a hash over purpose and value, each after its length.
CREATE FUNCTION pgsession_support.begin_revoke(why text, who text, before timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purpose bytea := 'all';
    value   bytea := '';
    until   timestamptz := 'infinity';
    marked  timestamptz;
BEGIN
    IF why = 'user' THEN
        purpose := 'user';
        value := pg_catalog.convert_to(who, 'UTF8');
        IF who IS NULL OR pg_catalog.octet_length(value) NOT BETWEEN 1 AND 256 THEN
            RAISE EXCEPTION 'no session can have this user id: it has 1 to 256 bytes'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the id that the application passes to Login.';
        END IF;
    ELSIF why = 'before' THEN
        IF before IS NULL OR NOT pg_catalog.isfinite(before) OR before > pg_catalog.now() THEN
            RAISE EXCEPTION 'the time must be in the past'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'For all sessions CALL revoke_all.';
        END IF;
        until := before - interval '1 microsecond';
    ELSIF why IS DISTINCT FROM 'all' THEN
        RAISE EXCEPTION 'a revoke is of a user, before, or all' USING ERRCODE = 'invalid_parameter_value';
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
    -- Those of connections that failed or are gone.
    DELETE FROM pgsession_support.underway AS u
    WHERE u.pid = pg_catalog.pg_backend_pid() OR u.pid NOT IN (SELECT a.pid FROM pg_catalog.pg_stat_activity AS a);
    INSERT INTO pgsession_support.underway (why, user_id, until, marked)
    VALUES (why, CASE WHEN why = 'user' THEN who END, until, marked);
END
$$;

-- step ends a batch of the revoke that this connection has begun, as the library
-- does. First it looks at all sessions and skips those that are locked. Then it
-- waits for those that are left and began no later than the mark: a session
-- whose created_at is ahead of the clock is found by the first.
CREATE FUNCTION pgsession_support.step(OUT ended bigint, OUT done boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u   pgsession_support.underway;
    ids bytea[];
    saw bytea;
    n   bigint := 0;
BEGIN
    SELECT * INTO u FROM pgsession_support.underway AS w WHERE w.pid = pg_catalog.pg_backend_pid() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no revoke is under way: CALL one' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    done := false;
    IF u.after IS NOT NULL THEN
        IF u.why = 'user' THEN
            ids := ARRAY(SELECT pgsession_support.owner_find(u.user_id, NULL, u.after, '', u.until, 1000));
            SELECT pg_catalog.count(*) INTO n FROM pgsession_support.owner_revoke_found(ids, u.user_id, NULL);
        ELSE
            ids := ARRAY(SELECT pgsession_support.all_find(u.after, u.until, 1000));
            n := pgsession_support.all_revoke_found(ids);
        END IF;
        u.after := ids[pg_catalog.cardinality(ids)];
        IF u.after IS NULL THEN
            u.until := least(u.until, u.marked + interval '250 milliseconds');
        END IF;
    ELSE
        BEGIN
            IF u.why = 'user' THEN
                SELECT o.seen, pg_catalog.cardinality(o.ids) INTO saw, n
                FROM pgsession_support.owner_revoke('10000', u.user_id, NULL, '', u.until, 1000) AS o;
            ELSE
                SELECT o.seen, o.revoked INTO saw, n FROM pgsession_support.all_revoke('10000', u.until) AS o;
            END IF;
        EXCEPTION WHEN lock_not_available OR query_canceled THEN
            RAISE EXCEPTION '% sessions ended, then: %', u.ended, SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'pg_stat_activity and pg_blocking_pids show who holds a row. End that, and CALL again.';
        END;
        done := saw = '';
        -- A session that got a new token meanwhile is seen once, and not deleted.
        IF NOT done AND n = 0 AND u.stuck THEN
            RAISE EXCEPTION '% sessions ended, then a rule or a trigger kept one', u.ended;
        END IF;
        u.stuck := n = 0;
    END IF;
    ended := u.ended + n;
    IF done THEN
        DELETE FROM pgsession_support.underway AS w WHERE w.pid = u.pid;
        INSERT INTO pgsession.events (kind, user_id, reason, actor, count)
        VALUES ('sessions revoked', u.user_id, u.why, session_user, ended);
        RETURN;
    END IF;
    UPDATE pgsession_support.underway AS w
    SET until = u.until, after = u.after, stuck = u.stuck, ended = step.ended
    WHERE w.pid = u.pid;
    IF n > 0 THEN
        RAISE NOTICE '% sessions ended so far', ended;
    END IF;
END
$$;

-- run_revoke ends many, and commits after each batch. So it and the procedures
-- that call it may neither be SECURITY DEFINER nor have a SET clause: they run
-- with the rights and the search_path of their caller. Their types are keywords,
-- and they use no operator. What they call begins a revoke that is recorded, or
-- continues it, so a direct call does no more.
CREATE PROCEDURE pgsession_support.run_revoke(why text, who text, before timestamptz, INOUT ended bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    done boolean;
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pgsession_support.begin_revoke(why, who, before);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        SELECT s.ended, s.done INTO ended, done FROM pgsession_support.step() AS s;
        EXIT WHEN done;
    END LOOP;
END
$$;

CREATE PROCEDURE pgsession_support.revoke_user(user_id text, INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pgsession_support.run_revoke('user', user_id, NULL, ended);
END
$$;

CREATE PROCEDURE pgsession_support.revoke_before(at timestamptz, INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pgsession_support.run_revoke('before', NULL, at, ended);
END
$$;

CREATE PROCEDURE pgsession_support.revoke_all(INOUT ended bigint DEFAULT 0)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pgsession_support.run_revoke('all', NULL, NULL, ended);
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
    IF ended > 0 THEN
        INSERT INTO pgsession.events (kind, user_id, session, login_id, reason, actor)
        VALUES ('sessions revoked', whose, handle, login, 'handle', session_user);
    END IF;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA pgsession_support FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA pgsession_support FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsession_support TO pgsession_support, pgsession_auditor;
GRANT SELECT ON pgsession_support.sessions, pgsession_support.logged_in TO pgsession_support;
GRANT EXECUTE ON PROCEDURE
    pgsession_support.revoke_user(text, bigint), pgsession_support.revoke_before(timestamptz, bigint), pgsession_support.revoke_all(bigint),
    pgsession_support.revoke_handle(text, bigint), pgsession_support.run_revoke(text, text, timestamptz, bigint)
    TO pgsession_support;
GRANT EXECUTE ON FUNCTION pgsession_support.begin_revoke(text, text, timestamptz), pgsession_support.step() TO pgsession_support;
GRANT SELECT ON pgsession_support.events TO pgsession_auditor;

COMMIT;
