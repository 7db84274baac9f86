package migrate_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// database is a new, empty database that is dropped with its test.
type database struct {
	url  string
	name string
	pool *pgxpool.Pool
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	name := "migrate_test_" + strings.ToLower(rand.Text()[:10])
	onServer(t, `CREATE DATABASE `+name)
	t.Cleanup(func() { onServer(t, `DROP DATABASE `+name+` WITH (FORCE)`) })

	u := serverURL(t)
	u.Path = "/" + name
	return &database{url: u.String(), name: name, pool: newPool(t, u.String())}
}

// newRole makes a role with no rights, for with("role", …). Then a test needs
// no password.
func newRole(t *testing.T) string {
	t.Helper()
	name := "migrate_test_" + strings.ToLower(rand.Text()[:10])
	onServer(t, `CREATE ROLE `+name+` NOLOGIN`)
	t.Cleanup(func() { onServer(t, `DROP ROLE `+name) })
	return name
}

// with returns the URL with a setting of the server for every connection.
func (d *database) with(t *testing.T, setting, value string) string {
	t.Helper()
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("options", "-c "+setting+"="+value)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // to libpq and pgx a + is a +
	return u.String()
}

func (d *database) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := d.pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// up migrates, and fails the test if that fails.
func (d *database) up(t *testing.T) []db.Step {
	t.Helper()
	steps, err := db.Up(t.Context(), d.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// number returns the number that a query selects.
func (d *database) number(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := d.pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// eventually waits until a query returns 1 or more.
func (d *database) eventually(t *testing.T, what, query string, args ...any) {
	t.Helper()
	testkit.Eventually(t, what, func() bool { return d.number(t, query, args...) > 0 })
}

func newPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func serverURL(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(os.Getenv("TEST_DATABASE_URL"))
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is not a URL")
	}
	return u
}

// onServer runs a statement in the database of TEST_DATABASE_URL. It may be
// called in a cleanup.
func onServer(t *testing.T, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, serverURL(t).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}
