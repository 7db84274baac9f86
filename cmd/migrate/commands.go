package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// command uses a database, or prints a file.
type command struct {
	on    func(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error
	print func(name string, opts db.Options) (string, error)
}

var commands = map[string]command{
	"up":       {on: up},
	"down":     {on: down},
	"status":   {on: status},
	"validate": {on: validate},
	"version":  {on: version},
	"ops":      {print: db.Ops},
}

func up(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error {
	steps, err := db.Up(ctx, pool, opts)
	return report(out, steps, err, "applied", "every migration is applied")
}

func down(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error {
	steps, err := db.Down(ctx, pool, opts)
	return report(out, steps, err, "undone", "no migration is applied")
}

func status(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error {
	states, err := db.Status(ctx, pool, opts)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
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

func validate(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error {
	if err := db.Validate(ctx, pool, opts); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "the schema is what this version of pgsession needs")
	return nil
}

func version(ctx context.Context, pool *pgxpool.Pool, opts db.Options, out io.Writer) error {
	database, program, err := db.Version(ctx, pool, opts)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "database %d, this program %d\n", database, program)
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
