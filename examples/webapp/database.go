package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// openDatabase returns the pool for sessions and users, so that one transaction
// can change both. It is nil without a configured database. It does not
// connect.
func openDatabase(cfg sessionstore.Config) (*pgxpool.Pool, error) {
	if cfg.DatabaseURL == "" {
		return nil, nil
	}
	pc, err := pgxpool.ParseConfig(string(cfg.DatabaseURL))
	if err != nil {
		// Without err, which may quote the password.
		return nil, &sessionstore.ConfigError{
			Name:    "DATABASE_URL",
			Problem: "is not a Postgres URL, such as postgres://user:password@host:5432/database",
		}
	}
	// pgx has no default: a hanging server must not hang requests.
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	return pgxpool.NewWithConfig(context.Background(), pc)
}

// openSessions returns a Manager on the pool, or in memory without one.
func openSessions(
	ctx context.Context, pool *pgxpool.Pool, cfg sessionstore.Config,
) (*sessionstore.Manager, error) {
	if pool == nil {
		return sessionstore.Open(ctx, cfg)
	}
	return sessionstore.New(ctx, pool, cfg)
}
