// Package ops_test tests what administrators use: the prune procedure and the
// views, the files of db/ops, and every command in docs.
package ops_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// waiting counts the statements in this database that wait for a lock.
const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

// database makes a database with the schema of this version, and the pool of a
// superuser.
func database(t *testing.T) (string, *pgxpool.Pool) {
	t.Helper()
	url := pgtest.Database(t)
	return url, pgtest.Pool(t, url)
}

// run runs a file of db/ops as psql does, in one call.
func run(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	_, err := pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// code returns the SQLSTATE of an error, or "".
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
