package servers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// answerTime is how long a named server may take to answer.
const answerTime = 10 * time.Second

// named returns the first of the variables that is set, and its value.
func (o Options) named(variable string) (name, value string) {
	names := []string{variable}
	if o.Test {
		names = []string{"TEST_" + variable, variable}
	}
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// namedPostgres returns nil without an error when no server is named.
func namedPostgres(ctx context.Context, o Options) (*Server, error) {
	variable, target := o.named("DATABASE_URL")
	if variable == "" {
		return nil, nil
	}
	config, err := pgx.ParseConfig(target)
	if err != nil {
		// The parser's error may quote the value, password and all.
		return nil, fmt.Errorf("servers: %s is not a Postgres URL", variable)
	}
	where := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))

	database := ""
	if o.Test {
		database = "pgsession_test_" + password()
	}
	err = execute(ctx, target, creation(database))
	if err != nil {
		return nil, fmt.Errorf("servers: %s names %s, which does not answer as it should: %w",
			variable, where, err)
	}
	if database == "" {
		return &Server{URL: target, How: fmt.Sprintf("the server at %s that %s names", where,
			variable)}, nil
	}
	return &Server{
		URL: withDatabase(target, database),
		How: fmt.Sprintf("database %s on the server at %s that %s names", database, where,
			variable),
		close: func() error {
			// FORCE: a connection that is still open is from a test that leaked
			// it.
			return execute(context.WithoutCancel(ctx), target,
				"DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
		},
	}, nil
}

// creation returns the statement that makes a database, or one that does
// nothing.
func creation(database string) string {
	if database == "" {
		return "SELECT 1"
	}
	return "CREATE DATABASE " + database
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, target, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// withDatabase points a connection string, in either of its two forms, at
// another database of the same server.
func withDatabase(target, database string) string {
	if !strings.Contains(target, "://") {
		return target + " dbname=" + database // the last one counts
	}
	parsed, err := url.Parse(target)
	if err != nil {
		panic("BUG: servers: a connection string that pgx reads is not a URL")
	}
	query := parsed.Query()
	query.Del("dbname")
	query.Del("database")
	parsed.RawQuery = query.Encode()
	parsed.Path = "/" + database
	return parsed.String()
}

// namedRedis returns nil without an error when no server is named.
func namedRedis(ctx context.Context, o Options) (*Server, error) {
	variable, target := o.named("REDIS_URL")
	if variable == "" {
		return nil, nil
	}
	config, err := redis.ParseURL(target)
	if err != nil {
		return nil, fmt.Errorf("servers: %s is not a Redis URL", variable)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := ping(ctx, target); err != nil {
		return nil, fmt.Errorf("servers: %s names %s, which does not answer as it should: %w",
			variable, config.Addr, err)
	}
	return &Server{URL: target, How: fmt.Sprintf("the server at %s that %s names", config.Addr,
		variable)}, nil
}
