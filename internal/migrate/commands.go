package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// command uses a database, or prints a file.
type command struct {
	on    func(context.Context, call) error
	print func(o *options) (string, error)

	object  string   // what it needs beside its name
	flags   []string // beside those of all commands
	prepare func(o *options, env func(string) string) error
}

// call is one run of a command on a database.
type call struct {
	*options

	pool     *pgxpool.Pool
	out      io.Writer
	progress io.Writer
	logger   *slog.Logger
}

// db returns the options of package db.
func (c call) db() db.Options {
	return db.Options{
		Schema: c.schema, LockTimeout: c.lockTimeout, KeepSessions: !c.yes, DryRun: c.dryRun,
		Logger: c.logger,
	}
}

var commands = map[string]command{
	"up":       {on: up, flags: []string{"dry-run", "lock-timeout"}},
	"down":     {on: down, flags: []string{"dry-run", "lock-timeout", "yes"}},
	"status":   {on: status, flags: []string{"json"}},
	"validate": {on: validate, flags: []string{"json"}},
	"baseline": {on: baseline, flags: []string{"dry-run"}},
	"version":  {on: version},
	"ops":      {print: printOps, object: "the name of a file"},
	"print": {
		print: printMigrations, object: "a direction: up or down",
		flags: []string{"from"},
	},
	"import": {
		on: importExpress, object: "the name of a library: express", flags: importFlags,
		prepare: prepareImport,
	},
}

func printOps(o *options) (string, error) {
	return db.Ops(o.object, db.Options{Schema: o.schema})
}

func printMigrations(o *options) (string, error) {
	direction, known := map[string]db.Direction{"up": db.Forward, "down": db.Backward}[o.object]
	if !known {
		return "", fmt.Errorf("migrate print: unknown direction %q: use up or down", o.object)
	}
	return db.Print(direction, o.from, db.Options{Schema: o.schema})
}

func up(ctx context.Context, c call) error {
	if c.dryRun {
		return rehearse(ctx, c, "would apply", func(s db.State) bool { return !s.Applied })
	}
	steps, err := db.Up(ctx, c.pool, c.db())
	return report(c.out, steps, err, "applied", "every migration is applied")
}

func down(ctx context.Context, c call) error {
	if c.dryRun {
		return rehearseDown(ctx, c)
	}
	steps, err := db.Down(ctx, c.pool, c.db())
	return report(c.out, steps, err, "undone", "no migration is applied, or another process"+
		" has undone it")
}

func rehearseDown(ctx context.Context, c call) error {
	latest, _, err := db.Version(ctx, c.pool, c.db())
	if err != nil {
		return err
	}
	err = rehearse(ctx, c, "would undo", func(s db.State) bool { return s.Version == latest })
	if err != nil {
		return err
	}
	return printDependents(ctx, c)
}

func baseline(ctx context.Context, c call) error {
	steps, err := db.Baseline(ctx, c.pool, c.db())
	verb := "recorded"
	if c.dryRun {
		verb = "would record"
	}
	for _, s := range steps {
		_, _ = fmt.Fprintf(c.out, "%s %s\n", verb, s.Name)
	}
	if err == nil && len(steps) == 0 {
		_, _ = fmt.Fprintln(c.out, "nothing to do: every migration is in the list")
	}
	return err
}

// printDependents prints the views and foreign keys of other schemas that hold
// a table or view of this one, such as the views of support.sql.
func printDependents(ctx context.Context, c call) error {
	var found string
	if err := c.pool.QueryRow(ctx, dependents, cmp.Or(c.schema, "pgsession")).
		Scan(&found); err != nil {
		return fmt.Errorf("migrate down: %w", err)
	}
	if found != "" {
		_, _ = fmt.Fprintf(c.out, "fails as long as these depend on it: %s\n", found)
	}
	return nil
}

const dependents = `
	SELECT coalesce(pg_catalog.string_agg(DISTINCT
		pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0), ', '), '')::text
	FROM (
		SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS refclassid,
			r.ev_class AS refobjid, r.ev_class AS held_by, d.refobjid AS holds
		FROM pg_catalog.pg_depend AS d
		JOIN pg_catalog.pg_rewrite AS r ON r.oid OPERATOR(pg_catalog.=) d.objid
		WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
			AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
		UNION ALL
		SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, k.oid, k.conrelid, k.confrelid
		FROM pg_catalog.pg_constraint AS k WHERE k.contype OPERATOR(pg_catalog.=) 'f'::"char"
	) AS d
	JOIN pg_catalog.pg_class AS h ON h.oid OPERATOR(pg_catalog.=) d.held_by
	JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) d.holds
	JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
		AND h.relnamespace OPERATOR(pg_catalog.<>) c.relnamespace`

// rehearse prints what a command would do to which migrations, and only reads.
func rehearse(ctx context.Context, c call, verb string, to func(db.State) bool) error {
	states, err := db.Status(ctx, c.pool, c.db())
	if err != nil {
		return err
	}
	n := 0
	for _, s := range states {
		if to(s) {
			n++
			_, _ = fmt.Fprintf(c.out, "%s %s\n", verb, cmp.Or(s.Name, ofNewer))
		}
	}
	if n == 0 {
		_, _ = fmt.Fprintln(c.out, "nothing to do")
	}
	return nil
}

// ofNewer stands in place of the name of a migration that this version lacks.
const ofNewer = "(of a newer pgsession)"

// migrationJSON is a migration in the output of status -json.
type migrationJSON struct {
	Version int64      `json:"version"`
	Name    string     `json:"name"` // empty for one of a newer version
	Applied bool       `json:"applied"`
	At      *time.Time `json:"at"` // null for a pending one
}

func printStatus(out io.Writer, states []db.State) error {
	list := make([]migrationJSON, len(states))
	for i, s := range states {
		list[i] = migrationJSON{Version: s.Version, Name: s.Name, Applied: s.Applied}
		if s.Applied {
			at := s.At.UTC()
			list[i].At = &at
		}
	}
	return json.NewEncoder(out).Encode(list)
}

func status(ctx context.Context, c call) error {
	states, err := db.Status(ctx, c.pool, c.db())
	switch {
	case err != nil:
		return err
	case c.json:
		return printStatus(c.out, states)
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VERSION\tMIGRATION\tAPPLIED")
	for _, s := range states {
		name, at := cmp.Or(s.Name, ofNewer), "pending"
		if s.Applied {
			at = s.At.UTC().Format(time.DateTime) + " UTC"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", s.Version, name, at)
	}
	return table.Flush()
}

// validityJSON is the output of validate -json.
type validityJSON struct {
	Schema      string   `json:"schema"`
	Valid       bool     `json:"valid"`
	Differences []string `json:"differences"`
}

func validate(ctx context.Context, c call) error {
	err := db.Validate(ctx, c.pool, c.db())
	var mismatch *db.Mismatch
	if c.json && (err == nil || errors.As(err, &mismatch)) {
		v := validityJSON{
			Schema: cmp.Or(c.schema, "pgsession"), Valid: err == nil, Differences: []string{},
		}
		if mismatch != nil {
			v.Differences = mismatch.Differences
		}
		return errors.Join(err, json.NewEncoder(c.out).Encode(v))
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(c.out, "the schema is what this version of pgsession needs")
	return nil
}

func version(ctx context.Context, c call) error {
	database, program, err := db.Version(ctx, c.pool, c.db())
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "database %d, this program %d\n", database, program)
	return nil
}

// report prints what was done to which migrations, or why nothing was. It
// returns err.
func report(out io.Writer, steps []db.Step, err error, done, idle string) error {
	for _, s := range steps {
		_, _ = fmt.Fprintf(out, "%s %s (%s)\n", done, s.Name, s.Duration.Round(time.Millisecond))
	}
	if err == nil && len(steps) == 0 {
		_, _ = fmt.Fprintln(out, "nothing to do: "+idle)
	}
	return err
}
