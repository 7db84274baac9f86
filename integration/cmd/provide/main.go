// Command provide runs a command with a Postgres and a Redis at hand.
//
//	provide [-test] [-dir DIR] [-postgres VERSION] [-no-redis] [--]
//	        command [arguments]
//
// It finds or starts the servers, as package servers describes. It runs the
// command with DATABASE_URL and REDIS_URL set, ends what it started and exits
// with the command's status. With -test the command gets a database of its own,
// and TEST_DATABASE_URL and TEST_REDIS_URL are set to the same.
//
// SIGINT, SIGTERM and SIGHUP go to the command; a second SIGINT kills it.
// The status is 128+n if signal n ended the command. It is 126 or 127 if the
// command can't be started, 1 without the servers, and 2 for a wrong use.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // such as SIGHUP under nohup
			signal.Notify(signals, sig)
		}
	}
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, signals))
}
