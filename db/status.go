package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3/database"
)

// State is one migration and whether it has been applied.
type State struct {
	Version int64
	Name    string    // of the file; empty if only the database knows this migration, because a newer version applied it
	Applied bool      // false is pending
	At      time.Time // when it was applied, by the server's clock and time zone; zero while pending
}

// Status returns every migration that this version of the library or the database knows, in order. It only reads:
// it waits for nobody, and works on a database without the schema and on a read-only server.
func Status(ctx context.Context, pool *pgxpool.Pool, opts Options) ([]State, error) {
	m, err := newMigration(pool, opts, "status")
	if err != nil {
		return nil, err
	}
	states, err := m.states(ctx)
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	return states, nil
}

// Version returns the highest migration that the database has, 0 if none, and the highest that this version of the
// library has. The library works with a database that is at its own version or a higher one. Version only reads.
func Version(ctx context.Context, pool *pgxpool.Pool, opts Options) (database, library int64, err error) {
	m, err := newMigration(pool, opts, "version")
	if err != nil {
		return 0, 0, err
	}
	states, err := m.states(ctx)
	if err != nil {
		return 0, 0, m.explain(ctx, err)
	}
	for _, s := range states {
		if s.Name != "" {
			library = s.Version
		}
	}
	return databaseVersion(states), library, nil
}

// states does without goose, which would make the version table where there is none.
func (m *migration) states(ctx context.Context) ([]State, error) {
	states, err := m.pending()
	if err != nil {
		return nil, err
	}
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	for version, at := range applied {
		i := slices.IndexFunc(states, func(s State) bool { return s.Version == version })
		if i < 0 {
			states = append(states, State{Version: version, Applied: true, At: at})
			continue
		}
		states[i].Applied, states[i].At = true, at
	}
	slices.SortFunc(states, func(a, b State) int { return int(a.Version - b.Version) })
	return states, nil
}

// pending returns the embedded migrations, as if none had been applied.
func (m *migration) pending() ([]State, error) {
	files, err := fs.Glob(m.files, "*.sql")
	if err != nil {
		return nil, err
	}
	states := make([]State, len(files))
	for i, name := range files {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", name, err)
		}
		states[i] = State{Version: version, Name: name}
	}
	return states, nil
}

// applied reads the version table. Its times are goose's: without a zone, in the time zone of the session that wrote
// them, which the server's own default is the best guess at.
func (m *migration) applied(ctx context.Context) (map[int64]time.Time, error) {
	exists, err := m.hasVersionTable(m.pool.QueryRow(ctx, versionTableState, m.schema))
	if err != nil || !exists {
		return nil, err
	}
	// Row 0 is goose's own.
	rows, err := m.pool.Query(ctx,
		`SELECT version_id, max(tstamp)::timestamptz FROM `+m.versionTable()+` WHERE version_id > 0 GROUP BY version_id`)
	if err != nil {
		return nil, err
	}
	applied := make(map[int64]time.Time)
	var version int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error {
		applied[version] = at
		return nil
	})
	return applied, err
}

// versionTableState says whether there is a version table, and whose it is when nobody knows how it came to be: nothing has been
// migrated, and it belongs to somebody who may do less than the role that migrates, and is not the owner of the database. Whoever may do
// all that it may gains nothing by a trap: itself, a superuser, and after db/ops/roles.sql the role that migrated before the owner did.
const versionTableState = `
	SELECT count(*) > 0, coalesce(max(pg_catalog.pg_get_userbyid(t.relowner)) FILTER (WHERE
		NOT pg_catalog.pg_has_role(t.relowner, current_user, 'USAGE')
		AND t.relowner <> (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database())
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text)), '')
	FROM pg_catalog.pg_class AS t
	WHERE t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public') AND t.relname = $1::text || '_migrations'`

// hasVersionTable reads a versionTableState. A table of a stranger is an error: its triggers and policies would run as whoever migrates, and
// before Postgres 15 anybody may make one in the schema public.
func (m *migration) hasVersionTable(row interface{ Scan(...any) error }) (exists bool, err error) {
	var stranger string
	if err := row.Scan(&exists, &stranger); err != nil {
		return false, err
	}
	if stranger != "" {
		return false, fmt.Errorf("the table %s belongs to role %s, though nothing has been migrated: drop it, or migrate as that role",
			m.versionTable(), pgx.Identifier{stranger}.Sanitize())
	}
	return exists, nil
}

// makeVersionTable does what goose would do next. But goose takes every failure for a race with another instance, and
// tries for three seconds to make a table that its role may not make.
func (m *migration) makeVersionTable(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // without effect after Commit

	exists, err := m.hasVersionTable(tx.QueryRowContext(ctx, versionTableState, m.schema))
	if err != nil || exists {
		return err
	}
	store, err := database.NewStore(database.DialectPostgres, m.versionTable())
	if err != nil {
		return err
	}
	if err := store.CreateVersionTable(ctx, tx); err != nil {
		return err
	}
	if err := store.Insert(ctx, tx, database.InsertRequest{Version: 0}); err != nil {
		return err
	}
	return tx.Commit()
}

func anyPending(states []State) bool {
	return slices.ContainsFunc(states, func(s State) bool { return !s.Applied })
}

func databaseVersion(states []State) int64 {
	var version int64
	for _, s := range states {
		if s.Applied {
			version = s.Version
		}
	}
	return version
}

// checkKnown refuses to go down from a version whose migrations are not here.
func checkKnown(states []State) error {
	for _, s := range states {
		if s.Name == "" {
			return fmt.Errorf("migration %d was applied by a newer version of pgsession: go down with that version", s.Version)
		}
	}
	return nil
}
