package suite

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

const writers = 64

// savers opens the contestants that write to Postgres.
func (b *Bench) savers(ctx context.Context) (savers []contestant.Saver, err error) {
	d, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	library, err := contestant.NewLibrary(ctx, d)
	if err != nil {
		return nil, err
	}
	scs, err := contestant.NewSCSPgx(ctx, d)
	if err != nil {
		return []contestant.Saver{library}, err
	}
	return []contestant.Saver{library, scs}, nil
}

// saves compares saves of one changed value.
func saves(ctx context.Context, b *Bench) (report result.Report, err error) {
	savers, err := b.savers(ctx)
	defer func() {
		for _, s := range savers {
			closing(&err, s.Close)
		}
	}()
	if err != nil {
		return report, err
	}
	var cells []measure.Cell
	for _, s := range savers {
		if err := verifySave(ctx, s); err != nil {
			return report, err
		}
		cells = append(cells, measure.Cell{Name: "saves, " + s.Name(), Run: func(ctx context.Context) (float64, error) {
			if err := b.main.Quiet(ctx); err != nil {
				return 0, err
			}
			return saveRate(ctx, b, s)
		}})
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title: "Saves of one changed value, per second", Head: "contestant", Columns: []string{"64 callers"},
		Notes: []string{"Durable when they return, on random sessions, never two callers on the same one. scs commits the whole payload; encoding it is not counted."},
	}
	for i, s := range savers {
		table.Rows = append(table.Rows, result.Row{Name: s.Name(), Cells: []result.Cell{result.Of(samples[i])}})
	}
	report.Tables = []result.Table{table}
	report.Comparisons = []result.Comparison{{
		Name: "saves_64_scs_pgx", What: "saves of one changed key, 64 callers, against scs_pgx's Commit",
		Value: samples[0].Median() / samples[1].Median(), Bar: result.AtLeast(2),
	}}
	return report, nil
}

func saveRate(ctx context.Context, b *Bench, s contestant.Saver) (float64, error) {
	return measure.Rate(ctx, writers, 2*b.Duration, func(ctx context.Context, c *measure.Caller) error {
		i := c.Random.IntN(b.Sizes.Rows/writers)*writers + c.Number // no two callers save the same session
		return s.Save(ctx, i, rows.Name(c.Random.IntN(100_000_000)))
	})
}

// verifySave saves a name and loads it.
func verifySave(ctx context.Context, s contestant.Saver) error {
	const name = 77_777_777
	if err := s.Save(ctx, 0, rows.Name(name)); err != nil {
		return fmt.Errorf("%s: save: %w", s.Name(), err)
	}
	payload, err := s.Payload(ctx, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	if err := rows.Check(name, payload); err != nil {
		return fmt.Errorf("%s: a save changed more or less than the name: %w", s.Name(), err)
	}
	return nil
}
