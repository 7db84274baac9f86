package db_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/sessionstore"
)

// openSessions applies the pending migrations and opens the sessions. Every
// instance of a deploy may call it: one migrates, and the others wait.
func openSessions(
	ctx context.Context, pool *pgxpool.Pool, cfg sessionstore.Config,
) (*sessionstore.Manager, error) {
	if _, err := db.Up(ctx, pool, db.Options{Schema: cfg.Schema}); err != nil {
		return nil, err
	}
	return sessionstore.New(ctx, pool, cfg)
}

// A program that migrates by itself: its role owns the schema.
func ExampleUp() {
	ctx := context.Background()
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	poolConfig, err := pgxpool.ParseConfig(string(cfg.DatabaseURL))
	if err != nil {
		log.Fatal("DATABASE_URL is not valid") // err may quote the password
	}
	sessionstore.ConfigurePool(poolConfig)
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := openSessions(ctx, pool, cfg)
	if err != nil {
		log.Fatal(err)
	}
	go sessions.Run(ctx)
}
