package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	touchPasses = 3
	touchBatch  = 1000
)

// touches measures the effect of a minute of touches on the table: every
// session once, in random order, in batches as the library writes them.
//
// Between two passes no row is moved in time, but the deadline of a random
// sixtieth is set back by one step. With the default of 7 days a deadline moves
// in steps of an hour. So of sixty touches a minute apart one moves it, and
// only that one can't be a heap-only update. VACUUM runs before each pass, as
// autovacuum would.
func touches(ctx context.Context, b *Bench) (report result.Report, err error) {
	d, err := b.database(ctx)
	if err != nil {
		return report, err
	}
	if err := d.Exec(ctx, "VACUUM (ANALYZE) pgsession.sessions"); err != nil {
		return report, err
	}
	var all rows.Counters
	var rates measure.Samples
	for pass := 0; pass < touchPasses; {
		p, err := touchPass(ctx, b)
		if err != nil {
			return report, err
		}
		if p.crossed {
			b.Log("touches: an hour ended during the pass, which moved every deadline at once; " +
				"once more")
			continue
		}
		pass++
		b.Log("touches, pass %d: %s/s, %d of %d heap-only", pass, result.Number(p.rate),
			p.counted.HotUpdated, p.counted.Updated)
		all = all.Add(p.counted)
		rates = append(rates, p.rate)
	}
	hot := float64(all.HotUpdated) / float64(all.Updated)
	report.Tables = []result.Table{{
		Title: "Touches", Head: "",
		Columns: []string{"sessions touched per second", "WAL bytes each", "heap-only"},
		Rows: []result.Row{{Name: "pgsession", Cells: []result.Cell{
			result.Of(rates),
			result.Text("%s", result.Number(float64(all.WAL)/float64(all.Updated))),
			result.Text("%.2f %%", 100*hot),
		}}},
		Notes: []string{fmt.Sprintf(
			"%d passes over %d sessions in random order, %d in each statement, after a "+
				"checkpoint; in each pass the deadline of one in %d moves, as it does with "+
				"touches a minute apart and steps of an hour.",
			touchPasses, b.Sizes.Rows, touchBatch, touchesPerStep())},
	}}
	report.Comparisons = []result.Comparison{{
		Name: "touches_heap_only",
		What: "share of touches that are heap-only updates, with the default 7 days", Value: hot,
		Bar: result.AtLeast(0.95),
	}}
	return report, nil
}

func touchesPerStep() int {
	return int(contestant.Expiry.Resolution() / contestant.Expiry.TouchInterval())
}

type touched struct {
	rate    float64
	counted rows.Counters
	crossed bool // a step of the deadline
}

func touchPass(ctx context.Context, b *Bench) (p touched, err error) {
	d := b.main
	resolution := contestant.Expiry.Resolution()
	deadline := func() (at time.Time, err error) {
		err = d.Pool.QueryRow(ctx,
			"SELECT date_bin($1::interval, now() + $2::interval + $1::interval - interval '1 "+
				"microsecond', timestamptz 'epoch')",
			resolution, contestant.Expiry.Idle).Scan(&at)
		return at, err
	}
	before, err := deadline()
	if err != nil {
		return p, err
	}
	_, err = d.Pool.Exec(ctx, `
		UPDATE pgsession.sessions AS s SET expires_at = n.next
		FROM (SELECT id, CASE WHEN random() * $3 < 1 THEN $1::timestamptz - $2::interval ELSE $1::timestamptz END AS next FROM pgsession.sessions) AS n
		WHERE s.id = n.id AND s.expires_at <> n.next AND s.expires_at > now()`, before, resolution, float64(touchesPerStep()))
	if err != nil {
		return p, err
	}
	if err := errors.Join(d.Exec(ctx, "VACUUM pgsession.sessions", "CHECKPOINT"),
		d.Quiet(ctx)); err != nil {
		return p, err
	}
	library, err := contestant.NewLibrary(ctx, d)
	if err != nil {
		return p, err
	}
	counted, err := d.Count(ctx, "pgsession.sessions")
	if err != nil {
		return p, errors.Join(err, library.Close())
	}
	p.rate, err = touchAll(ctx, library.Store, b.Sizes.Rows)
	// Connections report their counts when they end.
	if err := errors.Join(err, library.Close()); err != nil {
		return p, err
	}
	after, err := deadline()
	if err != nil {
		return p, err
	}
	p.crossed = !after.Equal(before)
	p.counted, err = d.CountSince(ctx, "pgsession.sessions", counted, int64(b.Sizes.Rows))
	return p, err
}

// touchAll touches the rows 0..n-1 and returns how many it did in a second.
func touchAll(ctx context.Context, inner store.Store, n int) (float64, error) {
	order := rand.Perm(n)
	began := time.Now()
	for len(order) > 0 {
		batch := order[:min(touchBatch, len(order))]
		order = order[len(batch):]
		touches := make([]store.Touch, len(batch))
		for j, i := range batch {
			touches[j].ID = rows.ID(i)
		}
		if err := inner.Touch(ctx, touches); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
