package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
)

// Baseline takes over a schema that has no list of migrations, or an incomplete
// one: restored from a dump without data, or made by another tool from what
// Print returned. It records the missing migrations as applied and returns
// them, or nothing if none is missing. It changes nothing else.
//
// It returns a [*Mismatch] for a schema that is not the one of this version. If
// an older version made it, call Baseline of that version, and then Up.
func Baseline(ctx context.Context, pool *pgxpool.Pool, opts Options) ([]Step, error) {
	m, err := newMigration(pool, opts, "baseline")
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
	err = m.validate(ctx, true)
	if mismatch := (*Mismatch)(nil); errors.As(err, &mismatch) {
		return nil, fmt.Errorf("migrate baseline: nothing was recorded: %w", err)
	}
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	var steps []Step
	for _, s := range states {
		if !s.Applied {
			steps = append(steps, Step{Version: s.Version, Name: s.Name})
		}
	}
	if len(steps) == 0 || opts.DryRun {
		return steps, nil
	}
	db := sql.OpenDB(newLock(m))
	db.SetMaxOpenConns(1) // a second one would wait for the lock of the first
	err = m.makeVersionTable(ctx, db, steps)
	_ = db.Close() // see run
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	return steps, nil
}

// takeover returns the remedy for a schema that has objects and no list of
// migrations. It drops nothing: the objects may be sessions.
func (m *migration) takeover(ctx context.Context) string {
	var mismatch *Mismatch
	switch err := m.validate(ctx, true); {
	case err == nil:
		return "it is the schema of this version without its list of migrations, as a restore " +
			"can leave it: run `" + m.command("baseline") + "`"
	case !errors.As(err, &mismatch):
		return ""
	}
	missing := 0
	for _, fact := range schema.All() {
		if fact.Kind == "table" {
			missing++
		}
	}
	for _, difference := range mismatch.Differences {
		if missingTable.MatchString(difference) {
			missing--
		}
	}
	if missing == 0 {
		return "no migration made what is in it: use another schema name"
	}
	return fmt.Sprintf("it is not the schema of this version, see `%s`: if an older version "+
		"made it, run `%s` of that version first; if a restore was interrupted, restore it "+
		"again", m.command("validate"), m.command("baseline"))
}

// command returns a command line of migrate for this schema.
func (m *migration) command(name string) string {
	if m.schema == schema.Default {
		return "migrate " + name
	}
	return "migrate -schema " + m.schema + " " + name
}
