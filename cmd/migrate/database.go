package main

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
)

// connectTimeout is for a URL without connect_timeout: pgx would wait for two minutes.
const connectTimeout = 10 * time.Second

// poolConfig parses the URL of a database.
func poolConfig(databaseURL string) (*pgxpool.Config, error) {
	cfg, err := dburl.Parse(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("migrate: DATABASE_URL or -database-url: %w", err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	return cfg, nil
}
