// Package pgtest gives a test a database of its own on the server named by
// TEST_DATABASE_URL, which `make test` provides. Without that variable a test
// fails: it never skips.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// ServerURL returns the URL of the server under test.
func ServerURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_DATABASE_URL")
	if server == "" {
		t.Fatal("TEST_DATABASE_URL is not set: run the tests with `make test`")
	}
	return server
}

// EmptyDatabase makes a database without any schema and returns its URL. It is
// dropped when the test ends.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	server := ServerURL(t)
	name := "pgsession_t_" + strings.ToLower(rand.Text()[:12])
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is not a URL")
	}
	u.Path = "/" + name
	return u.String()
}

// Database makes a database with the schema of this version and returns its
// URL. It is dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	databaseURL := EmptyDatabase(t)
	pool := Pool(t, databaseURL)
	defer pool.Close() // tests count the connections
	if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}

// Pool opens a pool, which is closed when the test ends. Its search_path is the
// default one, as an application has it. configure may change the rest.
func Pool(t testing.TB, databaseURL string, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	for _, c := range configure {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Exec runs a statement that must succeed, and returns the number of rows.
func Exec(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) int64 {
	t.Helper()
	tag, err := pool.Exec(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag.RowsAffected()
}

// One runs a query for one value.
func One[T any](t testing.TB, pool *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// Age is SQL that moves a session into the past by so many seconds.
const Age = `
	UPDATE pgsession.sessions SET
		created_at = created_at - make_interval(secs => $2), last_seen_at = last_seen_at - make_interval(secs => $2),
		authenticated_at = authenticated_at - make_interval(secs => $2),
		pending_since = pending_since - make_interval(secs => $2),
		methods = (
			SELECT jsonb_object_agg(m.key, m.value || jsonb_build_object(
				'at', (m.value ->> 'at')::timestamptz - make_interval(secs => $2)))
			FROM jsonb_each(methods::jsonb) AS m
		),
		expires_at = expires_at - make_interval(secs => $2), absolute_expires_at = absolute_expires_at - make_interval(secs => $2)
	WHERE id = $1`

// AgeIn returns Age for a schema of another name.
func AgeIn(schemaName string) string {
	return strings.Replace(Age, "pgsession.", schemaName+".", 1)
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("the server of TEST_DATABASE_URL does not answer: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}
