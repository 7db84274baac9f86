package migrate

import (
	"context"
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
func poolConfig(databaseURL string) (*pgxpool.Config, error) {
	cfg, err := dburl.Parse(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("migrate: DATABASE_URL or -database-url: %w", err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	if validate := cfg.ConnConfig.ValidateConnect; validate != nil {
		cfg.ConnConfig.ValidateConnect = withBuiltIns(validate)
	}
	return cfg, nil
}

// withBuiltIns runs the check of target_session_attrs in a transaction in which
// names mean the built-in functions. The check of pgx names no schema, and the
// owner of the database may have put another one before pg_catalog.
func withBuiltIns(validate pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		const begin = "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp"
		if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
			return err
		}
		if err := validate(ctx, conn); err != nil {
			return err // pgx closes the connection
		}
		_, err := conn.Exec(ctx, "ROLLBACK").ReadAll()
		return err
	}
}
