package suite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rope"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

const (
	// The load during a measurement of latencies: that of a busy site, not the
	// limit of the machine.
	awayRate  = 5000
	awayPause = cachedCallers * time.Second / awayRate

	// The freshness of a cold start: short enough to wait for, long enough to
	// load each session several times.
	coldFreshness = 2 * time.Second
	coldRows      = 2000
	coldRate      = 2000
	coldPause     = cachedCallers * time.Second / coldRate
)

// caching is what the measurements of the cache share.
type caching struct {
	bench        *Bench
	database     *rows.Database
	way          *rope.Rope
	url, through string // of Redis, directly and through the rope
	direct       *redis.Client
	rows         int
}

// away measures the latency of loads while Redis is unavailable, from its
// failure on. Every load must succeed.
func (w *caching) away(ctx context.Context) (report result.Report, err error) {
	alone, err := contestant.NewCached(ctx, w.database, "", 0)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, alone.Close) }()
	chain, err := contestant.NewCached(ctx, w.database, w.through, freshForLong)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, chain.Close) }()
	if err := warm(ctx, chain, w.rows); err != nil {
		return report, err
	}
	loads := 0
	p99 := func(ctx context.Context, c *contestant.Cached) (float64, error) {
		rate, latencies, err := measure.Timed(ctx, cachedCallers, 4*w.bench.Duration, awayPause,
			func(ctx context.Context, caller *measure.Caller) error {
				return c.Load(ctx, caller.Random.IntN(w.rows))
			})
		if err != nil {
			return 0, err
		}
		loads += int(rate * (4 * w.bench.Duration).Seconds())
		return float64(latencies.Quantile(0.99).Nanoseconds()) / 1000, nil
	}
	fault := func(begin func() error) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if err := errors.Join(w.use(ctx, chain), begin()); err != nil {
				return 0, err
			}
			value, err := p99(ctx, chain)
			return value, errors.Join(err, w.way.Whole())
		}
	}
	names := []string{"Postgres alone", "Redis down", "Redis hung"}
	samples, err := w.bench.alternate(ctx, []measure.Cell{
		{
			Name: "p99 in µs, Postgres alone",
			Run:  func(ctx context.Context) (float64, error) { return p99(ctx, alone) },
		},
		{Name: "p99 in µs, Redis down", Run: fault(w.way.Cut)},
		{Name: "p99 in µs, Redis hung", Run: fault(w.way.Hold)},
	})
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title: "Redis is away", Head: "", Columns: []string{"p99 of loads, µs"},
		Notes: []string{fmt.Sprintf(
			"%d callers load about %d sessions a second, from the moment that Redis, which was "+
				"in use, goes. About %d loads in all; one that fails ends the run: 0 failed.",
			cachedCallers, awayRate, loads)},
	}
	for i, name := range names {
		table.Rows = append(table.Rows,
			result.Row{Name: name, Cells: []result.Cell{result.Of(samples[i])}})
	}
	report.Tables = []result.Table{table}
	for i, name := range []string{"down", "hung"} {
		report.Comparisons = append(report.Comparisons, result.Comparison{
			Name:  "cache_p99_" + name,
			What:  "p99 of loads with Redis " + name + ", against Postgres alone",
			Value: samples[i+1].Median() / samples[0].Median(), Bar: result.AtMost(1.5),
		})
	}
	return report, nil
}

// use waits until the cache is in use.
func (w *caching) use(ctx context.Context, c *contestant.Cached) error {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		before := c.Rows.Load()
		if err := c.Load(ctx, 0); err != nil {
			return err
		}
		if c.Rows.Load() == before && c.Up(ctx) {
			return nil
		}
	}
	return errors.New("the cache is not used again")
}

// asked is what Postgres was asked in some time.
type asked struct{ statements, rows float64 }

// cold measures how much more Postgres is asked after a cold start of Redis
// than before, under a steady load.
func (w *caching) cold(ctx context.Context) (report result.Report, err error) {
	counted, err := w.database.Commits(ctx)
	if err != nil {
		return report, err
	}
	chain, err := contestant.NewCached(ctx, w.database, w.through, coldFreshness)
	if err != nil {
		return report, err
	}
	defer func() {
		if chain != nil {
			closing(&err, chain.Close)
		}
	}()
	stop := sync.OnceValue(
		measure.Background(ctx, cachedCallers, coldPause,
			func(ctx context.Context, c *measure.Caller) error {
				return chain.Load(ctx, c.Random.IntN(coldRows))
			}))
	defer func() { closing(&err, stop) }() // before the chain is closed
	over := func(d time.Duration) (asked, error) {
		statements, rows, began := chain.Statements.Load(), chain.Rows.Load(), time.Now()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return asked{}, ctx.Err()
		}
		took := time.Since(began).Seconds()
		return asked{
			float64(chain.Statements.Load()-statements) / took,
			float64(chain.Rows.Load()-rows) / took,
		}, nil
	}
	var steady, warming, first struct{ statements, rows measure.Samples }
	for round := range max(1, w.bench.Rounds-2) {
		if _, err := over(coldFreshness); err != nil { // until everything from before is stale
			return report, err
		}
		before, err := over(2 * coldFreshness)
		if err != nil {
			return report, err
		}
		if err := contestant.Uncache(ctx, w.direct, coldRows); err != nil {
			return report, err
		}
		if err := w.way.Whole(); err != nil { // closes all connections
			return report, err
		}
		second, err := over(time.Second)
		if err != nil {
			return report, err
		}
		rest, err := over(coldFreshness - time.Second)
		if err != nil {
			return report, err
		}
		share := time.Second.Seconds() / coldFreshness.Seconds()
		window := asked{
			second.statements*share + rest.statements*(1-share),
			second.rows*share + rest.rows*(1-share),
		}
		for _, s := range []struct {
			to *struct{ statements, rows measure.Samples }
			a  asked
		}{{&steady, before}, {&first, second}, {&warming, window}} {
			s.to.statements, s.to.rows = append(s.to.statements, s.a.statements), append(s.to.rows,
				s.a.rows)
		}
		w.bench.Log("round %d: cold start of Redis: %s statements/s before, %s in the first "+
			"second, %s over the freshness", round+1,
			result.Number(before.statements), result.Number(second.statements),
			result.Number(window.statements))
	}
	if err := stop(); err != nil {
		return report, err
	}
	sent := chain.Statements.Load()
	err, chain = chain.Close(), nil
	if err != nil {
		return report, err
	}
	if counted, err = w.database.CommitsSince(ctx, counted, sent); err != nil {
		return report, err
	}
	table := result.Table{
		Title: "A cold start of Redis", Head: "",
		Columns: []string{"statements per second", "rows per second"},
		Notes: []string{fmt.Sprintf(
			"What Postgres is asked while %d callers load about %d sessions a second out of %d, "+
				"with a freshness of %v. Redis loses its entries and all connections at once. "+
				"Counted where statements are sent, %d in all; Postgres counted %d transactions.",
			cachedCallers, coldRate, coldRows, coldFreshness, sent, counted)},
	}
	for _, r := range []struct {
		name string
		of   struct{ statements, rows measure.Samples }
	}{{"steady", steady}, {"in the first second", first}, {"over the freshness", warming}} {
		table.Rows = append(table.Rows,
			result.Row{
				Name:  r.name,
				Cells: []result.Cell{result.Of(r.of.statements), result.Of(r.of.rows)},
			})
	}
	report.Tables = []result.Table{table}
	report.Comparisons = []result.Comparison{
		{
			Name: "cache_cold_statements",
			What: "statements at Postgres in the freshness after a cold start of Redis, against " +
				"before", Value: warming.statements.Median() / steady.statements.Median(),
			Bar: result.AtMost(2),
		},
		{
			Name: "cache_cold_rows",
			What: "rows read at Postgres in the freshness after a cold start of Redis, against " +
				"before", Value: warming.rows.Median() / steady.rows.Median(),
			Bar: result.AtMost(2),
		},
		{
			Name: "cache_cold_first_second",
			What: "statements at Postgres in the first second after a cold start of Redis, " +
				"against before", Value: first.statements.Median() / steady.statements.Median(),
			Bar: result.AtMost(2),
		},
	}
	return report, nil
}
