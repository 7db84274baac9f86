package suite

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// saves compares saves of one changed value.
func saves(ctx context.Context, b *Bench) (result.Report, error) {
	return writing(ctx, b, written{
		name: "saves", title: "Saves of one changed value, per second",
		note: "Durable when they return, on random sessions, never two callers on the same one. " +
			"scs commits the whole payload; encoding it is not counted.",
		what: "saves of one changed key, 64 callers, against scs_pgx's Commit",
		ready: func(ctx context.Context, s contestant.Saver) (rate, error) {
			once := func(ctx context.Context) (float64, error) {
				rate, _, err := saveRate(ctx, b, s, 0, b.Sizes.Rows)
				return rate, err
			}
			return once, verifySave(ctx, s)
		},
	})
}

// saveRate measures saves of the rows first..first+n-1.
func saveRate(
	ctx context.Context, b *Bench, s contestant.Saver, first, n int,
) (rate float64, calls int64, err error) {
	return measure.Counted(ctx, writers, 2*b.Duration,
		func(ctx context.Context, c *measure.Caller) error {
			// no two callers save the same session
			i := first + c.Random.IntN(n/writers)*writers + c.Number
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
