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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"
)

// State is one migration and whether it was applied.
type State struct {
	Version int64
	// Name is the file's; empty if a newer version of the library applied it.
	Name    string
	Applied bool // false means pending
	// At is when it was applied, by the clock and time zone of the server. Zero
	// if pending.
	At time.Time
}

// Status returns every migration that this version of the library or the
// database knows, in order. It only reads and never waits for a lock. It works
// without the schema and on a read-only server.
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

// Version returns the highest migration of the database, or 0, and the highest
// one of this version of the library. The library works with a database at its
// own version or a higher one. Version only reads.
func Version(
	ctx context.Context, pool *pgxpool.Pool, opts Options,
) (database, library int64, err error) {
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

// states does not use goose, which would create a missing version table.
func (m *migration) states(ctx context.Context) ([]State, error) {
	states, err := m.pending()
	if err != nil {
		return nil, err
	}
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	m.listed = applied != nil
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

// pending returns the embedded migrations as if none was applied.
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
			return nil, fmt.Errorf("migration %s: invalid number: %w", name, err)
		}
		states[i] = State{Version: version, Name: name}
	}
	return states, nil
}

// applied reads the version table, and returns nil without one. goose stores
// times without a zone, in the zone of the session that migrated. The zone of
// the server is the best guess.
func (m *migration) applied(ctx context.Context) (map[int64]time.Time, error) {
	applied := make(map[int64]time.Time)
	db := stdlib.OpenDBFromPool(m.pool)
	defer func() { _ = db.Close() }() // the pool stays open

	exists, err := m.versions().with(ctx, db, forReading, func(q database.DBTxConn) error {
		// Row 0 is goose's own.
		rows, err := q.QueryContext(ctx, `SELECT version_id, tstamp::timestamptz FROM ONLY `+m.versionTable()+`
			WHERE version_id OPERATOR(pg_catalog.>) 0::bigint ORDER BY tstamp`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var version int64
			var at time.Time
			if err := rows.Scan(&version, &at); err != nil {
				return err
			}
			applied[version] = at
		}
		return rows.Err()
	})
	if !exists {
		return nil, err
	}
	return applied, err
}

// makeVersionTable creates the version table, and completes one that was
// restored without its rows. Without steps to record it creates the schema, or
// takes an empty one. goose would take every failure for a race with another
// instance, and retry for three seconds even if the role lacks the right.
func (m *migration) makeVersionTable(ctx context.Context, db *sql.DB, record []Step) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit

	versions := m.versions()
	if err := versions.prepare(ctx, tx); err != nil {
		return err
	}
	if err := versions.checkSchemaOwner(ctx, tx); err != nil {
		return err
	}
	exists, err := versions.check(ctx, tx)
	if err != nil {
		return err
	}
	if !exists && len(record) == 0 {
		if err := versions.makeSchema(ctx, tx); err != nil {
			return err
		}
	}
	if !exists {
		if err := versions.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
	}
	// Row 0 is goose's own.
	for _, step := range slices.Concat([]Step{{Version: 0}}, record) {
		if err := versions.record(ctx, tx, step.Version); err != nil {
			return err
		}
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

// checkKnown returns an error if a newer version migrated: its files are needed
// to go down.
func checkKnown(states []State) error {
	for _, s := range states {
		if s.Name == "" {
			return fmt.Errorf("migration %d was applied by a newer version of pgsession: "+
				"migrate down with that version", s.Version)
		}
	}
	return nil
}
