package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
)

// LoadsTitle is the title of the plotted table.
const LoadsTitle = "Loads by primary key, per second"

// Callers are the concurrencies of the loads.
var Callers = []int{1, 16, 64, 256}

// pgbenchClients are those for which a server with default settings has
// connections.
var pgbenchClients = map[int]bool{1: true, 16: true, 64: true}

// rater is a contestant's rate of loads.
type rater struct {
	name string
	rate func(ctx context.Context, callers int, d time.Duration) (float64, error)
	has  func(callers int) bool
}

// loads compares loads of random rows.
func loads(ctx context.Context, b *Bench) (report result.Report, err error) {
	loaders, err := b.loaders(ctx)
	defer func() {
		for _, l := range loaders {
			closing(&err, l.Close)
		}
	}()
	if err != nil {
		return report, err
	}
	var raters []rater
	for _, l := range loaders {
		if err := contestant.Verify(ctx, l, b.Sizes.Rows); err != nil {
			return report, err
		}
		raters = append(raters, rater{
			name: l.Name(), has: func(int) bool { return true },
			rate: func(ctx context.Context, callers int, d time.Duration) (float64, error) {
				return contestant.Rate(ctx, l, b.Sizes.Rows, callers, d)
			},
		})
	}
	pgbench, err := contestant.NewPgbench(b.main, b.Sizes.Rows)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, pgbench.Close) }()
	raters = append(raters,
		rater{
			name: pgbench.Name(), rate: pgbench.Rate,
			has: func(callers int) bool { return pgbenchClients[callers] },
		})

	table, err := b.compareLoads(ctx, raters)
	if err != nil {
		return report, err
	}
	report.Tables = []result.Table{table}
	report.Comparisons = loadComparisons(&table)
	return report, nil
}

// loaders opens the contestants.
func (b *Bench) loaders(ctx context.Context) (loaders []contestant.Loader, err error) {
	d, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := b.redis(ctx)
	if err != nil {
		return nil, err
	}
	for _, open := range []func() (contestant.Loader, error){
		func() (contestant.Loader, error) { return contestant.NewLibrary(ctx, d) },
		func() (contestant.Loader, error) { return contestant.NewPlain(ctx, d) },
		func() (contestant.Loader, error) { return contestant.NewDeadline(ctx, d) },
		func() (contestant.Loader, error) { return contestant.NewSCSPgx(ctx, d) },
		func() (contestant.Loader, error) { return contestant.NewSCSRedis(cache) },
		func() (contestant.Loader, error) {
			return contestant.NewGorilla(cache, b.Sizes.Rows, Callers[len(Callers)-1])
		},
		func() (contestant.Loader, error) { return contestant.NewGoRedis(cache) },
		func() (contestant.Loader, error) { return contestant.NewAutoPipeline(cache) },
	} {
		l, err := open()
		if err != nil {
			return loaders, err
		}
		loaders = append(loaders, l)
	}
	return loaders, nil
}

func (b *Bench) compareLoads(ctx context.Context, raters []rater) (result.Table, error) {
	table := result.Table{
		Title: LoadsTitle, Head: "callers",
		Notes: []string{
			fmt.Sprintf("%d rows of about 400 bytes of payload, read at random. Pools: 16 "+
				"connections for each contestant on Postgres, go-redis's default on Redis, one "+
				"for each caller for gorilla.", b.Sizes.Rows),
			"Each call has a context that can end, as a request's. pgx_deadline adds " +
				"context.WithTimeout, since the library bounds each call too; scs_pgx takes no " +
				"context.",
			"pgbench runs the library's statement for one row with -M prepared -j 2: the " +
				"server's own limit without batching, with as many clients as callers.",
		},
	}
	for _, r := range raters {
		table.Rows = append(table.Rows,
			result.Row{Name: r.name, Cells: make([]result.Cell, len(Callers))})
	}
	type place struct{ row, column int }
	var cells []measure.Cell
	var places []place
	for column, callers := range Callers {
		table.Columns = append(table.Columns, fmt.Sprint(callers))
		for row, r := range raters {
			if !r.has(callers) {
				continue
			}
			places = append(places, place{row, column})
			cells = append(cells, measure.Cell{
				Name: fmt.Sprintf("loads, %d callers, %s", callers, r.name),
				Run: func(ctx context.Context) (float64, error) {
					return r.rate(ctx, callers, b.Duration)
				},
			})
		}
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return table, err
	}
	for i, p := range places {
		table.Rows[p.row].Cells[p.column] = result.Of(samples[i])
	}
	return table, nil
}

func loadComparisons(t *result.Table) (comparisons []result.Comparison) {
	for _, c := range []struct {
		callers int
		other   string
		bar     result.Bar
	}{
		{1, "pgx", result.AtLeast(0.95)},
		{1, "pgx_deadline", result.AtLeast(1)},
		{1, "scs_pgx", result.AtLeast(0.9)},
		{16, "pgx", result.AtLeast(1)},
		{16, "scs_pgx", result.AtLeast(1)},
		{64, "scs_pgx", result.AtLeast(3)},
		{256, "scs_pgx", result.AtLeast(5)},
		{64, "scs_redis", result.AtLeast(2.5)},
		{64, "pgbench", result.AtLeast(2.5)},
		{64, "pgx", result.Bar{}},
		{64, "gorilla_redis", result.Bar{}},
		{64, "goredis", result.Bar{}},
		{64, "goredis_autopipeline", result.Bar{}},
	} {
		callers := fmt.Sprint(c.callers)
		plural := "callers"
		if c.callers == 1 {
			plural = "caller"
		}
		comparisons = append(comparisons, result.Comparison{
			Name:  "loads_" + callers + "_" + c.other,
			What:  fmt.Sprintf("loads, %s %s, against %s", callers, plural, c.other),
			Value: t.Median("pgsession", callers) / t.Median(c.other, callers),
			Bar:   c.bar,
		})
	}
	return comparisons
}
