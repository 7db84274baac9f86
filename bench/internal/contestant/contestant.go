package contestant

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// Loader loads sessions by their key. It is safe for concurrent use.
type Loader interface {
	// Name is the name in tables and ratio lines: lower case, no spaces.
	Name() string
	// Load loads row i. A missing row is an error.
	Load(ctx context.Context, i int) error
	// Payload loads row i and returns its data as JSON.
	Payload(ctx context.Context, i int) ([]byte, error)
	Close() error
}

// Saver saves one changed value of a session.
type Saver interface {
	Loader
	// Save sets the name of row i.
	Save(ctx context.Context, i int, name string) error
}

// Login is a caller that logs in repeatedly. Each login takes the session of
// the one before as that of a visitor, and gives it a new token, a user and a
// name.
type Login interface {
	Login(ctx context.Context, user string) error
	// User returns the user of the session in the store.
	User(ctx context.Context) (string, error)
}

// Logins creates callers that log in, each with a session of its own.
type Logins interface {
	Loader
	NewLogin(ctx context.Context) (Login, error)
}

// Verify loads some rows and compares them with the expected ones.
func Verify(ctx context.Context, l Loader, n int) error {
	for _, i := range []int{0, 1, n / 3, n / 2, n - 1} {
		loaded, err := l.Payload(ctx, i)
		if err != nil {
			return fmt.Errorf("%s: row %d: %w", l.Name(), i, err)
		}
		if err := rows.Check(i, loaded); err != nil {
			return fmt.Errorf("%s: %w", l.Name(), err)
		}
		if err := l.Load(ctx, i); err != nil {
			return fmt.Errorf("%s: row %d: %w", l.Name(), i, err)
		}
	}
	if err := l.Load(ctx, n+1_000_000_000); err == nil {
		return fmt.Errorf("%s: a row that is not there was loaded", l.Name())
	}
	return nil
}

// Rate returns how many random rows of n a loader loads in a second.
func Rate(ctx context.Context, l Loader, n, callers int, d time.Duration) (float64, error) {
	rate, _, err := Counted(ctx, l, 0, n, callers, d)
	return rate, err
}

// Counted is Rate with the number of all loads, of the rows first..first+n-1.
func Counted(
	ctx context.Context, l Loader, first, n, callers int, d time.Duration,
) (rate float64, calls int64, err error) {
	return measure.Counted(ctx, callers, d, func(ctx context.Context, c *measure.Caller) error {
		return l.Load(ctx, first+c.Random.IntN(n))
	})
}
