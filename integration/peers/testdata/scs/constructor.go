package scs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/sessionstore"
)

// stores are ready before the tests begin, which measure times. Each is in a
// schema of its own, as each SessionManager of the tests has its own memory.
var stores = make(chan *scsstore.Store, 64)

func init() {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(os.Getenv("PEERS_DATABASE_URL"))
	if err != nil {
		panic("PEERS_DATABASE_URL is not valid")
	}
	config.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	for i := range cap(stores) {
		schema := fmt.Sprintf("scs_%d", i)
		if _, err := db.Up(ctx, pool, db.Options{Schema: schema}); err != nil {
			panic(err)
		}
		manager, err := sessionstore.New(ctx, pool, sessionstore.Config{
			Secrets: []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
			Schema:  schema, Logger: slog.New(slog.DiscardHandler), StoreTimeout: 30 * time.Second,
			Outage: sessionstore.OutageConfig{DisableEmergency: true},
		})
		if err != nil {
			panic(err)
		}
		stores <- scsstore.New(manager.Store(), scsstore.Options{Pool: pool, Schema: schema})
	}
}

// newStore returns a store that no other SessionManager has.
func newStore() *scsstore.Store { return <-stores }
