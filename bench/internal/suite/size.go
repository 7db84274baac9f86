package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// size compares loads from a large table with loads from a small one.
func size(ctx context.Context, b *Bench) (report result.Report, err error) {
	small, err := b.smallDatabase(ctx)
	if err != nil {
		return report, err
	}
	began := time.Now()
	large, err := rows.NewDatabase(ctx, b.Server, "large")
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, large.Close) }() // gigabytes, which no other suite needs
	if err := large.FillMany(ctx, b.Sizes.Large); err != nil {
		return report, err
	}
	b.Log("made %d sessions in %.1f s", b.Sizes.Large, time.Since(began).Seconds())

	sizes := []int{b.Sizes.Small, b.Sizes.Large}
	var cells []measure.Cell
	for i, d := range []*rows.Database{small, large} {
		l, err := contestant.NewLibrary(ctx, d)
		if err != nil {
			return report, err
		}
		defer func() { closing(&err, l.Close) }()
		if err := contestant.Verify(ctx, l, sizes[i]); err != nil {
			return report, err
		}
		cells = append(cells,
			measure.Cell{
				Name: fmt.Sprintf("loads, %d rows", sizes[i]),
				Run: func(ctx context.Context) (float64, error) {
					return contestant.Rate(ctx, l, sizes[i], 64, 2*b.Duration)
				},
			})
	}
	for i, d := range []*rows.Database{small, large} {
		if err := d.Warm(ctx); err != nil {
			return report, err
		}
		if _, err := cells[i].Run(ctx); err != nil {
			return report, err
		}
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	t := result.Table{
		Title: "Loads by the size of the table, per second", Head: "rows",
		Columns: []string{"64 callers"},
	}
	for i, n := range sizes {
		t.Rows = append(t.Rows,
			result.Row{
				Name: result.Number(float64(n)), Cells: []result.Cell{result.Of(samples[i])},
			})
	}
	report.Tables = []result.Table{t}
	report.Comparisons = []result.Comparison{{
		Name: "loads_large_small",
		What: fmt.Sprintf("loads with %s rows against %s rows, 64 callers", t.Rows[1].Name,
			t.Rows[0].Name),
		Value: samples[1].Median() / samples[0].Median(), Bar: result.AtLeast(0.8),
	}}
	return report, nil
}
