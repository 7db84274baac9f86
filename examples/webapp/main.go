// Command webapp demonstrates sessionstore. Its pages let users log in, list
// their devices and end their sessions, change their password, add a second
// factor, and keep a counter and a cart in the session. It has a page for
// operators, and an interface for programs under /api/, which tests and load
// generators use.
//
// It listens on ADDR, by default 127.0.0.1:8080. Sessions are configured from
// the environment by sessionstore.ConfigFromEnv: with DATABASE_URL they are
// kept in Postgres. If neither APP_ENV nor NODE_ENV is set, it runs in
// development mode, which needs no configuration.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/reporadar/pgsession/sessionstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "webapp:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Then it lets requests finish and returns nil. It
// prints its address to out.
func run(ctx context.Context, out, logTo io.Writer) (err error) {
	ctx, stop := context.WithCancel(ctx)
	log := slog.New(slog.NewTextHandler(logTo, nil))

	cfg, err := configure(log)
	if err != nil {
		stop()
		return err
	}
	pool, err := openDatabase(cfg)
	if err != nil {
		stop()
		return err
	}
	if pool != nil {
		defer pool.Close()
	}
	sessions, err := openSessions(ctx, pool, cfg)
	if err != nil {
		stop()
		return err
	}
	sessionstore.SetDefault(sessions)
	app := newApp(sessions, pool, cfg)

	var background sync.WaitGroup
	background.Go(func() { _ = sessions.Run(ctx) })
	background.Go(func() { app.run(ctx) })
	defer func() {
		stop()
		background.Wait()
		err = errors.Join(err, sessions.Close())
	}()

	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "webapp: listening on %s\n", urlOf(listener.Addr()))
	server := newServer(app.handler(), log)
	server.RegisterOnShutdown(sessions.EndWatches)
	return serve(ctx, server, listener)
}
