// Package operator is the command line for those who run an installation: it
// lists and ends sessions, counts them, and finds what is wrong.
package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/migrate"
	"github.com/reporadar/pgsession/internal/output"
)

// Exit statuses. That of migrate is its own.
const (
	ok      = 0
	failed  = 1
	misuse  = 2
	foundIt = 3
)

const usage = `For those who run an application with pgsession.

Usage: pgsession COMMAND [flags]

Commands:
  sessions  list live sessions, the newest first, each with its handle
              -user USER | -handle HANDLE | -all
              -limit N         100 if not given, and at most 10000
  events    list what happened to the sessions of a user, the newest first, and the revokes of all users, where
            SESSION_RECORD_EVENTS is true
              -user USER
              -since TIME      as of revoke -before
              -limit N         100 if not given, and at most 10000
  revoke    end sessions, and tell the cache
              -user USER       all of a user, with the logins that are under way
              -handle HANDLE   one; with -user it is found by an index, else the table is read
              -before TIME     all that began before a time, such as 2026-01-31T20:00:00Z, or an age: 72h, 30d;
                               logins that are under way are refused
              -all             all of all users and visitors, with the logins that are under way
              -yes             needed for -before and -all
              -actor NAME      who does it, for the events; pgsession if not given
              -note TEXT       why, for the events
  stats     count the sessions
              -exact           read all of a big table instead of estimating
  doctor    find what is wrong (environment, schema, rights, settings, collation, pooler, clock, replication, Redis),
            and print the command that mends it
  export    print all that the database has of a user, as JSON: for a request for access
              -user USER
  erase     end the sessions of a user, delete the expired ones, and take the user out of the events: for a request
            for erasure
              -user USER
              -yes             without it, only count
              -keep-events     leave the events as they are, for an audit
  ops FILE  print a file of db/ops for psql; without FILE, their names
  migrate   make, change and check the schema: see pgsession migrate -h

Flags of all commands but ops and migrate:
  -database-url URL  DATABASE_URL if not given
  -schema NAME       SESSION_SCHEMA if not given, and pgsession without that
  -timeout DURATION  the longest that the command may take, such as 5m; without it as long as it takes
  -json              print JSON

The environment is that of the application: USE_REDIS_SESSIONS, REDIS_URL, SESSION_ENCRYPTION_KEY and APP_ENV lead to
its cache, and SESSION_RECORD_EVENTS writes what is done to its table of events.
SESSION_SECRET is not needed.
sessions, stats, doctor and export only read: a standby will do, and they say that it may lag.

Exit status: 0 done, 1 failed, 2 usage error, 3 a check has found something.
`

// command is one of the commands that use a database.
type command struct {
	flags []string // beside those of all
	check func(*options) error
	run   func(context.Context, *call) error
}

var commands = map[string]command{
	"sessions": {
		flags: []string{"user", "handle", "all", "limit"}, check: checkSessions, run: sessions,
	},
	"events": {flags: []string{"user", "since", "limit"}, check: checkEvents, run: listEvents},
	"revoke": {
		flags: []string{"user", "handle", "before", "all", "yes", "actor", "note"},
		check: checkRevoke, run: revoke,
	},
	"stats":  {flags: []string{"exact"}, run: stats},
	"doctor": {run: doctor},
	"export": {flags: []string{"user"}, check: checkExport, run: export},
	"erase": {
		flags: []string{"user", "yes", "keep-events"}, check: checkErase, run: erase,
	},
}

// Run executes a command line and returns the exit status. args are those after
// the name of the program, and environ is that of os.Environ. A command whose
// output was not written has failed.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	out := output.To(stdout)
	status := execute(ctx, args, environ, out, stderr)
	if err := out.Err(); err != nil && status != failed {
		_, _ = fmt.Fprintf(stderr, "pgsession: the output is not complete: %v\n", err)
		return failed
	}
	return status
}

func execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	env := lookupIn(environ)
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "-h", "-help", "--help", "help":
		_, _ = io.WriteString(stdout, usage)
		return ok
	case "migrate":
		value := func(name string) string {
			v, _ := env(name)
			return v
		}
		return migrate.Run(ctx, args, value, stdout, stderr)
	case "ops":
		return ops(args, env, stdout, stderr)
	}
	do, known := commands[name]
	o, err := &options{}, error(nil)
	switch {
	case name == "":
		_, _ = fmt.Fprintf(stderr, "pgsession: no command\n\n%s", usage)
		return misuse
	case !known:
		err = fmt.Errorf("unknown command %q: the command comes first", name)
	default:
		o, err = parse(name, do.flags, args)
		if err == nil && do.check != nil {
			err = do.check(o)
		}
	}
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return ok
	}
	if err != nil {
		return wrongUse(stderr, err)
	}
	if o.timeout > 0 {
		limited, stop := context.WithTimeout(ctx, o.timeout)
		defer stop()
		ctx = limited
	}
	err = do.run(ctx, &call{
		options: o, environ: environ, env: env, out: stdout, progress: stderr, now: time.Now,
	})
	return statusOf(ctx, err, stderr)
}

// statusOf prints the error of a command and returns the exit status.
func statusOf(ctx context.Context, err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, errFound):
		return foundIt
	case errors.As(err, new(misused)):
		_, _ = fmt.Fprintf(stderr, "pgsession: %v\n", err)
		return misuse
	case errors.Is(ctx.Err(), context.Canceled):
		_, _ = fmt.Fprintln(stderr, "pgsession: interrupted")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		_, _ = fmt.Fprintln(stderr, "pgsession: -timeout is over")
	}
	_, _ = fmt.Fprintf(stderr, "pgsession: %s\n", dburl.Explain(err))
	return failed
}

// wrongUse prints the error alone: the usage would push it off the screen.
func wrongUse(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintf(stderr, "pgsession: %v\n`pgsession -h` describes commands and flags\n", err)
	return misuse
}

// ops prints a file of db/ops.
func ops(args []string, env Lookup, stdout, stderr io.Writer) int {
	file := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		file, args = args[0], args[1:]
	}
	o, err := parse("ops", nil, args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return ok
	}
	if err == nil && file == "" && len(o.rest) > 0 {
		file, o.rest = o.rest[0], o.rest[1:]
	}
	if err == nil && len(o.rest) > 0 {
		err = fmt.Errorf("unexpected %q", o.rest[0])
	}
	if err != nil {
		return wrongUse(stderr, err)
	}
	if o.schema == "" {
		o.schema, _ = env("SESSION_SCHEMA")
	}
	text, err := db.Ops(file, db.Options{Schema: o.schema})
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "pgsession: %v\n", err)
		return failed
	}
	_, _ = io.WriteString(stdout, text)
	return ok
}
