// Package db makes and changes the database schema that sessions live in, and checks it.
//
//	steps, err := db.Up(ctx, pool, db.Options{})
//
// The migrations in this package are files of goose. Up and Down run them with goose as a library, the command
// github.com/reporadar/pgsession/cmd/migrate does the same from a shell, and the stock goose command can be used
// instead at any time:
//
//	goose -dir db/migrations -table public.pgsession_migrations postgres "$DATABASE_URL" up
//
// # What is created
//
// The schema pgsession with everything in it, and the table public.pgsession_migrations, where goose notes what has
// been applied. It lies outside the schema because goose needs it before the first migration makes the schema. The
// role that migrates needs CREATE on the database and on the schema public; it will own everything.
//
// # Many instances at once
//
// Up may be called by every instance of an application as it starts. One migrates, the others wait for it, and all
// return without an error. When there is nothing to do, which is nearly always, Up reads one small table and takes no
// lock. The lock is an advisory lock of the connection that migrates: it ends with that connection, even if the
// process is killed. The stock goose command takes no lock.
//
// # Connect directly
//
// Migrate over a direct connection. Through a pooler in transaction mode, such as PgBouncer's, the lock belongs to a
// connection of the pooler that others use too: it may protect nobody, or be left behind and block the next migration.
//
// # Going back
//
// Down undoes one migration, and with the first one all sessions are gone. Releases only add to the schema: the
// library works with a schema that is newer than itself, so undoing a deploy needs no Down.
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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/internal/schema"
)

//go:embed migrations/*.sql ops/*.sql
var embedded embed.FS

// Options says what to migrate. The zero value is the schema pgsession, silently.
type Options struct {
	// Schema is the name of the schema, at most 48 lower-case letters, digits and underscores. Several may live side
	// by side in one database, each with a version table public.<schema>_migrations. Defaults to "pgsession".
	Schema string

	// Logger is told of each migration that was applied or undone, and warned when another process migrates for
	// longer than ten seconds. Nil logs nothing.
	Logger *slog.Logger
}

// Step is one migration that was applied or undone.
type Step struct {
	Version  int64
	Name     string // of the file, such as 00001_sessions.sql
	Duration time.Duration
}

// Up applies every migration that has not been applied yet and returns them in order, none if there were none. It
// may be called by many processes at once. It uses one connection of the pool, and closes it.
//
// With an error it returns what was applied before the one that failed; that stays applied, and Up can be called
// again. The error says what to do about missing rights, a read-only server and the like, and holds no password.
func Up(ctx context.Context, pool *pgxpool.Pool, opts Options) ([]Step, error) {
	m, err := newMigration(pool, opts, "up")
	if err != nil {
		return nil, err
	}
	states, err := m.states(ctx)
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	if !anyPending(states) {
		return nil, nil
	}
	return m.run(ctx, (*goose.Provider).Up)
}

// Down undoes the migration that was applied last and returns it, none if none is applied. The first migration takes
// all sessions with it. Under the same lock as Up.
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
	if databaseVersion(states) == 0 {
		return nil, nil
	}
	return m.run(ctx, func(p *goose.Provider, ctx context.Context) ([]*goose.MigrationResult, error) {
		result, err := p.Down(ctx)
		switch {
		case errors.Is(err, goose.ErrNoNextVersion): // another process was faster
			return nil, nil
		case err != nil:
			return nil, err
		}
		return []*goose.MigrationResult{result}, nil
	})
}

// migration is one call of this package.
type migration struct {
	pool   *pgxpool.Pool
	schema string
	verb   string // for errors
	logger *slog.Logger
	files  fs.FS
}

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
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrate %s: %w", verb, err)
	}
	m.files = renamed{files, m.schema}
	return m, nil
}

// versionTable is qualified, so that search_path doesn't matter, and fits in without quotes.
func (m *migration) versionTable() string { return "public." + m.schema + "_migrations" }

func (m *migration) versions() versions { return versions{m.versionTable(), m.schema} }

// run does something with goose while this process is the only one to migrate this schema.
//
// The lock is not one of goose's own session lockers: these don't cover the moment in which goose looks for the
// version table and makes it, so ten instances that start together would collide there and wait for whole seconds.
func (m *migration) run(
	ctx context.Context, do func(*goose.Provider, context.Context) ([]*goose.MigrationResult, error),
) ([]Step, error) {
	db := sql.OpenDB(newLock(m))
	db.SetMaxOpenConns(1) // a second connection would wait for the lock of the first
	db.SetMaxIdleConns(1)

	provider, err := goose.NewProvider(goose.DialectCustom, db, m.files,
		goose.WithStore(m.versions()),
		goose.WithDisableGlobalRegistry(true), // the application may register Go migrations of its own
	)
	if err != nil {
		return nil, errors.Join(m.explain(ctx, err), db.Close())
	}
	var results []*goose.MigrationResult
	if err = m.makeVersionTable(ctx, db); err == nil {
		results, err = do(provider, ctx)
	}
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		results = partial.Applied
	}
	// Before the error is explained: that may need a connection, and the pool may have just one. What goes wrong in
	// closing changes nothing about what was migrated, and the lock ends with the connection.
	_ = db.Close()

	steps := make([]Step, len(results))
	for i, r := range results {
		steps[i] = Step{Version: r.Source.Version, Name: path.Base(r.Source.Path), Duration: r.Duration}
		m.logger.InfoContext(ctx, "migrated", "schema", m.schema, "direction", r.Direction,
			"migration", steps[i].Name, "duration", r.Duration)
	}
	if err != nil {
		return steps, m.explain(ctx, err)
	}
	return steps, nil
}
