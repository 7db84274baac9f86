package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// openDatabase makes the pool that sessions and users share, so that one transaction can change both. It is nil when no
// database is configured. It does not connect yet.
func openDatabase(cfg sessionstore.Config) (*pgxpool.Pool, error) {
	if cfg.DatabaseURL == "" {
		return nil, nil
	}
	pc, err := pgxpool.ParseConfig(string(cfg.DatabaseURL))
	if err != nil {
		// Without err, which may quote the password.
		return nil, &sessionstore.ConfigError{Name: "DATABASE_URL", Problem: "is not a Postgres URL, such as postgres://user:password@host:5432/database"}
	}
	// What pgx leaves unbounded: a server that hangs must not hang requests.
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	return pgxpool.NewWithConfig(context.Background(), pc)
}

// openSessions opens them over the pool, or in memory without one.
func openSessions(ctx context.Context, pool *pgxpool.Pool, cfg sessionstore.Config) (*sessionstore.Manager, error) {
	if pool == nil {
		return sessionstore.Open(ctx, cfg)
	}
	return sessionstore.New(ctx, pool, cfg)
}
