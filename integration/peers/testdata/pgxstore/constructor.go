package pgxstore

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// PostgresStore is the store of the library with what a SessionManager puts in
// front of it: the codec.
type PostgresStore struct {
	*scsstore.Store

	sessions store.Store
	stop     chan bool
	begin    func() // of the prune
}

// New makes a store whose sessions are pruned every five minutes.
func New(pool *pgxpool.Pool) *PostgresStore {
	return NewWithCleanupInterval(pool, 5*time.Minute)
}

// NewWithCleanupInterval makes a store whose sessions are pruned so often; 0 is
// never.
func NewWithCleanupInterval(pool *pgxpool.Pool, interval time.Duration) *PostgresStore {
	manager, err := sessionstore.New(context.Background(), pool, sessionstore.Config{
		Secrets: []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	p := &PostgresStore{
		Store:    scsstore.New(manager.Store(), scsstore.Options{Pool: pool}),
		sessions: manager.Store(),
	}
	if interval > 0 {
		p.stop = make(chan bool)
		p.begin = sync.OnceFunc(func() { go p.prune(interval) })
	}
	return p
}

func (p *PostgresStore) prune(interval time.Duration) {
	for {
		select {
		case <-time.After(interval):
			if _, _, err := p.sessions.Prune(context.Background(), 1000); err != nil {
				panic(err)
			}
		case <-p.stop:
			return
		}
	}
}

// StopCleanup ends the prune.
func (p *PostgresStore) StopCleanup() {
	if p.stop != nil {
		p.stop <- true
	}
}

// Find returns what Commit got.
func (p *PostgresStore) Find(token string) ([]byte, bool, error) {
	data, found, err := p.Store.Find(token)
	if err != nil || !found {
		return nil, false, err
	}
	_, values, err := p.Codec().Decode(data)
	v, _ := values["v"].([]byte)
	return v, true, err
}

// Commit stores data that no codec wrote.
func (p *PostgresStore) Commit(token string, data []byte, expiry time.Time) error {
	data, err := p.Codec().Encode(expiry, map[string]any{"v": data})
	if err != nil {
		return err
	}
	if p.begin != nil { // on a busy machine a first commit takes longer than the interval
		defer p.begin()
	}
	return p.Store.Commit(token, data, expiry)
}
