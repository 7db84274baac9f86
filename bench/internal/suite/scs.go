package suite

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// scsIdle is an idle timeout of scs, with which each request commits.
const scsIdle = 20 * time.Minute

// scsKinds are the requests that are compared.
var scsKinds = []struct {
	column, name string
	idle         time.Duration
	saves        bool
}{
	{"load", "loads", 0, false},
	{"save of one value", "saves", 0, true},
	{"load, idle timeout", "idle_loads", scsIdle, false},
}

// scs compares an application of scs over this library's store with the same
// one over pgxstore.
func scs(ctx context.Context, b *Bench) (report result.Report, err error) {
	d, err := b.database(ctx)
	if err != nil {
		return report, err
	}
	n := min(b.Sizes.Rows, largeRows)
	table := result.Table{
		Title: "Requests of scs, per second", Head: "store",
		Notes: []string{"64 callers, each request through LoadAndSave in the process of the " +
			"benchmark. With an idle timeout scs commits in each request."},
		Rows: []result.Row{{Name: "scs_pgsession"}, {Name: "scs_pgxstore"}},
	}
	var cells []measure.Cell
	for _, kind := range scsKinds {
		table.Columns = append(table.Columns, kind.column)
		for _, open := range []func(
			context.Context, *rows.Database, int, time.Duration,
		) (*contestant.SCSSite, error){contestant.NewSCSStoreSite, contestant.NewSCSSite} {
			site, err := open(ctx, d, n, kind.idle)
			if err != nil {
				return report, err
			}
			defer func() { closing(&err, site.Close) }()
			cells = append(cells, measure.Cell{
				Name: "scs " + kind.name + ", " + site.Name(),
				Run: func(ctx context.Context) (float64, error) {
					if err := b.main.Quiet(ctx); err != nil {
						return 0, err
					}
					return scsRate(ctx, b, site, n, kind.saves)
				},
			})
		}
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	for i, s := range samples {
		table.Rows[i%2].Cells = append(table.Rows[i%2].Cells, result.Of(s))
	}
	for _, kind := range scsKinds {
		report.Comparisons = append(report.Comparisons, result.Comparison{
			Name: "scs_" + kind.name + "_64_pgxstore",
			What: "requests of scs over this store, 64 callers, " + kind.column +
				", against pgxstore",
			Value: table.Median("scs_pgsession", kind.column) /
				table.Median("scs_pgxstore", kind.column),
		})
	}
	report.Tables = []result.Table{table}
	return report, nil
}

func scsRate(
	ctx context.Context, b *Bench, site *contestant.SCSSite, n int, saves bool,
) (float64, error) {
	rate, _, err := measure.Counted(ctx, writers, 2*b.Duration,
		func(ctx context.Context, c *measure.Caller) error {
			// no two callers use the same session
			i := c.Random.IntN(n/writers)*writers + c.Number
			if saves {
				return site.Save(ctx, i, rows.Name(c.Random.IntN(100_000_000)))
			}
			return site.Load(ctx, i)
		})
	return rate, err
}
