package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const PoolerAdvice = "a pooler in between mixes prepared statements up: add default_query_exec_mode=exec to DATABASE_URL, or let the pooler keep them (PgBouncer 1.21 with max_prepared_statements)"

// BehindPooler says whether a pooler stands in between that hands prepared statements on as they are. That is
// harmless while a client keeps its server, as in session pooling, and breaks statements in transaction pooling; which of the
// two it is can't be seen from here.
//
// A pooler gives itself away by the process id it claims to be, and one that keeps statements by not handing their names on.
func (p *Store) BehindPooler(ctx context.Context) (pooler bool, err error) {
	err = p.do(ctx, opCheck, func(ctx context.Context) error {
		return p.on(ctx, opCheck, func(c *pgxpool.Conn) error {
			conn := c.Conn()
			if mode := conn.Config().DefaultQueryExecMode; mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
				return nil
			}
			var pid, own uint32
			own = conn.PgConn().PID()
			if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil || pid == own {
				return err
			}
			const name = "pgsession_probe"
			if _, err := conn.PgConn().Prepare(ctx, name, "SELECT 1", nil); err != nil {
				return err
			}
			defer func() { _ = conn.PgConn().Deallocate(ctx, name) }()
			return conn.QueryRow(ctx, "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_prepared_statements WHERE name = '"+name+"'", pgx.QueryExecModeSimpleProtocol).Scan(&pooler)
		})
	})
	return pooler, err
}
