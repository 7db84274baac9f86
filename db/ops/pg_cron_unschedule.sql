-- Takes back what pg_cron.sql and pg_cron_elsewhere.sql have scheduled: the jobs named pgsession prune, with or without a
-- database after it, and pgsession trim, and the record of their runs. Run it in the database of pg_cron, with the role
-- that scheduled. It can be run again.
--
-- `migrate -schema NAME ops pg_cron_unschedule` prints this file for a schema of another name, after which all else is named, too.

DO $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'pg_cron is not in database %, so there is nothing to unschedule: run this file in the database that cron.database_name says', pg_catalog.current_database();
    END IF;
    DELETE FROM cron.job_run_details
    WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$');
    PERFORM cron.unschedule(jobid) FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$';

    -- Whoever is no superuser sees the pruner's jobs as the pruner only.
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_pruner' AND pg_catalog.pg_has_role(oid, 'USAGE'))
        AND pg_catalog.has_schema_privilege('pgsession_pruner', 'cron', 'USAGE') THEN
        SET LOCAL ROLE pgsession_pruner;
        DELETE FROM cron.job_run_details
        WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$');
        PERFORM cron.unschedule(jobid) FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$';
        RESET ROLE;
    END IF;
END
$$;
