package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// BehindPooler reports whether a pooler between this process and Postgres hands
// prepared statements on as they are. That is harmless in session pooling, and
// breaks statements in transaction pooling: see [PoolerAdvice]. Which of the
// two it is can't be found out here.
//
// A pooler shows by the process id that it reports, and one that keeps
// statements itself by the names that it gives them.
func (s *Store) BehindPooler(ctx context.Context) (pooler bool, err error) {
	conn := func(ctx context.Context, c *pgxpool.Conn) error {
		conn := c.Conn()
		if textMode(conn.Config().DefaultQueryExecMode) {
			return nil
		}
		const backend = "SELECT pg_catalog.pg_backend_pid()"
		var pid uint32
		err := conn.QueryRow(ctx, backend, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
		if err != nil || pid == conn.PgConn().PID() {
			return err
		}
		const name = "pgsession_probe"
		if _, err := conn.PgConn().Prepare(ctx, name, "SELECT 1", nil); err != nil {
			return err
		}
		defer func() { _ = conn.PgConn().Deallocate(ctx, name) }()
		const named = "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_prepared_statements" +
			" WHERE name = '" + name + "'"
		return conn.QueryRow(ctx, named, pgx.QueryExecModeSimpleProtocol).Scan(&pooler)
	}
	err = s.exec.exec(ctx, statement{op: opCheck, conn: conn})
	return pooler, err
}

const (
	// unpreparedAdvice is for a pool without the function that gets warnings.
	unpreparedAdvice = "call sessionstore.ConfigurePool with the pool's configuration before the" +
		" pool is made: pgx drops the warning of a commit that did not wait for its synchronous standby"
	// hiddenAdvice is for a server that does not send the warning.
	hiddenAdvice = "remove client_min_messages from the role and the database:" +
		" it hides the warning of a commit that did not wait for its synchronous standby"
)

// NoticesDropped returns what to do if the server has synchronous standbys, and
// its warning of a commit that did not wait for one can't be received; empty
// for nothing.
func (s *Store) NoticesDropped(ctx context.Context) (advice string, err error) {
	conn := func(ctx context.Context, c *pgxpool.Conn) error {
		const query = "SELECT pg_catalog.current_setting('synchronous_standby_names') <> ''," +
			" pg_catalog.current_setting('client_min_messages') IN ('error', 'fatal', 'panic')"
		var standbys, hidden bool
		if err := c.QueryRow(ctx, query).Scan(&standbys, &hidden); err != nil || !standbys {
			return err
		}
		switch {
		case waitsOf(c.Conn().PgConn()) == nil:
			advice = unpreparedAdvice
		case hidden:
			advice = hiddenAdvice
		}
		return nil
	}
	err = s.exec.exec(ctx, statement{op: opCheck, conn: conn})
	return advice, err
}
