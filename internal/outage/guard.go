package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// patience is the least time to a caller's deadline that counts as a timeout of
// Postgres.
const patience = time.Second

// errNotCalled is returned for a call that the guard did not make.
var errNotCalled error = notCalledError{}

type notCalledError struct{}

func (notCalledError) Error() string {
	return fmt.Sprintf(
		"%v: postgres unavailable: retrying every %s", store.ErrUnavailable, probeInterval)
}

func (notCalledError) Unwrap() error { return store.ErrOutage }

// guard reports each call of Postgres to the detector. While Postgres is
// unavailable it makes none, so that no request waits for a timeout.
type guard struct {
	store    store.Store
	detector *Detector
}

var _ store.Store = (*guard)(nil)

// Guard returns Postgres with the outage guard in front.
func (d *Detector) Guard(postgres store.Store) store.Store {
	return &guard{store: postgres, detector: d}
}

// call makes a call. A timeout of a long one (Prune, Revoke, exact Stats) is
// not reported: it may need more time than it was given.
func (g *guard) call(ctx context.Context, long bool, do func() error) error {
	if g.detector.Unavailable() {
		return errNotCalled
	}
	began := time.Now()
	err := do()
	if errors.Is(err, context.DeadlineExceeded) {
		hasty := ctx.Err() != nil && time.Since(began) < patience
		if long || hasty {
			return err
		}
	}
	g.detector.observe(err)
	return err
}

// Name implements [store.Store].
func (g *guard) Name() string { return g.store.Name() }

// Create implements [store.Store].
func (g *guard) Create(ctx context.Context, d store.Draft) (rec store.Record, err error) {
	err = g.call(ctx, false, func() error { rec, err = g.store.Create(ctx, d); return err })
	return rec, err
}

// Load implements [store.Store].
func (g *guard) Load(
	ctx context.Context, id store.ID, minVersion int64,
) (rec store.Record, err error) {
	err = g.call(ctx, false, func() error {
		rec, err = g.store.Load(ctx, id, minVersion)
		return err
	})
	return rec, err
}

// Save implements [store.Store].
func (g *guard) Save(
	ctx context.Context, id store.ID, c store.Change,
) (rec store.Record, err error) {
	err = g.call(ctx, false, func() error { rec, err = g.store.Save(ctx, id, c); return err })
	return rec, err
}

// Rotate implements [store.Store].
func (g *guard) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (rec store.Record, err error) {
	err = g.call(ctx, false, func() error {
		rec, err = g.store.Rotate(ctx, old, id, c)
		return err
	})
	return rec, err
}

// Touch implements [store.Store].
func (g *guard) Touch(ctx context.Context, touches []store.Touch) error {
	return g.call(ctx, false, func() error { return g.store.Touch(ctx, touches) })
}

// Delete implements [store.Store].
func (g *guard) Delete(ctx context.Context, id store.ID) (r store.Revocation, err error) {
	err = g.call(ctx, false, func() error { r, err = g.store.Delete(ctx, id); return err })
	return r, err
}

// Prune implements [store.Store].
func (g *guard) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	err = g.call(ctx, true, func() error { n, ok, err = g.store.Prune(ctx, max); return err })
	return n, ok, err
}

// Stats implements [store.Store].
func (g *guard) Stats(ctx context.Context, exact bool) (s store.Stats, err error) {
	err = g.call(ctx, exact, func() error { s, err = g.store.Stats(ctx, exact); return err })
	return s, err
}

// List implements [store.Store].
func (g *guard) List(
	ctx context.Context, userID string, p store.Page,
) (recs []store.Record, err error) {
	err = g.call(ctx, false, func() error { recs, err = g.store.List(ctx, userID, p); return err })
	return recs, err
}

// Revoke implements [store.Store].
func (g *guard) Revoke(
	ctx context.Context, s store.Selection,
) (ids []store.ID, r store.Revocation, err error) {
	err = g.call(ctx, true, func() error { ids, r, err = g.store.Revoke(ctx, s); return err })
	return ids, r, err
}

// Alive implements [store.Store].
func (g *guard) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	err = g.call(ctx, false, func() error {
		alive, ended, err = g.store.Alive(ctx, ids)
		return err
	})
	return alive, ended, err
}
