package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

const (
	// firstExpired is beyond all live rows.
	firstExpired = 20_000_000
	pruneCallers = 64
	// With prunePause between two calls of each caller there are about 5,000
	// loads a second. That is a busy site, not a machine at its limit, where
	// any other work makes the loads wait.
	prunePause = pruneCallers * time.Second / 5000
)

// prune compares the latency of loads with and without a prune beside them, in
// turns.
func prune(ctx context.Context, b *Bench) (report result.Report, err error) {
	d, err := b.smallDatabase(ctx)
	if err != nil {
		return report, err
	}
	began := time.Now()
	if err := d.FillExpired(ctx, firstExpired, b.Sizes.Expired); err != nil {
		return report, err
	}
	b.Log("made %d expired sessions in %.1f s", b.Sizes.Expired, time.Since(began).Seconds())
	l, err := contestant.NewLibrary(ctx, d)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, l.Close) }()
	manager, err := sessionstore.NewWithStore(l.Store, sessionstore.Config{
		Secrets:       []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
		Observer:      func(context.Context, sessionstore.Event) {},
		PruneInterval: time.Millisecond, // Run begins at once
	})
	if err != nil {
		return report, err
	}
	w := &pruning{bench: b, database: d, library: l, manager: manager}
	run := &pruner{what: "Manager.Run", prune: manager.Run}
	now := &pruner{
		what: "Manager.Prune", prune: func(ctx context.Context) error {
			_, err := manager.Prune(ctx)
			return err
		},
	}
	if _, err := w.without(ctx); err != nil { // warm-up
		return report, err
	}
	cells := []measure.Cell{
		{Name: "p99 of loads in µs, no prune", Run: w.without},
		{Name: "p99 of loads in µs, Manager.Run", Run: w.with(run)},
		{Name: "p99 of loads in µs, Manager.Prune", Run: w.with(now)},
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	if err := w.finish(ctx, now); err != nil {
		return report, err
	}
	report.Tables = []result.Table{{
		Title: "Prune under load", Head: "",
		Columns: []string{"p99 of loads, µs", "rows pruned per second"},
		Rows: []result.Row{
			{Name: "without prune", Cells: []result.Cell{result.Of(samples[0]), {}}},
			{
				Name: run.what,
				Cells: []result.Cell{
					result.Of(samples[1]), result.Text("%s", result.Number(run.rate())),
				},
			},
			{
				Name: now.what,
				Cells: []result.Cell{
					result.Of(samples[2]), result.Text("%s", result.Number(now.rate())),
				},
			},
		},
		Notes: []string{fmt.Sprintf(
			"%d expired rows beside %d live ones, deleted while %d callers load about 5,000 "+
				"sessions a second, with and without in turns. Manager.Run is what prunes in the "+
				"background, gently; so is not Manager.Prune, nor Manager.Run when a run has "+
				"lasted for ten minutes. The rest of the expired rows are pruned by "+
				"Manager.Prune under the same load.",
			b.Sizes.Expired, b.Sizes.Small, pruneCallers)},
	}}
	report.Comparisons = []result.Comparison{
		{
			Name:  "prune_p99",
			What:  "p99 of loads while expired rows are pruned in the background, against without",
			Value: samples[1].Median() / samples[0].Median(), Bar: result.AtMost(1.2),
		},
		{
			Name:  "prune_p99_now",
			What:  "p99 of loads beside Manager.Prune, which does not wait, against without",
			Value: samples[2].Median() / samples[0].Median(),
		},
		{
			Name: "prune_rows_per_second",
			What: "rows pruned per second in the background under load", Value: run.rate(),
		},
		{
			Name: "prune_rows_per_second_now",
			What: "rows pruned per second by Manager.Prune under load", Value: now.rate(),
		},
	}
	return report, nil
}

// pruning is loads with and without a prune beside them.
type pruning struct {
	bench    *Bench
	database *rows.Database
	library  *contestant.Library
	manager  *sessionstore.Manager
}

// pruner is a way to prune, until ctx ends or no expired row is left.
type pruner struct {
	what  string
	prune func(ctx context.Context) error

	pruned int64
	took   time.Duration
}

func (p *pruner) rate() float64 { return float64(p.pruned) / p.took.Seconds() }

func (w *pruning) without(ctx context.Context) (float64, error) {
	rate, latencies, err := measure.Timed(ctx, pruneCallers, 4*w.bench.Duration, prunePause,
		func(ctx context.Context, c *measure.Caller) error {
			return w.library.Load(ctx, c.Random.IntN(w.bench.Sizes.Small))
		})
	if err != nil {
		return 0, err
	}
	w.bench.Log("  %s loads/s", result.Number(rate))
	return microseconds(latencies.Quantile(0.99)), nil
}

// with fails if no expired row is left before the loads end.
func (w *pruning) with(p *pruner) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		stop, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.prune(stop, p) }()
		p99, err := w.without(ctx)
		select {
		case early := <-done:
			return 0, errors.Join(err, early,
				errors.New("the prune ended before the loads did: make more expired rows"))
		default:
		}
		cancel()
		return p99, errors.Join(err, <-done)
	}
}

// prune deletes until ctx ends or no expired row is left.
func (w *pruning) prune(ctx context.Context, p *pruner) error {
	// The last interrupted batch may still be ending on the server, and only
	// one prune runs at a time.
	if err := w.database.Exec(ctx, "SELECT 1 FROM pgsession.prune_state FOR UPDATE"); err != nil {
		return err
	}
	before, began := w.manager.CountSessions(sessionstore.EventPruned), time.Now()
	err := p.prune(ctx)
	p.took += time.Since(began)
	p.pruned += w.manager.CountSessions(sessionstore.EventPruned) - before
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// finish prunes the rest and checks that no expired row is left.
func (w *pruning) finish(ctx context.Context, p *pruner) error {
	stop := measure.Background(ctx, pruneCallers, prunePause,
		func(ctx context.Context, c *measure.Caller) error {
			return w.library.Load(ctx, c.Random.IntN(w.bench.Sizes.Small))
		})
	if err := errors.Join(w.prune(ctx, p), stop()); err != nil {
		return err
	}
	var left int
	if err := w.database.Pool.QueryRow(ctx,
		"SELECT count(*) FROM pgsession.sessions WHERE expires_at <= now()").Scan(
		&left); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d expired rows were not pruned", left)
	}
	return nil
}
