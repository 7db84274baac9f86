package db

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
)

// Mismatch is the error of [Validate] when the schema is not what this version
// of the library needs. It names each difference in plain words, and the
// command that repairs them.
type Mismatch = schema.Mismatch

// Validate checks that the schema in the database is what the migrations of
// this version make: tables, columns, indexes, constraints, functions and
// views, and not only what the version table says. It returns a [*Mismatch] if
// not. What is there beyond that is in order, so a schema of a newer version
// passes; but no trigger and no rule that can drop rows is, and no right of
// PUBLIC. Validate only reads the catalog.
//
// Of a CHECK, a view and a default it compares the name and what it calls, not
// what it says: releases of Postgres spell an expression in different ways, and
// an administrator may want another limit.
//
// It asks for more than an application does when it starts: also for what is
// there for the people who run the database, such as the procedure that a
// pg_cron job calls.
func Validate(ctx context.Context, pool *pgxpool.Pool, opts Options) error {
	m, err := newMigration(pool, opts, "validate")
	if err != nil {
		return err
	}
	// A newer version may have good reason for other bodies of functions.
	// Whether there is one can't be told without the right to read the version
	// table.
	states, err := m.states(ctx)
	known := err == nil && checkKnown(states) == nil
	err = m.read(ctx, func(tx pgx.Tx) error {
		err := schema.CheckAll(ctx, tx, m.schema)
		if known {
			return m.checkBodies(ctx, tx, err)
		}
		return err
	})
	if mismatch := (*Mismatch)(nil); err == nil || errors.As(err, &mismatch) {
		return err
	}
	return m.explain(ctx, err)
}

// functionInFile is a function or procedure of a migration, with its body.
var functionInFile = regexp.MustCompile(`(?s)CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) \w+\.(\w+)\(.*?AS \$\$(.*?)\$\$;`)

// checkBodies adds to the result of a check which functions have another body
// than the migrations give them.
func (m *migration) checkBodies(ctx context.Context, tx pgx.Tx, checked error) error {
	mismatch := new(Mismatch)
	if checked != nil && !errors.As(checked, &mismatch) {
		return checked
	}
	bodies, err := m.bodies()
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT p.proname::text, p.prosrc FROM pg_catalog.pg_proc AS p
		JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
		WHERE n.nspname = $1::text ORDER BY 1`, m.schema)
	if err != nil {
		return err
	}
	mismatch.Schema = m.schema
	var name, body string
	_, err = pgx.ForEachRow(rows, []any{&name, &body}, func() error {
		known := slices.ContainsFunc(mismatch.Differences, func(d string) bool {
			return strings.HasPrefix(d, "function "+name+"(") && strings.Contains(d, ") returns ") // with another result goes another body
		})
		if want, ours := bodies[name]; ours && !known && body != want {
			mismatch.Differences = append(mismatch.Differences, "function "+name+" does not do what the migrations make it do")
		}
		return nil
	})
	if err != nil || len(mismatch.Differences) == 0 {
		return err
	}
	return mismatch
}

// bodies returns the bodies of the functions that the migrations make, by name.
func (m *migration) bodies() (map[string]string, error) {
	files, err := fs.Glob(m.files, "*.sql") // in the order of their numbers
	if err != nil {
		return nil, err
	}
	bodies := make(map[string]string)
	for _, file := range files {
		text, err := fs.ReadFile(m.files, file)
		if err != nil {
			return nil, err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, found := range functionInFile.FindAllStringSubmatch(up, -1) {
			bodies[found[1]] = found[2]
		}
	}
	return bodies, nil
}
