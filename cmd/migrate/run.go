package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// Exit statuses.
const (
	ok     = 0
	failed = 1
	misuse = 2
)

const usage = `Makes, changes and checks the database schema of pgsession.

Usage: migrate [-database-url URL] [-schema NAME] COMMAND

Commands:
  up        apply every migration that is pending; may run in many places at once
  down      undo the latest migration; undoing the first deletes all sessions
  status    list the migrations and when each was applied
  validate  compare the schema with what this version of pgsession needs
  version   show the version of the database and of this program
  ops FILE  print a file of db/ops for psql: roles, pg_cron, pg_cron_elsewhere, pg_cron_unschedule, alarms
            or citus; with -schema, its roles and jobs are named after that schema

Flags:
  -database-url URL  postgres://user:password@host:5432/database; DATABASE_URL if not given.
                     The address of Postgres itself, not of a pooler.
  -schema NAME       the schema of the sessions; SESSION_SCHEMA if not given, and pgsession without that

Exit status: 0 done, 1 failed or different, 2 wrong use.
`

// options is a parsed command line.
type options struct {
	command     string
	file        string // for ops
	databaseURL string
	schema      string
}

// run executes the command line and returns the exit status.
func run(
	ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer,
) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return ok
	}
	do, known := commands[o.command]
	url := cmp.Or(o.databaseURL, env("DATABASE_URL"))
	o.schema = cmp.Or(o.schema, env("SESSION_SCHEMA"))
	switch {
	case err != nil:
	case o.command == "":
		err = errors.New("no command")
	case !known:
		err = fmt.Errorf("unknown command %q", o.command)
	case do.print != nil && o.file == "":
		err = errors.New("ops needs the name of a file")
	case do.print == nil && o.file != "":
		err = fmt.Errorf("unexpected %q", o.file)
	case do.print == nil && url == "":
		err = errors.New("no database: set DATABASE_URL or give -database-url")
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "migrate: %v\n\n%s", err, usage)
		return misuse
	}

	if do.print != nil {
		text, err := do.print(o.file, db.Options{Schema: o.schema})
		if err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return failed
		}
		_, _ = io.WriteString(stdout, text)
		return ok
	}
	if err := do.connect(ctx, url, o.schema, stdout, stderr); err != nil {
		if ctx.Err() != nil {
			_, _ = fmt.Fprintln(stderr, "migrate: interrupted")
		}
		_, _ = fmt.Fprintln(stderr, err)
		return failed
	}
	return ok
}

// parse accepts flags before and after the command and its file.
func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error has the text
	flags.StringVar(&o.databaseURL, "database-url", "", "")
	flags.StringVar(&o.schema, "schema", "", "")

	for _, word := range []*string{&o.command, &o.file} {
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		if flags.NArg() == 0 {
			return o, nil
		}
		*word, args = flags.Arg(0), flags.Args()[1:]
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", strings.Join(flags.Args(), " "))
	}
	return o, nil
}

// connect runs a command on a database.
func (c command) connect(ctx context.Context, url, schema string, stdout, stderr io.Writer) error {
	cfg, err := poolConfig(url)
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

	return c.on(ctx, pool, db.Options{
		Schema: schema,
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, stdout)
}
