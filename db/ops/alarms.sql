-- What of the database needs somebody's attention, one row each; no row when all is well. It only reads, in a moment on
-- any table, so that a monitor may ask once a minute.
--
-- It needs the rights of pgsession_monitor and pg_monitor: without the latter Postgres hides what others are doing, and
-- their alarms are never raised. A superuser has both.
--
-- Its casts leave nothing to be found by search_path: an operator that somebody has made for the very types would be preferred.
--
-- `migrate -schema NAME ops alarms` prints this file for a schema of another name, after which all else is named, too.

SELECT a.alarm, a.detail, a.advice
FROM (
    SELECT
        'prune' AS alarm,
        'a session that expired at ' || s.oldest_expired_at::text || ' is still there' AS detail,
        'nothing prunes, or not enough: see docs/prune.md' AS advice
    FROM pgsession.stats AS s
    WHERE s.oldest_expired_at < now() - interval '1 hour'

    UNION ALL
    -- Five times what makes autovacuum begin.
    SELECT
        'dead rows',
        s.dead_rows::text || ' dead rows beside ' || s.live_rows::text || ' live ones, last vacuumed ' || coalesce(s.last_vacuum_at::text, 'never'),
        'autovacuum is late, or an old transaction keeps it from removing them'
    FROM pgsession.stats AS s
    WHERE s.dead_rows > 5000 + s.live_rows / 10

    UNION ALL
    -- Nothing that died after these began can be removed, wherever on the server they are.
    SELECT
        'old transaction',
        'process ' || p.pid::text || ' of ' || coalesce(p.usename::text, p.backend_type) || ' in ' || coalesce(p.datname::text, 'no database')
            || coalesce(', ' || p.state, '') || ', holds what died since ' || p.xact_start::text,
        'let it end, or SELECT pg_terminate_backend(' || p.pid::text || ')'
    FROM pg_catalog.pg_stat_activity AS p
    WHERE p.xact_start < now() - interval '5 minutes' AND coalesce(p.backend_xmin, p.backend_xid) IS NOT NULL

    UNION ALL
    SELECT
        'old transaction',
        'prepared transaction ' || x.gid || ' in ' || x.database::text || ' holds what died since ' || x.prepared::text,
        'COMMIT PREPARED or ROLLBACK PREPARED, there'
    FROM pg_catalog.pg_prepared_xacts AS x
    WHERE x.prepared < now() - interval '5 minutes'

    UNION ALL
    SELECT
        'old transaction',
        'replication slot ' || r.slot_name::text || ' holds what died in the last ' || age(r.xmin)::text || ' transactions',
        'bring its standby back, or SELECT pg_drop_replication_slot(' || quote_literal(r.slot_name::text) || ')'
    FROM pg_catalog.pg_replication_slots AS r
    WHERE age(r.xmin) > 1000000

    UNION ALL
    -- At autovacuum_freeze_max_age a vacuum begins by itself that nothing should keep from ending soon.
    SELECT
        'transaction ids',
        c.oid::regclass::text || ' holds ids ' || age(c.relfrozenxid)::text || ' transactions old; at 2144483647 Postgres takes no more writes',
        'VACUUM (FREEZE) it; find out what keeps autovacuum from it'
    FROM pg_catalog.pg_class AS c
    WHERE c.oid IN (
            SELECT 'pgsession.sessions'::regclass::oid UNION ALL
            SELECT t.reltoastrelid FROM pg_catalog.pg_class AS t WHERE t.oid = 'pgsession.sessions'::regclass::oid
        ) AND age(c.relfrozenxid)::numeric > 1.5 * current_setting('autovacuum_freeze_max_age')::numeric

    UNION ALL
    SELECT
        'no synchronous standby',
        'every commit waits for one of ' || current_setting('synchronous_standby_names'),
        'bring it back; or empty synchronous_standby_names, and what is acknowledged from then on is lost with this server'
    WHERE current_setting('synchronous_standby_names') <> '' AND NOT pg_catalog.pg_is_in_recovery()
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication AS r WHERE r.sync_state IN ('sync', 'quorum'))
) AS a
ORDER BY a.alarm, a.detail;
