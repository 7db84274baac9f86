package trace

import (
	"context"
	"fmt"
	"io"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store reports each call of a store to a Tracer.
type Store struct {
	store  store.Store
	layer  store.Layer
	tracer store.Tracer
}

var _ store.Store = (*Store)(nil)

// Wrap returns a store that reports its calls to a Tracer. Without a Tracer it
// returns the store itself, at no cost.
func Wrap(store store.Store, layer store.Layer, tracer store.Tracer) store.Store {
	if tracer == nil {
		return store
	}
	return &Store{store: store, layer: layer, tracer: tracer}
}

// callsKey is the key of the context's value for NoteCalls, an *int.
type callsKey struct{}

// call makes a call and reports it.
func (t *Store) call(ctx context.Context, op store.Operation, do func(context.Context) error) {
	c := store.Call{Layer: t.layer, Operation: op}
	Run(ctx, t.tracer, c, func(ctx context.Context) (r store.CallResult) {
		if t.layer == store.LayerPostgres {
			ctx = context.WithValue(ctx, callsKey{}, &r.Calls)
		}
		r.Err = do(ctx)
		return r
	})
}

// NoteCalls records in the result of a call how many calls shared its
// statement. Package postgres calls it with the context of the call.
func NoteCalls(ctx context.Context, calls int) {
	if n, ok := ctx.Value(callsKey{}).(*int); ok {
		*n = calls
	}
}

// Format writes the store's name, so that no log line has what it holds.
func (t *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+t.Name()) }

// Name implements [store.Store].
func (t *Store) Name() string { return t.store.Name() }

// Create implements [store.Store].
func (t *Store) Create(ctx context.Context, d store.Draft) (rec store.Record, err error) {
	t.call(ctx, store.OpCreate, func(ctx context.Context) error {
		rec, err = t.store.Create(ctx, d)
		return err
	})
	return rec, err
}

// Load implements [store.Store].
func (t *Store) Load(
	ctx context.Context, id store.ID, minVersion int64,
) (rec store.Record, err error) {
	t.call(ctx, store.OpLoad, func(ctx context.Context) error {
		rec, err = t.store.Load(ctx, id, minVersion)
		return err
	})
	return rec, err
}

// Save implements [store.Store].
func (t *Store) Save(
	ctx context.Context, id store.ID, c store.Change,
) (rec store.Record, err error) {
	t.call(ctx, store.OpSave, func(ctx context.Context) error {
		rec, err = t.store.Save(ctx, id, c)
		return err
	})
	return rec, err
}

// Rotate implements [store.Store].
func (t *Store) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (rec store.Record, err error) {
	t.call(ctx, store.OpRotate, func(ctx context.Context) error {
		rec, err = t.store.Rotate(ctx, old, id, c)
		return err
	})
	return rec, err
}

// Touch implements [store.Store].
func (t *Store) Touch(ctx context.Context, touches []store.Touch) (err error) {
	t.call(ctx, store.OpTouch, func(ctx context.Context) error {
		err = t.store.Touch(ctx, touches)
		return err
	})
	return err
}

// Delete implements [store.Store].
func (t *Store) Delete(ctx context.Context, id store.ID) (r store.Revocation, err error) {
	t.call(ctx, store.OpDelete, func(ctx context.Context) error {
		r, err = t.store.Delete(ctx, id)
		return err
	})
	return r, err
}

// List implements [store.Store].
func (t *Store) List(
	ctx context.Context, userID string, p store.Page,
) (recs []store.Record, err error) {
	t.call(ctx, store.OpList, func(ctx context.Context) error {
		recs, err = t.store.List(ctx, userID, p)
		return err
	})
	return recs, err
}

// Revoke implements [store.Store].
func (t *Store) Revoke(
	ctx context.Context, s store.Selection,
) (ids []store.ID, r store.Revocation, err error) {
	t.call(ctx, store.OpRevoke, func(ctx context.Context) error {
		ids, r, err = t.store.Revoke(ctx, s)
		return err
	})
	return ids, r, err
}

// Alive implements [store.Store].
func (t *Store) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	t.call(ctx, store.OpAlive, func(ctx context.Context) error {
		alive, ended, err = t.store.Alive(ctx, ids)
		return err
	})
	return alive, ended, err
}

// Prune implements [store.Store].
func (t *Store) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	t.call(ctx, store.OpPrune, func(ctx context.Context) error {
		n, ok, err = t.store.Prune(ctx, max)
		return err
	})
	return n, ok, err
}

// Stats implements [store.Store].
func (t *Store) Stats(ctx context.Context, exact bool) (s store.Stats, err error) {
	t.call(ctx, store.OpStats, func(ctx context.Context) error {
		s, err = t.store.Stats(ctx, exact)
		return err
	})
	return s, err
}
