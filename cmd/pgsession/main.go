// Command pgsession is for those who run an application with pgsession: it
// lists and ends sessions, counts them, and finds what is wrong.
//
//	pgsession COMMAND [flags]
//
// COMMAND is sessions, revoke, stats, doctor, export, erase, ops or migrate;
// `pgsession -h` describes them. In the folder of an application, this gives it
// the version of the library there:
//
//	go get -tool github.com/reporadar/pgsession/cmd/pgsession
//	go install tool
//
// It reads DATABASE_URL, SESSION_SCHEMA and the settings of the cache from the
// environment, as the application does. It needs no SESSION_SECRET.
//
// The exit status is 0 for success, 1 if something failed, 2 for a usage error,
// and 3 if a check has found something.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/reporadar/pgsession/internal/operator"
)

func main() {
	// Where the reader of the output has gone, a write returns an error: the
	// program does not end halfway through a revoke or a migration.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := operator.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
