package fault

import (
	"context"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store is a [store.Store] that calls another one, except for calls that meet a
// fault. Many goroutines may use it at once.
type Store struct {
	Injector
	inner store.Store
}

var _ store.Store = (*Store)(nil)

// Wrap returns a Store that calls inner and has no faults yet.
func Wrap(inner store.Store) *Store { return &Store{inner: inner} }

// Create makes a session.
func (s *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpCreate, ID: d.ID, Draft: d},
		func(ctx context.Context, c Call) (store.Record, error) {
			return s.inner.Create(ctx, c.Draft)
		})
}

// Load returns a session.
func (s *Store) Load(ctx context.Context, id store.ID, minVersion int64) (store.Record, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpLoad, ID: id, MinVersion: minVersion},
		func(ctx context.Context, c Call) (store.Record, error) {
			return s.inner.Load(ctx, c.ID, c.MinVersion)
		})
}

// Save applies a change to a session.
func (s *Store) Save(ctx context.Context, id store.ID, change store.Change) (store.Record, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpSave, ID: id, Change: change},
		func(ctx context.Context, c Call) (store.Record, error) {
			return s.inner.Save(ctx, c.ID, c.Change)
		})
}

// Rotate gives a session a new id.
func (s *Store) Rotate(
	ctx context.Context, old, id store.ID, change store.Change,
) (store.Record, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpRotate, ID: old, NewID: id, Change: change},
		func(ctx context.Context, c Call) (store.Record, error) {
			return s.inner.Rotate(ctx, c.ID, c.NewID, c.Change)
		})
}

// Touch extends sessions.
func (s *Store) Touch(ctx context.Context, touches []store.Touch) error {
	_, err := Run(ctx, &s.Injector, Call{Op: store.OpTouch, Touches: touches},
		func(ctx context.Context, c Call) (struct{}, error) {
			return struct{}{}, s.inner.Touch(ctx, c.Touches)
		})
	return err
}

// Delete ends a session.
func (s *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpDelete, ID: id},
		func(ctx context.Context, c Call) (store.Revocation, error) {
			return s.inner.Delete(ctx, c.ID)
		})
}

// List returns sessions of a user.
func (s *Store) List(ctx context.Context, userID string, p store.Page) ([]store.Record, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpList, UserID: userID, Page: p},
		func(ctx context.Context, c Call) ([]store.Record, error) {
			return s.inner.List(ctx, c.UserID, c.Page)
		})
}

// Revoke ends the sessions of a selection.
func (s *Store) Revoke(
	ctx context.Context, sel store.Selection,
) ([]store.ID, store.Revocation, error) {
	type result struct {
		ids     []store.ID
		revoked store.Revocation
	}
	r, err := Run(ctx, &s.Injector, Call{Op: store.OpRevoke, Selection: sel},
		func(ctx context.Context, c Call) (r result, err error) {
			r.ids, r.revoked, err = s.inner.Revoke(ctx, c.Selection)
			return r, err
		})
	return r.ids, r.revoked, err
}

// Alive separates live sessions from ended ones.
func (s *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	type result struct{ alive, ended []store.ID }
	r, err := Run(ctx, &s.Injector, Call{Op: store.OpAlive, IDs: ids},
		func(ctx context.Context, c Call) (r result, err error) {
			r.alive, r.ended, err = s.inner.Alive(ctx, c.IDs)
			return r, err
		})
	return r.alive, r.ended, err
}

// Prune deletes expired sessions.
func (s *Store) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	type result struct {
		n  int
		ok bool
	}
	r, err := Run(ctx, &s.Injector, Call{Op: store.OpPrune, Max: max},
		func(ctx context.Context, c Call) (r result, err error) {
			r.n, r.ok, err = s.inner.Prune(ctx, c.Max)
			return r, err
		})
	return r.n, r.ok, err
}

// Stats counts sessions.
func (s *Store) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	return Run(ctx, &s.Injector, Call{Op: store.OpStats, Exact: exact},
		func(ctx context.Context, c Call) (store.Stats, error) {
			return s.inner.Stats(ctx, c.Exact)
		})
}

// Name returns the inner store's name.
func (s *Store) Name() string { return s.inner.Name() }
