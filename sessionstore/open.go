package sessionstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/postgres"
)

const needDatabase = "is not set: outside development sessions need Postgres, such as postgres://user:password@host:5432/database"

// Open makes a Manager from a Config: it connects to Postgres, checks that the
// schema is what this version needs, and logs in one line which stores are in
// use, how many sessions are active, and which timeouts, cookie name and
// SameSite are in force. In Development, without a DatabaseURL, sessions live
// in memory.
//
// When Postgres can't be reached, sessions live in memory until it is back, unless [Config.Outage.DisableEmergency] is set: then the
// error is [ErrUnavailable] with the host's name. A Redis that does not answer is a warning in the log. The other
// errors are every fault of the Config at once ([ConfigError]), and what is missing from the schema, with the command
// that creates it.
func Open(ctx context.Context, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.checkForOpen(); err != nil {
		return nil, err
	}
	if cfg.DatabaseURL == "" {
		return openMemory(ctx, cfg)
	}
	pool, err := openPool(cfg)
	if err != nil {
		return nil, err
	}
	m, err := open(ctx, pool, cfg)
	if err != nil {
		pool.Close()
		return nil, err
	}
	m.pool = pool.Close
	return m, nil
}

// New is [Open] with a pool of the application's own, which it goes on owning: [Manager.Close] does not close it.
// cfg.DatabaseURL is ignored. Have [postgres.ConfigurePool] prepare the pool's configuration.
func New(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return open(ctx, pool, cfg)
}

func open(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Manager, error) {
	pg, err := postgres.NewIn(pool, cfg.Schema, cfg.Expiry(), cfg.StoreTimeout,
		postgres.WithTracer(cfg.Tracer), postgres.WithLogger(cfg.Logger))
	if err != nil {
		return nil, err
	}
	q := newEvents(cfg.Observer, cfg.Logger)
	c, err := newChain(pg, cfg, q)
	if err != nil {
		return nil, err
	}
	m, err := newManager(c.store(), cfg, q)
	if err != nil {
		_ = c.close()
		return nil, err
	}
	m.chain = c
	if err := c.open(ctx, cfg); err != nil {
		_ = c.close()
		return nil, fmt.Errorf("sessionstore: open: %w", err)
	}
	stats, err := m.Estimate(ctx)
	if err != nil {
		_ = c.close()
		return nil, err
	}
	told, cancel := context.WithTimeout(ctx, cfg.StoreTimeout)
	defer cancel()
	_ = m.FlushEvents(told) // an emergency that begins here is in the log before this is
	attrs := append([]any{"store", m.StoreName(), "active", stats.Active, "exact", stats.Exact}, cfg.inForce()...)
	cfg.Logger.InfoContext(ctx, "sessions open", attrs...)
	return m, nil
}

func openMemory(ctx context.Context, cfg Config) (*Manager, error) {
	m, err := newManager(NewMemory(cfg.Expiry(), 0), cfg, newEvents(cfg.Observer, cfg.Logger))
	if err != nil {
		return nil, err
	}
	cfg.Logger.WarnContext(ctx, "sessions open in memory: they end with this process; set DATABASE_URL to keep them in Postgres",
		append([]any{"store", m.StoreName(), "active", 0}, cfg.inForce()...)...)
	return m, nil
}

// openPool makes the pool. It does not connect yet. What pgx would leave unbounded gets a bound: a server that hangs
// must not hang requests.
func openPool(cfg Config) (*pgxpool.Pool, error) {
	pc, err := dburl.Parse(string(cfg.DatabaseURL))
	if err != nil {
		return nil, configErrors{&ConfigError{Name: databaseURLName, Problem: err.Error()}}
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = cfg.StoreTimeout
	}
	postgres.ConfigurePool(pc)
	return pgxpool.NewWithConfig(context.Background(), pc)
}

const databaseURLName = "DatabaseURL (DATABASE_URL)"

// checkForOpen adds to the faults of a Config those of its DatabaseURL.
func (c *Config) checkForOpen() error {
	faults, _ := c.check().(configErrors)
	if problem := c.databaseProblem(); problem != "" {
		faults = append(faults, &ConfigError{Name: databaseURLName, Problem: problem})
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// databaseProblem says what is wrong with DatabaseURL; empty for nothing.
func (c *Config) databaseProblem() string {
	if c.DatabaseURL == "" {
		if c.Env != Development {
			return needDatabase
		}
		return ""
	}
	if _, err := dburl.Parse(string(c.DatabaseURL)); err != nil {
		return err.Error()
	}
	return ""
}
