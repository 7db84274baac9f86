package legacy

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Chain returns a Store over several, such as Redis with Postgres behind it. A
// session is that of the first store that has it. Each store ends it.
func Chain(stores ...Store) Store { return chain(stores) }

type chain []Store

// Load implements [Store]. A store that is unavailable may have the latest
// values, so its error is returned although a later store might answer. A
// session that one store can't read may be readable in the next one.
func (c chain) Load(ctx context.Context, sid string) (Session, error) {
	err := store.ErrNotFound
	for _, s := range c {
		found, failed := s.Load(ctx, sid)
		switch {
		case failed == nil:
			return found, nil
		case errors.Is(failed, ErrUnreadable):
			err = failed
		case !errors.Is(failed, store.ErrNotFound):
			return Session{}, failed
		}
	}
	return Session{}, err
}

// End implements [Store]. It goes on after an error, and returns all of them.
func (c chain) End(ctx context.Context, sid string) error {
	var errs []error
	for _, s := range c {
		errs = append(errs, s.End(ctx, sid))
	}
	return errors.Join(errs...)
}
