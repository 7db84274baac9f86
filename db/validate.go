package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
)

// Mismatch is the error of [Validate] when the schema is not what this version of the library needs. It names each
// difference in plain words, and the command that repairs them.
type Mismatch = schema.Mismatch

// Validate checks that the schema in the database is what the migrations of this version make: tables, columns,
// indexes, constraints, functions and views, and not only what the version table says. It returns a [*Mismatch] if not.
// What is there beyond that is in order, so a schema of a newer version passes. Validate only reads the catalog.
//
// It asks for more than an application does when it starts: also for what is there for the people who run the
// database, such as the procedure that a pg_cron job calls.
func Validate(ctx context.Context, pool *pgxpool.Pool, opts Options) error {
	m, err := newMigration(pool, opts, "validate")
	if err != nil {
		return err
	}
	err = schema.CheckAll(ctx, pool, m.schema)
	if mismatch := (*Mismatch)(nil); err == nil || errors.As(err, &mismatch) {
		return err
	}
	return m.explain(ctx, err)
}
