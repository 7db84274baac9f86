package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Under a stricter isolation than READ COMMITTED, a statement for many rows
// fails if another one has just changed any of them.
func TestStricterIsolationBesideTouches(t *testing.T) {
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			const many = 20_000
			c := hire(t, func(pc *pgxpool.Config) {
				pc.ConnConfig.RuntimeParams["default_transaction_isolation"] = string(level)
			})
			fill(t, c.admin, "ada", many)
			rows, err := c.admin.Query(t.Context(),
				"SELECT id FROM pgsession.sessions ORDER BY id LIMIT 4000")
			if err != nil {
				t.Fatal(err)
			}
			raw, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
			if err != nil {
				t.Fatal(err)
			}
			touches := make([]store.Touch, len(raw))
			for i := range raw {
				touches[i].ID = store.ID(raw[i])
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			for range 2 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := c.store.Touch(ctx, touches); err != nil && ctx.Err() == nil {
							t.Errorf("a touch: %v", err)
						}
					}
				})
			}
			ids, _, err := c.store.Revoke(t.Context(), store.Selection{UserID: "ada"})
			if err != nil || len(ids) != many {
				t.Errorf("%d of %d sessions revoked: %v", len(ids), many, err)
			}
			left := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions")
			if left != 0 {
				t.Errorf("%d sessions are left", left)
			}
		})
	}
}
