package sessionstore

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Alive implements [store.Store].
func (m *Memory) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	alive, ended = divided(ids, func(id store.ID) bool { _, err := m.alive(id, now); return err == nil })
	return alive, ended, nil
}

// Alive implements [store.Store]. The cache is not asked: it may not have heard of a revoke.
func (c *cached) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	return c.store.Alive(ctx, ids)
}

// Alive implements [store.Store].
func (w *watched) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	err = w.call(ctx, false, func() error { alive, ended, err = w.store.Alive(ctx, ids); return err })
	return alive, ended, err
}

// Alive implements [store.Store]. What is in memory, or was ended in the emergency, needs no Postgres; the others do.
func (e *emergency) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	if err := e.moving.enter(ctx); err != nil {
		return nil, nil, err
	}
	var there []store.ID
	halfway := map[store.ID]bool{}
	for _, id := range ids {
		switch {
		case e.journalled(id):
			ended = append(ended, id)
		case e.memory.holds(id):
			if _, err := e.memory.Load(ctx, id, 0); err == nil {
				alive = append(alive, id)
			} else {
				ended = append(ended, id)
			}
		default:
			there, halfway[id] = append(there, id), e.staged(id) != (store.ID{})
		}
	}
	e.moving.leave()
	if len(there) == 0 {
		return alive, ended, ctx.Err()
	}
	a, d, err := e.front.Alive(ctx, there)
	for _, id := range d {
		if !halfway[id] {
			ended = append(ended, id)
		} else if err == nil {
			err = errHalfway
		}
	}
	return append(alive, a...), ended, err
}

// divided sorts ids.
func divided(ids []store.ID, isAlive func(store.ID) bool) (alive, ended []store.ID) {
	for _, id := range ids {
		if isAlive(id) {
			alive = append(alive, id)
		} else {
			ended = append(ended, id)
		}
	}
	return alive, ended
}
