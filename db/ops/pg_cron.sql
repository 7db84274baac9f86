-- Prunes once a minute with pg_cron (1.4 or later), and trims pg_cron's record of these runs.
--
-- Run it in the database with the sessions, which is the one that cron.database_name says; where pg_cron has to live in
-- another one, take pg_cron_elsewhere.sql. It needs a superuser or a role that may grant in the schema cron. It can be
-- run again; pg_cron_unschedule.sql undoes it.
--
-- The jobs run as pgsession_pruner where roles.sql has made it, or else as whoever runs this file. That role must be
-- able to log in without being asked: by pg_hba.conf or the server's .pgpass, or with cron.use_background_workers.
--
-- `migrate -schema NAME ops pg_cron` prints this file for a schema of another name, after which all else is named, too.

DO $$
DECLARE
    runs_as  pg_catalog.name := current_user;
    owned_by pg_catalog.name;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'pg_cron is not in database %, so nothing was scheduled: see docs/operations/pruning.md for how to install it and for how to prune without it', pg_catalog.current_database();
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgsession' AND p.proname = 'prune'
    ) THEN
        RAISE EXCEPTION 'database % has no procedure pgsession.prune, so nothing was scheduled: run `migrate up` first', pg_catalog.current_database();
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgsession_pruner') THEN
        runs_as := 'pgsession_pruner';
    END IF;
    IF NOT pg_catalog.pg_has_role(runs_as, 'USAGE') THEN
        RAISE EXCEPTION 'role % may not schedule for %, so nothing was scheduled: GRANT % TO %', current_user, runs_as, runs_as, current_user;
    END IF;
    IF NOT (SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = runs_as) THEN
        RAISE EXCEPTION 'role % can not log in, which pg_cron has to, so nothing was scheduled: ALTER ROLE % LOGIN', runs_as, runs_as;
    END IF;

    -- The procedure runs with the rights of the job, and so does whatever its owner
    -- makes of it. pgsession_pruner has rights on nothing else.
    SELECT pg_catalog.pg_get_userbyid(o.owner) INTO owned_by
    FROM (
        SELECT p.proowner AS owner FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'pgsession'::regnamespace
        UNION ALL
        SELECT n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'pgsession'
    ) AS o
    WHERE NOT pg_catalog.pg_has_role(o.owner, runs_as, 'USAGE');
    IF FOUND AND runs_as <> 'pgsession_pruner' THEN
        RAISE EXCEPTION 'role % owns what the jobs would run with the rights of %, so nothing was scheduled: run roles.sql first', owned_by, runs_as;
    END IF;

    -- A run of this file before roles.sql has left them with another role.
    PERFORM cron.unschedule(jobid) FROM cron.job
    WHERE jobname IN ('pgsession prune', 'pgsession trim') AND username <> runs_as;

    IF runs_as <> current_user THEN
        GRANT USAGE ON SCHEMA cron TO pgsession_pruner;
        SET LOCAL ROLE pgsession_pruner;
    END IF;
    -- The command is one CALL and nothing else: with anything beside it the procedure could not COMMIT.
    PERFORM cron.schedule('pgsession prune', '* * * * *', 'CALL pgsession.prune(max_rows => 1000000, max_seconds => 50)');
    -- pg_cron keeps a row for every run, for ever. A week of them is kept, by number: a run that never began has no time.
    PERFORM cron.schedule('pgsession trim', '23 * * * *', $trim$
        DELETE FROM cron.job_run_details
        WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$')
            AND runid <= (
                SELECT runid FROM cron.job_run_details
                WHERE jobid IN (SELECT jobid FROM cron.job WHERE jobname::text ~ '^pgsession (prune|prune .*|trim)$')
                ORDER BY runid DESC OFFSET 10000 LIMIT 1
            )$trim$);
    RESET ROLE;
END
$$;
