-- What of the database needs somebody's attention, one row each; no row when all is well. It only reads, in a moment on
-- any table, so that a monitor may ask once a minute.
--
-- It needs the rights of pgsession_monitor and pg_monitor. Without the latter
-- Postgres hides what other roles are doing, and raises no alarm about them. A
-- superuser has both, and runs what the owner of the tables may have left in
-- them: before roles.sql use another role. It reads the catalog and the tables,
-- and no view: the functions in a view run with the rights of the reader.
--
-- Every function, operator and type names pg_catalog: the owner of a database sets
-- the search_path of those who connect to it, also of a superuser.
--
-- `migrate -schema NAME ops alarms` prints this file for a schema of another name, after which all else is named, too.

SELECT a.alarm, a.detail, a.advice
FROM (
    SELECT
        'prune' AS alarm,
        pg_catalog.concat('a session that expired at ', s.oldest_expired_at, ' is still there') AS detail,
        'nothing prunes, or not enough: call Manager.Run in an instance, or schedule a job: migrate ops pg_cron | psql' AS advice
    FROM (
        -- From where the prune has got to: before that Postgres may have to keep what the prune deleted. It is a statement
        -- of its own, with the rights of the reader: in a statement that has a distributed table, Citus reads the other
        -- views with the rights of the reader, too.
        SELECT substring(pg_catalog.query_to_xml($sessions$
            SELECT e.expires_at::pg_catalog.text AS oldest FROM pgsession.sessions AS e
            WHERE e.expires_at OPERATOR(pg_catalog.>) coalesce((SELECT m.reached_at FROM pgsession.prune_state AS m), '-infinity'::pg_catalog.timestamptz)
                AND e.expires_at OPERATOR(pg_catalog.<=) pg_catalog.now()
            ORDER BY e.expires_at
            LIMIT 1
        $sessions$, false, false, '')::pg_catalog.text
            FROM '<oldest>([^<]*)<')::pg_catalog.timestamptz AS oldest_expired_at
    ) AS s
    WHERE s.oldest_expired_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '1 hour')

    UNION ALL
    -- Five times what makes autovacuum begin.
    SELECT
        'dead rows',
        pg_catalog.concat(s.relation, ' has ', s.dead_rows, ' dead rows beside ', s.live_rows, ' live ones, last vacuumed ', coalesce(s.last_vacuum_at::pg_catalog.text, 'never')),
        'autovacuum is late, or an old transaction keeps it from removing them'
    FROM (
        -- Every table of the schema, so that none is forgotten.
        SELECT
            t.oid::pg_catalog.regclass AS relation,
            pg_catalog.pg_stat_get_live_tuples(t.oid) AS live_rows,
            pg_catalog.pg_stat_get_dead_tuples(t.oid) AS dead_rows,
            greatest(pg_catalog.pg_stat_get_last_vacuum_time(t.oid), pg_catalog.pg_stat_get_last_autovacuum_time(t.oid)) AS last_vacuum_at
        FROM pg_catalog.pg_class AS t
        WHERE t.relnamespace OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.regnamespace::pg_catalog.oid
            AND t.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
    ) AS s
    WHERE s.dead_rows OPERATOR(pg_catalog.>) (5000 OPERATOR(pg_catalog.+) (s.live_rows OPERATOR(pg_catalog./) 10))

    UNION ALL
    -- Nothing that died after these began can be removed, wherever on the server they are.
    SELECT
        'old transaction',
        pg_catalog.concat('process ', p.pid, ' of ', coalesce(p.usename::pg_catalog.text, p.backend_type), ' in ',
            coalesce(p.datname::pg_catalog.text, 'no database'), CASE WHEN p.state IS NOT NULL THEN pg_catalog.concat(', ', p.state) END,
            ', holds what died since ', p.xact_start),
        pg_catalog.concat('let it end, or SELECT pg_catalog.pg_terminate_backend(', p.pid, ')')
    FROM pg_catalog.pg_stat_activity AS p
    WHERE p.xact_start OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '5 minutes') AND coalesce(p.backend_xmin, p.backend_xid) IS NOT NULL

    UNION ALL
    SELECT
        'old transaction',
        pg_catalog.concat('prepared transaction ', x.gid, ' in ', x.database, ' holds what died since ', x.prepared),
        'COMMIT PREPARED or ROLLBACK PREPARED, there'
    FROM pg_catalog.pg_prepared_xacts AS x
    WHERE x.prepared OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '5 minutes')

    UNION ALL
    SELECT
        'old transaction',
        pg_catalog.concat('replication slot ', r.slot_name, ' holds what died in the last ', pg_catalog.age(r.xmin), ' transactions'),
        pg_catalog.concat('bring its standby back, or SELECT pg_catalog.pg_drop_replication_slot(', pg_catalog.quote_literal(r.slot_name::pg_catalog.text), ')')
    FROM pg_catalog.pg_replication_slots AS r
    WHERE pg_catalog.age(r.xmin) OPERATOR(pg_catalog.>) 1000000

    UNION ALL
    -- A standby with hot_standby_feedback and without a slot. Its transaction is
    -- on the standby, so its process here has none.
    SELECT
        'old transaction',
        pg_catalog.concat('standby ', r.application_name, ' of process ', r.pid, ' holds what died in the last ', pg_catalog.age(r.backend_xmin), ' transactions'),
        'end the old transaction on that standby, or turn its hot_standby_feedback off'
    FROM pg_catalog.pg_stat_replication AS r
    WHERE pg_catalog.age(r.backend_xmin) OPERATOR(pg_catalog.>) 1000000

    UNION ALL
    -- At autovacuum_freeze_max_age a vacuum begins by itself that nothing should keep from ending soon.
    SELECT
        'transaction ids',
        pg_catalog.concat(c.oid::pg_catalog.regclass, ' holds ids ', pg_catalog.age(c.relfrozenxid), ' transactions old; at 2144483647 Postgres takes no more writes'),
        'VACUUM (FREEZE) it; find out what keeps autovacuum from it'
    FROM pg_catalog.pg_class AS c
    WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY(
            SELECT i.oid FROM pg_catalog.pg_class AS t CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[t.oid, t.reltoastrelid]) AS i(oid)
            WHERE t.relnamespace OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.regnamespace::pg_catalog.oid
                AND t.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
        )) AND pg_catalog.age(c.relfrozenxid)::numeric OPERATOR(pg_catalog.>) (1.5 OPERATOR(pg_catalog.*) pg_catalog.current_setting('autovacuum_freeze_max_age')::numeric)

    UNION ALL
    -- An index on text is in the order of its collation. When glibc or ICU sorts otherwise than at the time it was built,
    -- look-ups miss rows without an error. No index of ours depends on it; those of the application do. 100 is the
    -- database's collation.
    SELECT
        'collation',
        pg_catalog.concat('database ', d.datname, ' was made with version ', v.recorded, ' of its collation, and the server has ', v.actual),
        pg_catalog.concat('REINDEX DATABASE ', pg_catalog.quote_ident(d.datname::pg_catalog.text), ', then ALTER DATABASE ',
            pg_catalog.quote_ident(d.datname::pg_catalog.text), ' REFRESH COLLATION VERSION')
    FROM pg_catalog.pg_database AS d
    CROSS JOIN LATERAL (
        SELECT
            d.datcollversion AS recorded,
            pg_catalog.pg_collation_actual_version(100::pg_catalog.oid) AS actual
    ) AS v
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND v.recorded OPERATOR(pg_catalog.<>) v.actual

    UNION ALL
    SELECT
        'collation',
        pg_catalog.concat('index ', i.indexrelid::pg_catalog.regclass, ' was built with version ', k.collversion, ' of the collation ', k.collname,
            ', and the server has ', pg_catalog.pg_collation_actual_version(k.oid)),
        pg_catalog.concat('REINDEX INDEX ', i.indexrelid::pg_catalog.regclass, ', then ALTER COLLATION ', k.oid::pg_catalog.regcollation, ' REFRESH VERSION')
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indrelid
    JOIN pg_catalog.pg_collation AS k ON k.oid OPERATOR(pg_catalog.=) ANY (i.indcollation::pg_catalog.oid[])
    WHERE c.relnamespace OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.regnamespace::pg_catalog.oid
        AND k.oid OPERATOR(pg_catalog.<>) 100::pg_catalog.oid
        AND k.collversion OPERATOR(pg_catalog.<>) pg_catalog.pg_collation_actual_version(k.oid)

    UNION ALL
    -- A CREATE or REINDEX CONCURRENTLY that failed leaves one: each write keeps it up, and no query uses it. The progress
    -- is that of one which is being built; without pg_monitor its table is null.
    SELECT
        'invalid index',
        pg_catalog.concat('index ', x.oid::pg_catalog.regclass, ' of ', i.indrelid::pg_catalog.regclass, ' is not valid'),
        pg_catalog.concat(
            CASE WHEN x.relname::pg_catalog.text OPERATOR(pg_catalog.~) '_cc(new|old)[0-9]*$' THEN 'DROP' ELSE 'REINDEX' END,
            ' INDEX CONCURRENTLY ', x.oid::pg_catalog.regclass
        )
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
        AND i.indrelid OPERATOR(pg_catalog.=) ANY (ARRAY(
            SELECT k.oid FROM pg_catalog.pg_class AS t CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[t.oid, t.reltoastrelid]) AS k(oid)
            WHERE t.relnamespace OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.regnamespace::pg_catalog.oid
                AND t.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
        ))
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
            WHERE p.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
                AND (p.relid OPERATOR(pg_catalog.=) i.indrelid) IS NOT FALSE
        )

    UNION ALL
    -- Without new statistics the estimates of the health endpoint are old, and so are plans. The time is for a table that is
    -- written faster than autovacuum comes by.
    SELECT
        'late analyze',
        pg_catalog.concat(s.relation, ' has ', s.changes, ' changed rows since its statistics were made',
            CASE WHEN s.analyzed_at IS NOT NULL THEN pg_catalog.concat(', at ', s.analyzed_at) END),
        pg_catalog.concat('ANALYZE ', s.relation, '; find out what keeps autovacuum from it')
    FROM (
        SELECT
            t.oid::pg_catalog.regclass AS relation,
            pg_catalog.pg_stat_get_mod_since_analyze(t.oid) AS changes,
            pg_catalog.pg_stat_get_live_tuples(t.oid) AS live_rows,
            greatest(pg_catalog.pg_stat_get_last_analyze_time(t.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(t.oid)) AS analyzed_at
        FROM pg_catalog.pg_class AS t
        WHERE t.relnamespace OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.regnamespace::pg_catalog.oid
            AND t.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
    ) AS s
    WHERE s.changes OPERATOR(pg_catalog.>) (5000 OPERATOR(pg_catalog.+) (s.live_rows OPERATOR(pg_catalog./) 2))
        AND coalesce(s.analyzed_at, pg_catalog.pg_postmaster_start_time())
            OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '60 minutes')

    UNION ALL
    -- Without its reader, a slot keeps WAL until the disk is full, and then Postgres stops. Up to max_wal_size the server keeps
    -- it anyway.
    SELECT
        'inactive slot',
        pg_catalog.concat('replication slot ', r.slot_name,
            CASE WHEN r.wal_status OPERATOR(pg_catalog.=) 'lost' THEN ' has no reader, and the WAL is gone that it needs'
                ELSE pg_catalog.concat(' has no reader and keeps ', pg_catalog.pg_size_pretty(r.kept), ' of WAL') END),
        pg_catalog.concat(
            CASE WHEN r.wal_status OPERATOR(pg_catalog.=) 'lost' THEN 'make its standby anew, and ' ELSE 'bring its reader back, or ' END,
            'SELECT pg_catalog.pg_drop_replication_slot(', pg_catalog.quote_literal(r.slot_name::pg_catalog.text), ')')
    FROM (
        SELECT
            p.slot_name, p.active, p.wal_status,
            pg_catalog.pg_wal_lsn_diff(
                CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,
                p.restart_lsn
            ) AS kept
        FROM pg_catalog.pg_replication_slots AS p
    ) AS r
    WHERE NOT r.active AND (
        r.wal_status OPERATOR(pg_catalog.=) 'lost'
        OR r.kept OPERATOR(pg_catalog.>) pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size'))::numeric
    )

    UNION ALL
    -- A mark refuses each login that begins before its time. The second is for a
    -- revoke that commits while this runs.
    SELECT
        'revoke from the future',
        pg_catalog.concat('a revoke has the time ', m.revoked_at, ', and the server has ', pg_catalog.now(), ': logins that it is about are refused until then'),
        'set the clock of the server right; if the clock is right, DELETE FROM pgsession.marks WHERE revoked_at OPERATOR(pg_catalog.>) pg_catalog.now()'
    FROM (
        SELECT k.revoked_at FROM pgsession.marks AS k
        WHERE k.revoked_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.+) interval '1 second')
        ORDER BY k.revoked_at DESC
        LIMIT 1
    ) AS m

    UNION ALL
    -- It is kept so much longer.
    SELECT
        'event from the future',
        pg_catalog.concat('an event has the time ', m.at, ', and the server has ', pg_catalog.now()),
        'set the clock of the server right; if the clock is right, UPDATE pgsession.events SET at = pg_catalog.now() WHERE at OPERATOR(pg_catalog.>) pg_catalog.now()'
    FROM (
        SELECT v.at FROM pgsession.events AS v
        WHERE v.at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.+) interval '1 second')
        ORDER BY v.at DESC
        LIMIT 1
    ) AS m

    UNION ALL
    SELECT
        'no synchronous standby',
        pg_catalog.concat('every commit waits for one of ', pg_catalog.current_setting('synchronous_standby_names')),
        'bring it back; or empty synchronous_standby_names, and what is acknowledged from then on is lost with this server'
    WHERE pg_catalog.current_setting('synchronous_standby_names') OPERATOR(pg_catalog.<>) '' AND NOT pg_catalog.pg_is_in_recovery()
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_stat_replication AS r WHERE r.sync_state OPERATOR(pg_catalog.=) ANY (ARRAY['sync', 'quorum'])
        )
) AS a
ORDER BY a.alarm, a.detail;
