package dburl

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CheckTargetWithBuiltIns has the check of target_session_attrs run in a
// transaction in which names mean the built-in functions. The check of pgx
// names no schema, and the owner of the database may have put another one
// before pg_catalog.
func CheckTargetWithBuiltIns(cfg *pgxpool.Config) {
	validate := cfg.ConnConfig.ValidateConnect
	if validate == nil {
		return
	}
	cfg.ConnConfig.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		const begin = "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp"
		if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
			return err
		}
		// pgx keeps the connection after some errors, such as that of a primary
		// where a standby is preferred.
		err := validate(ctx, conn)
		if _, failed := conn.Exec(ctx, "ROLLBACK").ReadAll(); err == nil {
			err = failed
		}
		return err
	}
}
