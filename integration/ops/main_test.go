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

const (
	// fill makes $1 expired sessions, and as many that are alive.
	fill = `
		INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('expired ' || i, 'UTF8')), now() - interval '2 days', now() - i * interval '1 s', now() + interval '1 day'
		FROM generate_series(1, $1::int) AS i
		UNION ALL
		SELECT sha256(convert_to('alive ' || i, 'UTF8')), now(), now() + interval '1 day', now() + interval '1 day'
		FROM generate_series(1, $1::int) AS i`
	expired = "SELECT count(*) FROM pgsession.sessions WHERE expires_at <= now()"
	alive   = "SELECT count(*) FROM pgsession.sessions WHERE expires_at > now()"
	total   = "SELECT pruned_total FROM pgsession.prune_state"
	// waiting counts the statements in this database that wait for a lock.
	waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)

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
