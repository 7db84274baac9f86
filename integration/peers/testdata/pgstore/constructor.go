package pgstore

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/reporadar/pgsession/adapters/gorillastore"
	"github.com/reporadar/pgsession/sessionstore"
)

// PGStore is the library's store.
type PGStore struct {
	*gorillastore.Store

	DbPool  *sql.DB
	pool    *pgxpool.Pool
	manager *sessionstore.Manager
}

// NewPGStore returns the library's store.
func NewPGStore(dsn string, keys ...[]byte) (*PGStore, error) {
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		return nil, err
	}
	m, err := sessionstore.New(context.Background(), pool, sessionstore.Config{
		Secrets: []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return &PGStore{
		Store: gorillastore.New(m.Store(), keys...), DbPool: stdlib.OpenDBFromPool(pool),
		pool: pool, manager: m,
	}, nil
}

// Close closes the pool.
func (p *PGStore) Close() {
	_ = p.DbPool.Close()
	_ = p.manager.Close()
	p.pool.Close()
}

// MaxLength does nothing.
func (*PGStore) MaxLength(int) {}

// Cleanup prunes until quit.
func (p *PGStore) Cleanup(interval time.Duration) (chan<- struct{}, <-chan struct{}) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-time.After(interval):
				if _, err := p.manager.Prune(context.Background()); err != nil {
					panic(err)
				}
			case <-quit:
				return
			}
		}
	}()
	return quit, done
}

// StopCleanup ends the prune.
func (*PGStore) StopCleanup(quit chan<- struct{}, done <-chan struct{}) {
	quit <- struct{}{}
	<-done
}
