package scs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/sessionstore"
)

var (
	number atomic.Int64
	pool   = sync.OnceValue(func() *pgxpool.Pool {
		pool, err := pgxpool.New(context.Background(), os.Getenv("PEERS_DATABASE_URL"))
		if err != nil {
			panic(err)
		}
		return pool
	})
)

// newStore makes a store in a schema of its own, as each SessionManager of
// these tests has its own memory.
func newStore() *scsstore.Store {
	schema := fmt.Sprintf("scs_%d", number.Add(1))
	if _, err := db.Up(context.Background(), pool(), db.Options{Schema: schema}); err != nil {
		panic(err)
	}
	manager, err := sessionstore.New(context.Background(), pool(), sessionstore.Config{
		Secrets: []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Schema:  schema, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return scsstore.New(manager.Store(), scsstore.Options{Pool: pool(), Schema: schema})
}
