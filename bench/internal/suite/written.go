package suite

import (
	"context"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
)

const writers = 64

// rate measures once how many a second a contestant writes.
type rate func(ctx context.Context) (float64, error)

// written is a comparison of the contestants that write to Postgres.
type written struct {
	name, title, note, what string
	// ready prepares a contestant, and fails if it writes wrong data.
	ready func(ctx context.Context, s contestant.Saver) (rate, error)
}

// writing compares the library with scs on Postgres.
func writing(ctx context.Context, b *Bench, w written) (report result.Report, err error) {
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
		once, err := w.ready(ctx, s)
		if err != nil {
			return report, err
		}
		cells = append(cells,
			measure.Cell{
				Name: w.name + ", " + s.Name(),
				Run: func(ctx context.Context) (float64, error) {
					if err := b.main.Quiet(ctx); err != nil {
						return 0, err
					}
					return once(ctx)
				},
			})
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title: w.title, Head: "contestant", Columns: []string{"64 callers"},
		Notes: []string{w.note},
	}
	for i, s := range savers {
		table.Rows = append(table.Rows,
			result.Row{Name: s.Name(), Cells: []result.Cell{result.Of(samples[i])}})
	}
	report.Tables = []result.Table{table}
	report.Comparisons = []result.Comparison{{
		Name: w.name + "_64_scs_pgx", What: w.what,
		Value: samples[0].Median() / samples[1].Median(), Bar: result.AtLeast(2),
	}}
	return report, nil
}

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
