package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// RevokeIn ends the sessions of a selection in a transaction of the caller's,
// and adds its mark. It returns the ids and how many there are.
func (p *Store) RevokeIn(ctx context.Context, tx pgx.Tx, sel store.Selection) (ids []store.ID, n int, err error) {
	trace.Run(ctx, p.Tracer, store.Call{Layer: store.LayerPostgres, Operation: store.OpRevoke}, func(ctx context.Context) store.CallResult {
		if err = inText(ctx, tx, func() (err error) {
			db := p.inSchema(tx)
			if err = p.markIn(ctx, db, &sel); err == nil {
				ids, n, err = p.revoke(ctx, db, sel, nil, p.distributed.Load())
			}
			return err
		}); err != nil {
			err = p.translate(ctx, err)
		}
		return store.CallResult{Err: err}
	})
	return ids, n, err
}

// inText runs statements whose results pgx may read as text.
func inText(ctx context.Context, tx pgx.Tx, statements func() error) error {
	conn := tx.Conn()
	if conn == nil {
		return statements()
	}
	mode := conn.Config().DefaultQueryExecMode
	if err := checkSettings(conn.PgConn(), mode); err != nil {
		return err
	}
	if textMode(mode) {
		return inHex(ctx, tx, statements)
	}
	return statements()
}
