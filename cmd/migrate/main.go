// Command migrate migrates and validates the database schema of pgsession.
//
//	migrate [-database-url URL] [-schema NAME] COMMAND
//	migrate [-schema NAME] ops FILE
//	migrate [-dry-run] [-table TABLE] [-user PATH] [-zone ZONE] import express
//
// COMMAND is up, down, status, validate, baseline or version. The command ops
// prints a file of db/ops for psql, which creates roles or schedules jobs. The
// command import moves the sessions of another library here; `migrate -h` lists
// its flags.
//
// Like the application, migrate reads DATABASE_URL, or the file that
// DATABASE_URL_FILE names, and SESSION_SCHEMA; the flags override them. Pass a
// URL with a password in one of the two, because other users of a machine can
// read the arguments of a program. Use the address of Postgres itself, not of a
// pooler. Several instances may run up at once.
//
// The exit status is 0 for success, 1 if something failed, 2 for a usage error,
// and 3 if validate found a difference.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/reporadar/pgsession/internal/migrate"
)

func main() {
	// Where the reader of the output has gone, a write returns an error: the
	// program does not end halfway through a revoke or a migration.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := migrate.Run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
