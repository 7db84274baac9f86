package pgtest

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// HoldDelete makes a DELETE of one session wait until release is called. It is
// for tests of a running prune, which skips a locked row. id is an expression.
func HoldDelete(t testing.TB, pool *pgxpool.Pool, id string) (release func()) {
	t.Helper()
	Exec(t, pool, `
		CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(5); RETURN OLD; END';
		CREATE TRIGGER hold BEFORE DELETE ON pgsession.sessions FOR EACH ROW WHEN (OLD.id = `+id+`) EXECUTE FUNCTION public.hold()`,
		pgx.QueryExecModeSimpleProtocol)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(release)
	if _, err := tx.Exec(t.Context(), "SELECT pg_catalog.pg_advisory_xact_lock(5)"); err != nil {
		t.Fatal(err)
	}
	return release
}
