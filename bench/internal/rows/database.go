package rows

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// Connections is the size of every contestant's pool on Postgres. On two cores
// more connections make plain pgx and scs slower, and fewer do not make them
// faster. The library needs only some of them.
const Connections = 16

// Database is a database on a server, with the library's schema and the table
// of scs.
type Database struct {
	URL  string
	Pool *pgxpool.Pool // of the harness; contestants have their own

	server, name string
}

// NewDatabase creates a database on the server.
func NewDatabase(ctx context.Context, server, purpose string) (*Database, error) {
	u, err := url.Parse(server)
	if err != nil {
		// without err, which quotes the password
		return nil, errors.New("DATABASE_URL is not a URL")
	}
	d := &Database{
		server: server, name: "pgsession_bench_" + purpose + "_" + strings.ToLower(rand.Text()[:8]),
	}
	u.Path = "/" + d.name
	d.URL = u.String()
	if err := d.admin(ctx, "CREATE DATABASE "+d.name); err != nil {
		return nil, err
	}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Database) open(ctx context.Context) (err error) {
	if d.Pool, err = d.Connect(ctx, 4); err != nil {
		return err
	}
	if _, err := db.Up(ctx, d.Pool, db.Options{}); err != nil {
		return err
	}
	return d.Exec(ctx, scsTable)
}

// Connect opens a pool with all its connections. configure may change other
// settings.
func (d *Database) Connect(
	ctx context.Context, connections int, configure ...func(*pgxpool.Config),
) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a Postgres URL")
	}
	config.MaxConns, config.MinConns = int32(connections), int32(connections)
	for _, c := range configure {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for pool.Stat().TotalConns() < int32(connections) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			pool.Close()
			return nil, ctx.Err()
		}
		if err := pool.Ping(ctx); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return pool, nil
}

// Bytes returns the size of a table with its indexes.
func (d *Database) Bytes(ctx context.Context, table string) (n int64, err error) {
	err = d.Pool.QueryRow(ctx, "SELECT pg_total_relation_size($1::regclass)", table).Scan(&n)
	return n, err
}

// Backends returns the processes that serve other connections to the database.
func (d *Database) Backends(ctx context.Context) (pids []int, err error) {
	rows, err := d.Pool.Query(ctx, `
		SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// Exec runs statements without arguments.
func (d *Database) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := d.Pool.Exec(ctx, s); err != nil {
			return fmt.Errorf("%.60s…: %w", strings.TrimSpace(s), err)
		}
	}
	return nil
}

// Close drops the database. It takes no context, because it must work after an
// interrupt.
func (d *Database) Close() error {
	if d.Pool != nil {
		d.Pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.admin(ctx, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)")
}

func (d *Database) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return fmt.Errorf("the server of DATABASE_URL does not answer: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
