package sessionstore_test

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// forward copies recorded events to a table of the application, each once: the
// cursor is committed with them. It returns when ctx ends, or at an error.
func forward(ctx context.Context, pool *pgxpool.Pool, sessions *sessionstore.Manager) error {
	var cursor string
	row := pool.QueryRow(ctx, "SELECT cursor FROM audit_reader")
	if err := row.Scan(&cursor); err != nil {
		return err
	}
	for {
		events, next, err := sessions.Events(ctx, cursor)
		if err != nil {
			return err // with ErrEventCursor, begin with an empty cursor
		}
		if len(events) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
			continue
		}
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			// An event that was copied before has the same ID and time.
			_, err = tx.Exec(ctx, `INSERT INTO audit (id, at, kind, user_id, actor)
				VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id, at) DO NOTHING`,
				e.ID, e.At, e.Kind.String(), e.UserID, e.Actor)
			if err != nil {
				break
			}
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE audit_reader SET cursor = $1", next)
		}
		if err == nil {
			err = tx.Commit(ctx)
		}
		if err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx))
			return err
		}
		cursor = next
	}
}

// A job of the application copies recorded events to a table of its own.
func ExampleManager_Events() {
	_ = forward // needs a Postgres with the tables audit and audit_reader
}
