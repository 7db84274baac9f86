package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// restart makes Postgres end all connections and recover, as after the crash of
// a backend, and returns how long it took to serve again. The backend that it
// kills serves a connection of its own.
func restart(ctx context.Context, d *rows.Database) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, d.URL)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // which is broken by then
	var pid int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return 0, err
	}
	// A server in a container has process ids of its own.
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasPrefix(string(title), "postgres:") {
		return 0, fmt.Errorf("process %d is no backend of this machine (%.40q, %w): "+
			"give -restart=false", pid, title, err)
	}
	backend, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := backend.Kill(); err != nil {
		return 0, fmt.Errorf("kill a backend: %w: give -restart=false", err)
	}
	ended := conn.Ping(ctx)
	if ended == nil {
		return 0, fmt.Errorf("the backend %d was killed and serves", pid)
	}
	for {
		again, err := pgx.Connect(ctx, d.URL)
		if err == nil {
			return time.Since(began), again.Close(ctx)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
