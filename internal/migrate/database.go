package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
)

// connectTimeout applies to a URL without connect_timeout: pgx would wait for
// two minutes.
const connectTimeout = 10 * time.Second

// poolConfig parses the URL of a database.
func poolConfig(url string) (*pgxpool.Config, error) {
	cfg, err := dburl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("migrate: DATABASE_URL or -database-url: %w", err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	dburl.CheckTargetWithBuiltIns(cfg)
	return cfg, nil
}

// waitPause is the time between two attempts to connect.
const waitPause = 250 * time.Millisecond

// waitFor returns when Postgres answers. It waits for a server that can't be
// reached or that is starting, and not after another answer of the server, such
// as that of a wrong password.
func waitFor(ctx context.Context, pool *pgxpool.Pool, patience time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var last error
	for {
		err := pool.Ping(ctx)
		if err == nil || ctx.Err() == nil {
			last = err
		}
		var server *pgconn.PgError
		answered := errors.As(err, &server) && server.Code != cannotConnectNow &&
			server.Code != tooManyConnections
		if err == nil || answered {
			return err
		}
		select {
		case <-time.After(waitPause):
		case <-ctx.Done():
			if last == nil {
				last = err
			}
			return fmt.Errorf("migrate: postgres did not answer within %v: %w", patience, last)
		}
	}
}

// The answers of a server that may take a connection later.
const (
	cannotConnectNow   = "57P03"
	tooManyConnections = "53300"
)
