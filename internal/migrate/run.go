// Package migrate is the command line of the schema: it makes, changes and
// checks it, and fills it with the sessions of other libraries.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/output"
	"github.com/reporadar/pgsession/internal/secretfile"
)

// The variables of the database: its URL, or the file that has it.
const (
	databaseURL     = "DATABASE_URL"
	databaseURLFile = "DATABASE_URL_FILE"
)

// Exit statuses.
const (
	ok      = 0
	failed  = 1
	misuse  = 2
	differs = 3
)

const usage = `Makes, changes and checks the database schema of pgsession.

Usage: migrate [-database-url URL] [-schema NAME] COMMAND

Example: DATABASE_URL=postgres://me:secret@localhost:5432/shop migrate up

Commands:
  up        apply every migration that is pending; may run in many places at once
  down      undo the latest migration; undoing the first DELETES ALL SESSIONS, and needs -yes
  status    list the migrations and when each was applied
  validate  compare the schema with what this version of pgsession needs
  baseline  take over a schema that was restored without its list of migrations: it validates, and
            its migrations are recorded as applied
  version   show the version of the database and of this program
  ops FILE  print a file of db/ops for psql: roles, pg_cron, pg_cron_elsewhere, pg_cron_unschedule, alarms,
            citus or support; with -schema, its roles and jobs are named after that schema
  print up  print the migrations as SQL for this schema name, for review or for another tool
  print down
            print the SQL that undoes them
  import express
            move the sessions of connect-pg-simple here, from a table of the same database; can be repeated

Flags:
  -database-url URL  postgres://user:password@host:5432/database; DATABASE_URL if not given,
                     or the content of the file that DATABASE_URL_FILE names.
                     The address of Postgres itself, not of a pooler.
  -schema NAME       the schema of the sessions; SESSION_SCHEMA if not given, and pgsession without that

  -timeout DURATION  the longest that a command may take, such as 5m; without it as long as it takes
  -wait DURATION     how long to wait for Postgres to start, such as 60s; without it not at all

Flags of up, down and baseline:
  -dry-run           print what would be done, and only read; print has the SQL

Flags of up and down:
  -lock-timeout DURATION
                     how long a migration, or the validation after it, waits for the lock of a table, while
                     others wait behind it; 3s if not given

Flags of down:
  -yes               undo the first migration, which deletes all sessions

Flags of status and validate:
  -json              print JSON

Flags of print:
  -from VERSION      the version that the database has; 0 if not given. print down undoes what print up makes.

Flags of import:
  -table TABLE       the table of connect-pg-simple, as SCHEMA.TABLE; public.session if not given
  -user PATHS        where the user id lies in a session: the first of these that has one, such as
                     userId,passport.user, which is the default; none if no user logs in
  -zone ZONE         the time zone of the Node program's connections, such as Europe/Berlin;
                     that of this connection if not given
  -idle DURATION     the application's SESSION_TIMEOUT, which is read if not given
  -absolute DURATION the same for SESSION_ABSOLUTE_TIMEOUT
  -batch ROWS        how many rows a transaction moves; 500 if not given
  -dry-run           count what would be moved, and change nothing

The role that imports owns the schema, and has SELECT, UPDATE and DELETE on connect-pg-simple's table.

Exit status: 0 done, 1 failed, 2 usage error, 3 validate has found a difference.
`

// Run executes a command line and returns the exit status. args are those after
// the name of the program, env returns a variable of the environment. A command
// whose output was not written has failed.
func Run(
	ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer,
) int {
	out := output.To(stdout)
	status := execute(ctx, args, env, out, stderr)
	if err := out.Err(); err != nil && status != failed {
		_, _ = fmt.Fprintln(stderr, "migrate: the output is not complete:", err)
		return failed
	}
	return status
}

func execute(
	ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer,
) int {
	o, err := parse(args)
	if errors.Is(err, errHelp) {
		_, _ = io.WriteString(stdout, usage)
		return ok
	}
	o.schema = cmp.Or(o.schema, env("SESSION_SCHEMA"))
	do := commands[o.command]
	if err == nil && do.on != nil && o.databaseURL == "" {
		if o.databaseURL, err = secretfile.Value(databaseURL, databaseURLFile, env); err != nil {
			_, _ = fmt.Fprintln(stderr, "migrate:", err)
			return failed
		}
	}
	if err == nil {
		err = do.check(o)
	}
	if err == nil && do.prepare != nil {
		err = do.prepare(o, env)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "migrate: %v\n\n%s", err, usage)
		return misuse
	}

	if do.print != nil {
		text, err := do.print(o)
		if err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return failed
		}
		_, _ = io.WriteString(stdout, text)
		return ok
	}
	if err := do.connect(ctx, o, stdout, stderr); err != nil {
		if ctx.Err() != nil {
			_, _ = fmt.Fprintln(stderr, "migrate: interrupted")
		}
		_, _ = fmt.Fprintln(stderr, dburl.Explain(err))
		if mismatch := (*db.Mismatch)(nil); o.command == "validate" && errors.As(err, &mismatch) {
			return differs
		}
		return failed
	}
	return ok
}

// check returns what is wrong with a command line.
func (c command) check(o *options) error {
	switch {
	case o.command == "":
		return errors.New("no command")
	case c.on == nil && c.print == nil:
		return fmt.Errorf("unknown command %q", o.command)
	case c.object != "" && o.object == "":
		return fmt.Errorf("%s needs %s", o.command, c.object)
	case c.object == "" && o.object != "":
		return fmt.Errorf("unexpected %q", o.object)
	case c.print == nil && o.databaseURL == "":
		return errors.New("no database: set DATABASE_URL or give -database-url")
	}
	return o.onlyFor(c)
}

// connect runs a command on a database.
func (c command) connect(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	cfg, err := poolConfig(o.databaseURL)
	if err != nil {
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	// Close waits until the server was asked to cancel an interrupted
	// statement.
	defer pool.Close()

	if o.wait > 0 {
		if err := waitFor(ctx, pool, o.wait); err != nil {
			return err
		}
	}
	if o.timeout > 0 {
		limited, stop := context.WithTimeout(ctx, o.timeout)
		defer stop()
		ctx = limited
	}
	return c.on(ctx, call{
		options: o, pool: pool, out: stdout, progress: stderr,
		logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}
