package migrate

import (
	"context"
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
func (c call) db() db.Options { return db.Options{Schema: c.schema, Logger: c.logger} }

var commands = map[string]command{
	"up":       {on: up},
	"down":     {on: down},
	"status":   {on: status},
	"validate": {on: validate},
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
	steps, err := db.Up(ctx, c.pool, c.db())
	return report(c.out, steps, err, "applied", "every migration is applied")
}

func down(ctx context.Context, c call) error {
	steps, err := db.Down(ctx, c.pool, c.db())
	return report(c.out, steps, err, "undone", "no migration is applied")
}

func status(ctx context.Context, c call) error {
	states, err := db.Status(ctx, c.pool, c.db())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VERSION\tMIGRATION\tAPPLIED")
	for _, s := range states {
		name, at := s.Name, "pending"
		if name == "" {
			name = "(of a newer pgsession)"
		}
		if s.Applied {
			at = s.At.UTC().Format(time.DateTime) + " UTC"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", s.Version, name, at)
	}
	return table.Flush()
}

func validate(ctx context.Context, c call) error {
	if err := db.Validate(ctx, c.pool, c.db()); err != nil {
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
