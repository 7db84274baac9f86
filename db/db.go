// Package db migrates the database schema that holds the sessions, and
// validates it.
//
//	steps, err := db.Up(ctx, pool, db.Options{})
//
// The migrations are files of goose. Up and Down run them with goose as a
// library. The command github.com/reporadar/pgsession/cmd/migrate does the same
// from a shell, and so does the stock goose command:
//
//	psql "$DATABASE_URL" -c 'CREATE SCHEMA IF NOT EXISTS pgsession'
//	goose -dir db/migrations -table pgsession.goose_db_version \
//	    postgres "$DATABASE_URL" up
//
// # What is created
//
// Up creates the schema pgsession with everything in it, and nothing outside.
// The table goose_db_version there lists which migrations were applied. The
// migrating role needs CREATE on the database, or an empty schema that it owns.
// It will own everything.
//
// # Many instances at once
//
// Every instance of an application may call Up when it starts. One instance
// migrates, the others wait, and all return without an error. If nothing is
// pending, Up only reads and takes no lock. The lock is an advisory
// lock of the migrating connection, so it ends with that connection even if the
// process is killed. The stock goose command takes no lock.
//
// # Connect directly
//
// Migrate over a direct connection, not through a pooler in transaction mode
// such as PgBouncer. There the lock belongs to a server connection that other
// clients share: it may not exclude them, or it may stay behind and block the
// next migration.
//
// # Going back
//
// Down undoes one migration; undoing the first one deletes all sessions.
// Releases only add to the schema, and the library works with a schema that is
// newer than itself. So the undo of a deployment needs no Down.
package db

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/internal/schema"
)

//go:embed migrations/*.sql ops/*.sql
var embedded embed.FS

// Options configures a call. The zero value means the schema pgsession and no
// log lines.
type Options struct {
	// Schema is the name of the schema: at most 48 lower-case letters, digits
	// and underscores. A database may have several, each with its own list of
	// migrations. Empty means "pgsession".
	Schema string

	// LockTimeout bounds each wait of Up and Down for a lock of a table, behind
	// which later statements on the table wait. Defaults to 3 s; at least 1 ms.
	LockTimeout time.Duration

	// KeepSessions has Down refuse to undo the first migration, which deletes
	// all sessions. Defaults to false.
	KeepSessions bool

	// DryRun has Baseline return what it would record, and record nothing.
	// Defaults to false.
	DryRun bool

	// Logger gets a line for each migration that was applied or undone, a
	// warning every ten seconds while another process migrates, and one of what
	// Validate could not compare. Nil means no lines.
	Logger *slog.Logger
}

// Step is a migration that was applied or undone.
type Step struct {
	Version  int64
	Name     string // of the file, such as 00001_sessions.sql
	Duration time.Duration
}

// Up applies all pending migrations and returns them in order. Then it
// validates the schema, as Validate does. It uses one connection of the pool at
// a time. Many processes may call it at once.
//
// If a migration fails, Up returns the error and the migrations before it,
// which stay applied; calling Up again continues. The error names the remedy
// for missing rights, a read-only server, a restored schema and the like, and
// contains no password. It is a [*Mismatch] if the list has every migration,
// and the schema is not what they make.
func Up(ctx context.Context, pool *pgxpool.Pool, opts Options) ([]Step, error) {
	m, err := newMigration(pool, opts, "up")
	if err != nil {
		return nil, err
	}
	states, err := m.states(ctx)
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	var steps []Step
	if anyPending(states) {
		err := m.read(ctx, func(tx pgx.Tx) error { return schema.CheckEncoding(ctx, tx, m.schema) })
		if err != nil {
			return nil, m.explain(ctx, err)
		}
		if steps, err = m.run(ctx, (*goose.Provider).Up); err != nil {
			return steps, err
		}
	}
	err = m.validate(ctx, false)
	if mismatch := (*Mismatch)(nil); errors.As(err, &mismatch) {
		return steps, fmt.Errorf("migrate up: every migration is applied: %w", err)
	}
	if err != nil {
		return steps, m.explain(ctx, err)
	}
	return steps, nil
}

// Down undoes the latest migration and returns it, or nothing if none is
// applied. Undoing the first one deletes all sessions, and leaves the schema
// with its list of migrations. Down takes the lock of Up. If another process
// undoes the migration meanwhile, Down undoes nothing.
func Down(ctx context.Context, pool *pgxpool.Pool, opts Options) ([]Step, error) {
	m, err := newMigration(pool, opts, "down")
	if err != nil {
		return nil, err
	}
	states, err := m.states(ctx)
	if err == nil {
		err = checkKnown(states)
	}
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	latest := databaseVersion(states)
	switch {
	case latest == 0:
		return nil, nil
	case latest == states[0].Version && opts.KeepSessions:
		return nil, fmt.Errorf("migrate down: nothing undone: it would delete all sessions of "+
			"schema %s: add -yes", m.schema)
	}
	return m.run(ctx,
		func(p *goose.Provider, ctx context.Context) ([]*goose.MigrationResult, error) {
			now, err := p.GetDBVersion(ctx)
			if err != nil || now != latest { // another process has undone it
				return nil, err
			}
			result, err := p.ApplyVersion(ctx, latest, false)
			if err != nil {
				return nil, err
			}
			return []*goose.MigrationResult{result}, nil
		})
}

// migration is one call of this package.
type migration struct {
	pool   *pgxpool.Pool
	schema string
	verb   string // begins errors
	logger *slog.Logger
	files  fs.FS
	listed bool // states has found a version table
	// lockTimeout bounds each wait for the lock of a table; 0 is that of the
	// server.
	lockTimeout time.Duration
}

// usualLockTimeout is that of the migrations.
const usualLockTimeout = 3 * time.Second

func newMigration(pool *pgxpool.Pool, opts Options, verb string) (*migration, error) {
	m := &migration{
		pool:   pool,
		schema: cmp.Or(opts.Schema, schema.Default),
		verb:   verb,
		logger: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
	}
	if err := schema.CheckName(m.schema); err != nil {
		return nil, fmt.Errorf("migrate %s: %w", verb, err)
	}
	if d := opts.LockTimeout; d != 0 && d < time.Millisecond {
		return nil, fmt.Errorf("migrate %s: lock timeout %v is too short: use 3s", verb, d)
	}
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrate %s: %w", verb, err)
	}
	m.files = forCall{files, m.schema, opts.LockTimeout}
	m.lockTimeout = opts.LockTimeout
	if verb == "up" || verb == "down" {
		m.lockTimeout = cmp.Or(m.lockTimeout, usualLockTimeout)
	}
	return m, nil
}

// versionTable returns the qualified name, so that search_path doesn't matter.
// It needs no quotes.
func (m *migration) versionTable() string { return m.schema + ".goose_db_version" }

func (m *migration) versions() versions {
	return versions{m.versionTable(), m.schema, m.lockTimeout}
}

// run calls do with goose under the lock of this schema.
//
// The session lockers of goose don't cover its first step, which looks for the
// version table and creates it. Ten instances that start together would collide
// there and wait for whole seconds.
func (m *migration) run(
	ctx context.Context,
	do func(*goose.Provider, context.Context) ([]*goose.MigrationResult, error),
) ([]Step, error) {
	db := sql.OpenDB(newLock(m))
	db.SetMaxOpenConns(1) // a second one would wait for the lock of the first
	db.SetMaxIdleConns(1)

	provider, err := goose.NewProvider(goose.DialectCustom, db, m.files,
		goose.WithStore(m.versions()),
		// an application may register Go migrations of its own
		goose.WithDisableGlobalRegistry(true),
	)
	if err != nil {
		return nil, errors.Join(m.explain(ctx, err), db.Close())
	}
	var results []*goose.MigrationResult
	if err = m.makeVersionTable(ctx, db, nil); err == nil {
		results, err = do(provider, ctx)
	}
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		results = partial.Applied
	}
	// Close before explain, which may need a connection from a pool of one. An
	// error of Close is ignored: it changes nothing that was migrated, and the
	// lock ends with the connection.
	_ = db.Close()

	steps := make([]Step, len(results))
	for i, r := range results {
		steps[i] = Step{
			Version: r.Source.Version, Name: path.Base(r.Source.Path), Duration: r.Duration,
		}
		m.logger.InfoContext(ctx, "migrated", "schema", m.schema, "direction", r.Direction,
			"migration", steps[i].Name, "duration", r.Duration)
	}
	if err != nil {
		return steps, m.explain(ctx, err)
	}
	return steps, nil
}
