// Command migrate makes, changes and checks the database schema of pgsession.
//
//	migrate [-database-url URL] [-schema NAME] up|down|status|validate|version
//	migrate [-schema NAME] ops FILE
//
// Ops prints a file of db/ops, which psql runs: it makes roles, or schedules jobs.
//
// The database is the one in DATABASE_URL and the schema that of SESSION_SCHEMA, as for the application, unless a flag names
// another; the environment is the better place for a URL with a password, since other users of a machine can read a
// program's arguments. Give the address of Postgres itself, not of a pooler. Up may run in many places at once.
//
// The exit status is 0 when all is well, 1 when something failed or validate found a difference, 2 for a wrong use.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
