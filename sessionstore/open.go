package sessionstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/postgres"
)

const needDatabase = "is not set: outside development sessions need Postgres, " +
	"such as postgres://user:password@host:5432/database"

// Open makes a Manager from a Config. It connects to Postgres, checks the
// schema, and logs the settings in force in one line. [Manager.Close] closes
// what Open has opened. In Development, without a DatabaseURL, sessions live in
// memory.
//
// If Postgres is unavailable, Open succeeds: sessions live in memory until
// Postgres is available. If Redis is unavailable, Open logs a WARN and
// succeeds. Errors:
//   - *[ConfigError]: a setting is wrong. The error has all of them.
//   - [ErrUnavailable]: Postgres is unavailable, and
//     [OutageConfig.DisableEmergency] is set. The error names the host.
//   - any other: the schema lacks something. The error names what, and the
//     command that makes it.
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

// New makes a Manager as [Open] does, on a pool of the application's own.
// [Manager.Close] does not close the pool. New ignores cfg.DatabaseURL. Call
// [ConfigurePool] with the pool's configuration before you make the pool.
func New(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return open(ctx, pool, cfg)
}

func open(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Manager, error) {
	pg, err := postgres.NewIn(pool, cfg.Schema, cfg.Expiry(), cfg.StoreTimeout,
		postgres.WithTracer(cfg.Tracer), postgres.WithLogger(cfg.Logger),
		postgres.WithEvents(cfg.RecordEvents))
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
	flushing, cancel := context.WithTimeout(ctx, cfg.StoreTimeout)
	defer cancel()
	_ = m.events.flush(flushing) // an emergency that begins here is logged before this line
	attrs := []any{"store", m.store.Name(), "active", stats.Active, "exact", stats.Exact}
	if stats.Capped {
		attrs = append(attrs, "capped", true)
	}
	cfg.Logger.InfoContext(ctx, "sessions open", append(attrs, cfg.inForce()...)...)
	return m, nil
}

func openMemory(ctx context.Context, cfg Config) (*Manager, error) {
	m, err := newManager(NewMemory(cfg.Expiry(), 0), cfg, newEvents(cfg.Observer, cfg.Logger))
	if err != nil {
		return nil, err
	}
	attrs := []any{
		"advice", "sessions end with this process: set DATABASE_URL to keep them in Postgres",
		"store", m.store.Name(), "active", 0,
	}
	cfg.Logger.WarnContext(ctx, "sessions open in memory", append(attrs, cfg.inForce()...)...)
	return m, nil
}

// openPool makes the pool without a connection. It bounds the time of a
// connection attempt, which pgx does not: a server that hangs must not hang
// requests.
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

// checkForOpen returns the faults of a Config, its DatabaseURL included.
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

// databaseProblem returns the fault of DatabaseURL; "" for none.
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
