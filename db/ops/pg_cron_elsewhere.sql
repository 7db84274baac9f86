-- pg_cron.sql for servers where pg_cron lives in another database than the sessions, as on managed services that keep
-- it in the database postgres. Run it in the database of pg_cron, and name the other one:
--
--   PGOPTIONS='-c pgsession.database=shop' psql -d postgres -f db/ops/pg_cron_elsewhere.sql
--
-- It needs a role that may call cron.schedule_in_database. It can be run again; pg_cron_unschedule.sql undoes it.
-- A superuser's run gives the jobs to pgsession_pruner, which roles.sql has made; the jobs of any other role are its own.
--
-- `migrate -schema NAME ops pg_cron_elsewhere` prints this file for a schema of another name, after which all else is named, too.

DO $$
DECLARE
    target  pg_catalog.text := pg_catalog.current_setting('pgsession.database', true);
    runs_as pg_catalog.name := current_user;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'pg_cron is not in database %, so nothing was scheduled: run this file in the database that cron.database_name says', pg_catalog.current_database();
    END IF;
    IF coalesce(target, '') = '' THEN
        RAISE EXCEPTION 'pgsession.database does not say where the sessions are, so nothing was scheduled: PGOPTIONS=''-c pgsession.database=NAME'' psql …';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = target) THEN
        RAISE EXCEPTION 'there is no database %, so nothing was scheduled: pgsession.database must say where the sessions are', target;
    END IF;
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
        AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_pruner') THEN
        runs_as := 'pgsession_pruner';
        GRANT USAGE ON SCHEMA cron TO pgsession_pruner;
    END IF;
    -- What the procedure does is up to its owner, whom this database does not know.
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = runs_as) THEN
        RAISE EXCEPTION 'the jobs would run as role %, a superuser, so nothing was scheduled: run roles.sql in database % first', runs_as, target;
    END IF;
    IF NOT (SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = runs_as) THEN
        RAISE EXCEPTION 'role % can not log in, which pg_cron has to, so nothing was scheduled: ALTER ROLE % LOGIN', runs_as, runs_as;
    END IF;

    PERFORM cron.unschedule(jobid) FROM cron.job
    WHERE jobname IN ('pgsession prune ' || target, 'pgsession trim') AND username <> runs_as;

    -- Only a superuser may name the role.
    PERFORM cron.schedule_in_database('pgsession prune ' || target, '* * * * *',
        'CALL pgsession.prune(max_rows => 1000000, max_seconds => 50)', target, nullif(runs_as, current_user)::text, true);
    PERFORM cron.schedule_in_database('pgsession trim', '23 * * * *', $trim$
        DELETE FROM cron.job_run_details
        WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$')
            AND runid <= (
                SELECT runid FROM cron.job_run_details
                WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$')
                ORDER BY runid DESC OFFSET 10000 LIMIT 1
            )$trim$, pg_catalog.current_database()::text, nullif(runs_as, current_user)::text, true);
END
$$;
