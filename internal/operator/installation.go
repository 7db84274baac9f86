package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore"
)

const (
	// storeTimeout bounds a statement of the library. It is longer than that of
	// an application, and no longer than statement_timeout of its role.
	storeTimeout = 30 * time.Second
	// connectTimeout applies to a URL without connect_timeout.
	connectTimeout = 10 * time.Second
	maxConns       = 4
)

// settings are the variables that lead to the sessions. A fault of a setting
// that leads neither to them nor to their cache is none of the operator's.
var settings = []string{
	"APP_ENV", "NODE_ENV", "DATABASE_URL", "DATABASE_URL_FILE", "SESSION_SCHEMA",
	"SESSION_RECORD_EVENTS",
}

// cacheSettings are the variables that lead to the cache.
var cacheSettings = []string{
	"USE_REDIS_SESSIONS", "REDIS_URL", "REDIS_URL_FILE", "SESSION_ENCRYPTION_KEY",
	"SESSION_ENCRYPTION_KEY_FILE", "SESSION_CACHE_FRESHNESS", "SESSION_LOCAL_FRESHNESS",
	"SESSION_EMERGENCY_GRACE",
}

// noSecret takes the place of SESSION_SECRET: nothing here makes or reads a
// cookie.
const noSecret = "this program neither makes nor reads a cookie"

var errNoDatabase = errors.New(
	"no database: set DATABASE_URL as the application has it, or give -database-url")

// lookup returns a variable of the environment, with the flags over it.
func (c *call) lookup(name string) (string, bool) {
	switch {
	case name == "DATABASE_URL" && c.databaseURL != "":
		return c.databaseURL, true
	case name == "DATABASE_URL_FILE" && c.databaseURL != "":
		return "", false
	case name == "SESSION_SCHEMA" && c.schema != "":
		return c.schema, true
	}
	return c.env(name)
}

// config reads the settings that lead to the sessions, but for some.
func (c *call) config(without ...string) (sessionstore.Config, error) {
	url, _ := c.lookup("DATABASE_URL")
	if file, _ := c.lookup("DATABASE_URL_FILE"); url == "" && file == "" {
		return sessionstore.Config{}, misused{errNoDatabase}
	}
	leading := slices.Concat(settings, cacheSettings)
	cfg, err := sessionstore.ConfigFrom(func(name string) (string, bool) {
		switch {
		case name == "SESSION_SECRET":
			return noSecret, true
		case slices.Contains(leading, name) && !slices.Contains(without, name):
			return c.lookup(name)
		}
		return "", false
	})
	if err != nil {
		return cfg, err
	}
	cfg.StoreTimeout = storeTimeout
	cfg.Outage.DisableEmergency = true
	cfg.Observer = func(context.Context, sessionstore.Event) {}
	cfg.Logger = slog.New(slog.NewTextHandler(c.progress, &slog.HandlerOptions{
		Level: slog.LevelWarn,
	}))
	return cfg, nil
}

// openPool makes a pool without a connection.
func openPool(cfg *sessionstore.Config) (*pgxpool.Pool, error) {
	pc, err := dburl.Parse(string(cfg.DatabaseURL))
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = connectTimeout
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "pgsession"
	}
	pc.MaxConns, pc.MinConns, pc.MinIdleConns = maxConns, 0, 0
	dburl.CheckTargetWithBuiltIns(pc)
	sessionstore.ConfigurePool(pc)
	return pgxpool.NewWithConfig(context.Background(), pc)
}

// installation is a database of sessions with its cache.
type installation struct {
	*sessionstore.Manager

	pool *pgxpool.Pool
	cfg  sessionstore.Config
	// standby is nil on a primary, and for a command that writes.
	standby *standby
}

// open opens the installation of the environment.
func (c *call) open(ctx context.Context) (*installation, error) {
	return c.connect(ctx, func(i *installation) (err error) {
		i.Manager, err = sessionstore.New(ctx, i.pool, i.cfg)
		return err
	})
}

// openToRead is open for a command that only reads: a standby and a read-only
// database will do. Its Manager has no cache.
func (c *call) openToRead(ctx context.Context) (*installation, error) {
	return c.connect(ctx, func(i *installation) error {
		pg, err := postgres.NewIn(i.pool, i.schemaName(), i.cfg.Expiry(), storeTimeout,
			postgres.WithLogger(i.cfg.Logger), postgres.WithStandby())
		if err != nil {
			return err
		}
		if err := pg.CheckReader(ctx); err != nil {
			return err
		}
		if i.standby, err = standbyOf(ctx, i.pool); err != nil {
			return err
		}
		if i.standby != nil && !c.json {
			_, _ = fmt.Fprintf(c.progress, "the server is a standby: %s\n", i.standby)
		}
		i.Manager, err = sessionstore.NewWithStore(pg, i.cfg)
		return err
	})
}

// connect opens the installation of the environment, unless a statement on it
// could run the code of a role with fewer rights.
func (c *call) connect(
	ctx context.Context, open func(*installation) error,
) (*installation, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	pool, err := openPool(&cfg)
	if err != nil {
		return nil, err
	}
	i := &installation{pool: pool, cfg: cfg}
	if err = checkOwners(ctx, pool, i.schemaName()); err == nil {
		err = open(i)
	}
	if err != nil {
		pool.Close()
		if !errors.As(err, new(*schema.LesserOwner)) {
			err = fmt.Errorf("%w: `pgsession doctor` says more", err)
		}
		return nil, err
	}
	return i, nil
}

// checkOwners returns a *schema.LesserOwner if a statement on the schema could
// run the code of a role with fewer rights.
func checkOwners(ctx context.Context, pool *pgxpool.Pool, schemaName string) error {
	readOnly := pgx.TxOptions{AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, pool, readOnly, func(tx pgx.Tx) error {
		const path = "SET LOCAL search_path = pg_catalog, pg_temp"
		if _, err := tx.Exec(ctx, path); err != nil {
			return err
		}
		return schema.CheckOwners(ctx, tx, schemaName)
	})
}

// close ends all connections. What it returns is not of interest: a revoke has
// been acknowledged before.
func (i *installation) close() {
	_ = i.Close()
	i.pool.Close()
}

// cached reports whether there is a cache in the environment.
func (i *installation) cached() bool {
	return i.cfg.Cache.UseRedis || i.cfg.Cache.LocalFreshness > 0
}

// row scans the one row of a query on the schema of the installation. It
// reports false for none.
func (i *installation) row(ctx context.Context, sql string, args, into []any) (bool, error) {
	err := i.pool.QueryRow(ctx, i.inSchema(sql), args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (i *installation) inSchema(sql string) string { return schema.Rename(sql, i.schemaName()) }

func (i *installation) schemaName() string { return cmp.Or(i.cfg.Schema, schema.Default) }

// place names the installation, so that a hand in the wrong terminal stops.
func (i *installation) place() string {
	at := i.pool.Config().ConnConfig
	return fmt.Sprintf("schema %s in database %s at %s", i.schemaName(), at.Database, at.Host)
}
