package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// within calls do with a bound. If do ends because of it, and of no bound of
// the caller's, the error is an ErrUnavailable.
func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := do(bounded)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && bounded.Err() != nil &&
		!errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: no reply within %s: %w", ErrUnavailable, d, err)
	}
	return err
}

// boundedStore bounds the calls of a store of the application by
// Config.StoreTimeout. The stores that Open and New make do so themselves, and
// the queue of touches does. Revokes of many sessions and exact counts take as
// long as they need.
type boundedStore struct {
	store.Store
	timeout time.Duration
}

// change is within for a call that changes sessions: without a reply, whether
// it did is unknown.
func (b *boundedStore) change(ctx context.Context, do func(context.Context) error) error {
	err := within(ctx, b.timeout, do)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrOutcomeUnknown) {
		err = fmt.Errorf("%w (%w)", err, ErrOutcomeUnknown)
	}
	return err
}

func (b *boundedStore) Create(ctx context.Context, d store.Draft) (rec store.Record, err error) {
	err = b.change(ctx, func(ctx context.Context) error {
		rec, err = b.Store.Create(ctx, d)
		return err
	})
	return rec, err
}

func (b *boundedStore) Load(
	ctx context.Context, id store.ID, minVersion int64,
) (rec store.Record, err error) {
	err = within(ctx, b.timeout, func(ctx context.Context) error {
		rec, err = b.Store.Load(ctx, id, minVersion)
		return err
	})
	return rec, err
}

func (b *boundedStore) Save(
	ctx context.Context, id store.ID, c store.Change,
) (rec store.Record, err error) {
	err = b.change(ctx, func(ctx context.Context) error {
		rec, err = b.Store.Save(ctx, id, c)
		return err
	})
	return rec, err
}

func (b *boundedStore) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (rec store.Record, err error) {
	err = b.change(ctx, func(ctx context.Context) error {
		rec, err = b.Store.Rotate(ctx, old, id, c)
		return err
	})
	return rec, err
}

func (b *boundedStore) Delete(ctx context.Context, id store.ID) (r Revocation, err error) {
	err = b.change(ctx, func(ctx context.Context) error {
		r, err = b.Store.Delete(ctx, id)
		return err
	})
	return r, err
}

func (b *boundedStore) List(
	ctx context.Context, userID string, p Page,
) (recs []store.Record, err error) {
	err = within(ctx, b.timeout, func(ctx context.Context) error {
		recs, err = b.Store.List(ctx, userID, p)
		return err
	})
	return recs, err
}

func (b *boundedStore) Revoke(
	ctx context.Context, sel store.Selection,
) (ids []store.ID, r Revocation, err error) {
	if sel.Handle == "" {
		return b.Store.Revoke(ctx, sel)
	}
	err = b.change(ctx, func(ctx context.Context) error {
		ids, r, err = b.Store.Revoke(ctx, sel)
		return err
	})
	return ids, r, err
}

func (b *boundedStore) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	err = within(ctx, b.timeout, func(ctx context.Context) error {
		alive, ended, err = b.Store.Alive(ctx, ids)
		return err
	})
	return alive, ended, err
}

func (b *boundedStore) Prune(ctx context.Context, most int) (n int, ok bool, err error) {
	err = b.change(ctx, func(ctx context.Context) error {
		n, ok, err = b.Store.Prune(ctx, most)
		return err
	})
	return n, ok, err
}

func (b *boundedStore) Stats(ctx context.Context, exact bool) (stats store.Stats, err error) {
	if exact {
		return b.Store.Stats(ctx, exact)
	}
	err = within(ctx, b.timeout, func(ctx context.Context) error {
		stats, err = b.Store.Stats(ctx, exact)
		return err
	})
	return stats, err
}
