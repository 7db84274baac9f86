package suite

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rope"
)

const (
	// cachedRows are loaded at random. All of them are in the cache when loads
	// from it are measured.
	cachedRows    = 50_000
	cachedCallers = 64
	// freshForLong is longer than the suite, so that only loads from the cache
	// are measured.
	freshForLong = 5 * time.Minute
)

// withCache opens what the suites of the cache share.
func withCache(
	measure func(*caching, context.Context) (result.Report, error),
) func(context.Context, *Bench) (result.Report, error) {
	return func(ctx context.Context, b *Bench) (report result.Report, err error) {
		d, err := b.database(ctx)
		if err != nil {
			return report, err
		}
		cache, err := b.redis(ctx)
		if err != nil {
			return report, err
		}
		options, err := redis.ParseURL(cache.URL)
		if err != nil {
			return report, errors.New("REDIS_URL is not a Redis URL")
		}
		way, err := rope.New(options.Addr)
		if err != nil {
			return report, err
		}
		defer func() { closing(&err, way.Cut) }()
		through, err := way.Via(cache.URL)
		if err != nil {
			return report, errors.New("REDIS_URL is not a URL")
		}
		w := &caching{
			bench: b, database: d, way: way, url: cache.URL, through: through,
			direct: redis.NewClient(options), rows: min(cachedRows, b.Sizes.Rows),
		}
		defer func() {
			closing(&err,
				func() error {
					return contestant.Uncache(context.WithoutCancel(ctx), w.direct, w.rows)
				}, w.direct.Close)
		}()
		return measure(w, ctx)
	}
}

// loads compares loads from the cache with those of Postgres alone and of scs
// on Redis.
func (w *caching) loads(ctx context.Context) (report result.Report, err error) {
	redis, err := contestant.NewCached(ctx, w.database, w.url, freshForLong)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, redis.Close) }()
	alone, err := contestant.NewLibrary(ctx, w.database)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, alone.Close) }()
	scs, err := contestant.NewSCSRedis(w.bench.cache)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, scs.Close) }()
	if err := warm(ctx, redis, w.rows); err != nil {
		return report, err
	}
	table := result.Table{
		Title: "Loads from the cache, per second", Head: "", Columns: []string{"64"},
		Notes: []string{fmt.Sprintf(
			"%d rows read at random by %d callers, all of them in the cache and fresh. pgsession "+
				"is Postgres alone.", w.rows, cachedCallers)},
	}
	var cells []measure.Cell
	loaders := []contestant.Loader{redis, alone, scs}
	for _, l := range loaders {
		if err := contestant.Verify(ctx, l, w.rows); err != nil {
			return report, err
		}
		cells = append(cells,
			measure.Cell{
				Name: "loads, " + l.Name(),
				Run: func(ctx context.Context) (float64, error) {
					return contestant.Rate(ctx, l, w.rows, cachedCallers, w.bench.Duration)
				},
			})
	}
	asked := redis.Rows.Load()
	samples, err := w.bench.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	if more := redis.Rows.Load() - asked; more > int64(w.rows)/10 {
		return report, fmt.Errorf("%d loads from the cache were answered by Postgres", more)
	}
	for i, l := range loaders {
		table.Rows = append(table.Rows,
			result.Row{Name: l.Name(), Cells: []result.Cell{result.Of(samples[i])}})
	}
	report.Tables = []result.Table{table}
	for _, c := range []struct {
		other string
		bar   result.Bar
	}{{"pgsession", result.Bar{}}, {"scs_redis", result.AtLeast(2.5)}} {
		report.Comparisons = append(report.Comparisons, result.Comparison{
			Name:  "cache_loads_64_" + c.other,
			What:  "loads from the cache, 64 callers, against " + c.other,
			Value: table.Median("pgsession_redis", "64") / table.Median(c.other, "64"), Bar: c.bar,
		})
	}
	return report, nil
}

// warmers load concurrently, and are few enough for the limit of fills in
// flight.
const warmers = 16

// warm loads every row until nearly all are in the cache: a load with too many
// fills in flight does not fill.
func warm(ctx context.Context, c *contestant.Cached, rows int) error {
	for range 50 {
		before := c.Rows.Load()
		var next atomic.Int64
		failed := make(chan error, warmers)
		for range warmers {
			go func() {
				var err error
				for i := next.Add(1) - 1; err == nil && i < int64(rows); i = next.Add(1) - 1 {
					err = c.Load(ctx, int(i))
				}
				failed <- err
			}()
		}
		var err error
		for range warmers {
			err = errors.Join(err, <-failed)
		}
		if err != nil {
			return err
		}
		if c.Rows.Load()-before < int64(rows)/100+1 {
			return nil
		}
	}
	return errors.New("the cache does not keep what it is given")
}

var nsPerOp = regexp.MustCompile(`Benchmark(Seal|Open)\S*\s+\d+\s+([0-9.]+) ns/op`)

// sealing runs the benchmark of package cache, since what it measures is not
// exported.
func sealing(ctx context.Context, _ *Bench) (report result.Report, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Seal|Open)",
		"-cpu", "1", "-benchtime", "300ms", "github.com/reporadar/pgsession/cache")
	output, err := cmd.CombinedOutput()
	if err != nil {
		return report, fmt.Errorf("%s: %w: %s", cmd, err, output)
	}
	table := result.Table{
		Title: "Sealing", Head: "", Columns: []string{"µs"},
		Notes: []string{"400 bytes, on one core, by the benchmarks of package cache."},
	}
	for _, found := range nsPerOp.FindAllSubmatch(output, -1) {
		ns, err := strconv.ParseFloat(string(found[2]), 64)
		if err != nil {
			return report, err
		}
		name := map[string]string{"Seal": "seal", "Open": "open"}[string(found[1])]
		table.Rows = append(table.Rows,
			result.Row{Name: name, Cells: []result.Cell{result.Of(measure.Samples{ns / 1000})}})
		report.Comparisons = append(report.Comparisons,
			result.Comparison{
				Name: "cache_" + name, What: "µs to " + name + " 400 bytes", Value: ns / 1000,
				Bar: result.AtMost(2),
			})
	}
	if len(table.Rows) != 2 {
		return report,
			fmt.Errorf("the benchmarks of package cache print no times of sealing and opening: %s",
				output)
	}
	report.Tables = []result.Table{table}
	return report, nil
}
