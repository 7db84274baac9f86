package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
)

// Mismatch is the error of [Validate] for a schema that this version of the
// library can't use. It lists each difference and names the command that
// repairs them.
type Mismatch = schema.Mismatch

// Validate compares the schema in the database with the migrations of this
// version: tables, columns, indexes, constraints, functions and views. It only
// reads. A version table must list every migration; without one, another tool
// migrates the schema.
//
// It returns a [*Mismatch] if something is missing or different. A schema of a
// newer version passes, because additional objects are allowed. Exceptions are
// triggers and rules that can drop rows, and rights of PUBLIC.
//
// Of a CHECK, a view and a default it compares the name and the functions that
// it calls, not its text: versions of Postgres print an expression differently,
// and an administrator may want another limit.
//
// A role that may not read the version table compares neither that nor the
// bodies of functions; [Options.Logger] gets a line then.
//
// Validate checks more than an application does when it starts, such as the
// procedure that a pg_cron job calls.
func Validate(ctx context.Context, pool *pgxpool.Pool, opts Options) error {
	m, err := newMigration(pool, opts, "validate")
	if err != nil {
		return err
	}
	err = m.validate(ctx, false)
	if mismatch := (*Mismatch)(nil); err == nil || errors.As(err, &mismatch) {
		return err
	}
	return m.explain(ctx, err)
}

// validate returns a *Mismatch, or an error that is yet to be explained. An
// unlisted schema may lack rows in its version table.
func (m *migration) validate(ctx context.Context, unlisted bool) error {
	// A newer version may have other bodies of functions. Without the right to
	// read the version table it is unknown whether there is one.
	states, err := m.states(ctx)
	known := err == nil && checkKnown(states) == nil
	if err != nil {
		m.logger.WarnContext(ctx, "the bodies of functions and the list of migrations were not"+
			" compared: validate as the owner of the schema", "schema", m.schema,
			"error", m.explain(ctx, err))
	}
	err = m.read(ctx, func(tx pgx.Tx) error {
		err := schema.CheckAll(ctx, tx, m.schema)
		if known {
			return m.checkBodies(ctx, tx, err)
		}
		return err
	})
	if err != nil || !known || !m.listed || unlisted {
		return err
	}
	mismatch := &Mismatch{Schema: m.schema}
	for _, s := range states {
		if !s.Applied {
			mismatch.Differences = append(mismatch.Differences, fmt.Sprintf(
				"table goose_db_version does not list %s (%s; %s only if it was applied by another tool "+
					"or the list was lost)", s.Name, m.command("up"), m.command("baseline")))
		}
	}
	if len(mismatch.Differences) > 0 {
		return mismatch
	}
	return nil
}

// missingTable matches a difference.
var missingTable = regexp.MustCompile(`^table \w+ is missing$`)

// functionInFile matches a function or procedure of a migration and its body.
var functionInFile = regexp.MustCompile(
	`(?s)CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) \w+\.(\w+)\(.*?AS \$\$(.*?)\$\$;`)

// checkBodies adds the functions to the result of a check whose bodies differ
// from the migrations.
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
			// Another result implies another body.
			return strings.HasPrefix(d, "function "+name+"(") && strings.Contains(d, ") returns ")
		})
		if want, ours := bodies[name]; ours && !known && body != want {
			difference := " has another body than in the migrations"
			if other := m.nameBefore(body, want); other != "" {
				difference = fmt.Sprintf(" names the schema %s, as after ALTER SCHEMA RENAME"+
					" (CREATE OR REPLACE it with the name %s)", other, m.schema)
			}
			mismatch.Differences = append(mismatch.Differences, "function "+name+difference)
		}
		return nil
	})
	if err != nil || len(mismatch.Differences) == 0 {
		return err
	}
	return mismatch
}

// ownTable matches the schema's name in the body of a function.
var ownTable = regexp.MustCompile(`\b(\w+)\.(?:sessions|prune_state|prune_batch)\b`)

// nameBefore returns the schema's name in a body that differs from the wanted
// one by that name alone, or "".
func (m *migration) nameBefore(body, want string) string {
	found := ownTable.FindStringSubmatch(body)
	if found == nil || found[1] == m.schema ||
		strings.ReplaceAll(body, found[1]+".", m.schema+".") != want {
		return ""
	}
	return found[1]
}

// bodies returns the bodies of the functions of the migrations by name.
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
