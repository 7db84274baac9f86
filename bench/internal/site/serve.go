package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// openPool gives every site on Postgres the same pool, with its connections
// open.
func openPool(ctx context.Context, s Servers) (*pgxpool.Pool, error) {
	d := rows.Database{URL: s.DatabaseURL}
	return d.Connect(ctx, rows.Connections)
}

// Serve serves a site until input ends, which it also does with the parent
// process. It writes its address and a line end to output.
func Serve(
	ctx context.Context, name string, s Servers, input io.Reader, output io.Writer,
) (err error) {
	site, err := New(ctx, name, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: site.Handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(output, listener.Addr()); err != nil {
		return err
	}

	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input)
		close(ended)
	}()
	select {
	case err := <-served:
		return err
	case <-ended:
	}
	// Idle connections are closed at once; no client reads the others any more.
	stop, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if server.Shutdown(stop) != nil {
		return server.Close()
	}
	return nil
}

// Variables with the servers of a site's process. Other users of the machine
// could read arguments.
const (
	databaseVariable = "BENCH_SITE_DATABASE_URL"
	redisVariable    = "BENCH_SITE_REDIS_URL"
	prefixVariable   = "BENCH_SITE_REDIS_PREFIX"
)

// ServersFromEnvironment returns the servers that [Start] passed on.
func ServersFromEnvironment() Servers {
	return Servers{
		DatabaseURL: os.Getenv(databaseVariable), RedisURL: os.Getenv(redisVariable),
		RedisPrefix: os.Getenv(prefixVariable),
	}
}
