package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Alive implements [store.Store].
func (w *watched) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	err = w.call(ctx, false, func() error { alive, ended, err = w.store.Alive(ctx, ids); return err })
	return alive, ended, err
}

// A caller who waits for less than this and leaves says nothing about Postgres.
const patience = time.Second

var ErrAway = error(awayError{})

type awayError struct{}

func (awayError) Error() string {
	return fmt.Sprintf("%v: Postgres is unavailable: asking it again every %s", store.ErrUnavailable, probeEvery)
}

func (awayError) Unwrap() error { return store.ErrOutage }

// watched is Postgres as the emergency sees it: every call is noted, and while Postgres is away none is made, so that
// no request waits for a timeout.
type watched struct {
	store store.Store
	// refuses says that no call may be made.
	refuses func() bool
	// heard takes notice of what came of a call.
	heard func(error)
}

var _ store.Store = (*watched)(nil)

// call makes a call. A long one may take its time, and that no answer comes in time says nothing then.
func (w *watched) call(ctx context.Context, long bool, do func() error) error {
	if w.refuses() {
		return ErrAway
	}
	began := time.Now()
	err := do()
	if errors.Is(err, context.DeadlineExceeded) && (long || ctx.Err() != nil && time.Since(began) < patience) {
		return err
	}
	w.heard(err)
	return err
}

func (w *watched) Name() string { return w.store.Name() }

func (w *watched) Create(ctx context.Context, d store.Draft) (rec store.Record, err error) {
	err = w.call(ctx, false, func() error { rec, err = w.store.Create(ctx, d); return err })
	return rec, err
}

func (w *watched) Load(ctx context.Context, id store.ID, floor int64) (rec store.Record, err error) {
	err = w.call(ctx, false, func() error { rec, err = w.store.Load(ctx, id, floor); return err })
	return rec, err
}

func (w *watched) Save(ctx context.Context, id store.ID, c store.Change) (rec store.Record, err error) {
	err = w.call(ctx, false, func() error { rec, err = w.store.Save(ctx, id, c); return err })
	return rec, err
}

func (w *watched) Rotate(ctx context.Context, old, id store.ID, c store.Change) (rec store.Record, err error) {
	err = w.call(ctx, false, func() error { rec, err = w.store.Rotate(ctx, old, id, c); return err })
	return rec, err
}

func (w *watched) Touch(ctx context.Context, t []store.Touch) error {
	return w.call(ctx, false, func() error { return w.store.Touch(ctx, t) })
}

func (w *watched) Delete(ctx context.Context, id store.ID) (r store.Revocation, err error) {
	err = w.call(ctx, false, func() error { r, err = w.store.Delete(ctx, id); return err })
	return r, err
}

func (w *watched) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	err = w.call(ctx, true, func() error { n, ok, err = w.store.Prune(ctx, max); return err })
	return n, ok, err
}

func (w *watched) Stats(ctx context.Context, exact bool) (s store.Stats, err error) {
	err = w.call(ctx, exact, func() error { s, err = w.store.Stats(ctx, exact); return err })
	return s, err
}

func (w *watched) List(ctx context.Context, userID string, p store.Page) (recs []store.Record, err error) {
	err = w.call(ctx, false, func() error { recs, err = w.store.List(ctx, userID, p); return err })
	return recs, err
}

func (w *watched) Revoke(ctx context.Context, s store.Selection) (ids []store.ID, r store.Revocation, err error) {
	err = w.call(ctx, true, func() error { ids, r, err = w.store.Revoke(ctx, s); return err })
	return ids, r, err
}
