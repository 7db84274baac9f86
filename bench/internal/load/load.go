package load

import (
	"context"
	"errors"
	"time"

	"github.com/reporadar/pgsession/bench/internal/measure"
)

// Clients are connected clients.
type Clients []*Client

// Connect connects n clients.
func Connect(address string, n int) (clients Clients, err error) {
	for range n {
		c, err := Dial(address)
		if err != nil {
			return nil, errors.Join(err, clients.Close())
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// Close closes them all.
func (cs Clients) Close() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Gets returns how many GETs of random sessions are answered in a second, and
// their total number.
func (cs Clients) Gets(
	ctx context.Context, d time.Duration, sessions []Session,
) (rate float64, all int64, err error) {
	return measure.Counted(ctx, len(cs), d, func(_ context.Context, c *measure.Caller) error {
		return cs[c.Number].Get(sessions[c.Random.IntN(len(sessions))])
	})
}

// Logins returns how many logins of new visitors are answered in a second, and
// their total number. user returns their names.
func (cs Clients) Logins(
	ctx context.Context, d time.Duration, user func(random int) string,
) (rate float64, all int64, err error) {
	return measure.Counted(ctx, len(cs), d, func(_ context.Context, c *measure.Caller) error {
		_, err := cs[c.Number].Login(user(c.Random.IntN(100_000_000)))
		return err
	})
}
