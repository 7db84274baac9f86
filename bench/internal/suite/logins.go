package suite

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// logins compares logins of visitors with a session, below HTTP.
func logins(ctx context.Context, b *Bench) (result.Report, error) {
	return writing(ctx, b, written{
		name: "logins", title: "Logins, per second",
		note: "The visitor's anonymous session is loaded, gets a new token and a user, and is " +
			"stored: with the library Load and Rotate, with scs Find, RenewToken, Put and Commit.",
		what: "logins, 64 callers, from an anonymous session, against scs_pgx",
		ready: func(ctx context.Context, s contestant.Saver) (rate, error) {
			callers, err := newLogins(ctx, s)
			once := func(ctx context.Context) (float64, error) {
				rate, _, err := loginRate(ctx, b, callers)
				return rate, err
			}
			return once, err
		},
	})
}

// newLogins creates a visitor for each caller.
func newLogins(ctx context.Context, s contestant.Saver) (callers []contestant.Login, err error) {
	logins, ok := s.(contestant.Logins)
	if !ok {
		return nil, fmt.Errorf("%s can't log in", s.Name())
	}
	for range writers {
		l, err := logins.NewLogin(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name(), err)
		}
		callers = append(callers, l)
	}
	return callers, nil
}

// loginRate measures, and checks who is logged in afterwards.
func loginRate(
	ctx context.Context, b *Bench, callers []contestant.Login,
) (rate float64, calls int64, err error) {
	last := make([]string, len(callers))
	rate, calls, err = measure.Counted(ctx, len(callers), 2*b.Duration,
		func(ctx context.Context, c *measure.Caller) error {
			last[c.Number] = rows.Name(c.Random.IntN(100_000_000))
			return callers[c.Number].Login(ctx, last[c.Number])
		})
	if err != nil {
		return 0, 0, err
	}
	for i, l := range callers {
		user, err := l.User(ctx)
		if err != nil {
			return 0, 0, err
		}
		if user != last[i] {
			return 0, 0, fmt.Errorf("%q is logged in, not %q", user, last[i])
		}
	}
	return rate, calls, nil
}
