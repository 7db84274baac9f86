// Package cachetest has a cache in memory that fails on purpose, for tests of a
// store behind it. It keeps entries and tombstones as the script of package
// cache does, and its calls fail by the rules of package fault.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The operations, as rules and the log of calls name them.
const (
	OpGet           = store.OpGet
	OpAwait         = store.Operation("await")
	OpFill          = store.OpFill
	OpPutTombstones = store.OpTombstone
)

// ErrRefused as the error of a rule makes a Fill return false without an error,
// as it does for data that are too large.
var ErrRefused = errors.New("refused")

// Cache is one instance's connection to a cache. Calls carry an id only if they
// have exactly one. It may be used by many goroutines at once.
type Cache struct {
	fault.Injector
	*server
}

// server has the items, which all connections share.
type server struct {
	mu    sync.Mutex
	items map[cache.ID]*item
}

type item struct {
	slot  coherence.Slot
	entry cache.Entry
	ends  time.Time
}

// New returns a connection to an empty cache.
func New() *Cache { return &Cache{server: &server{items: map[cache.ID]*item{}}} }

// Peer returns a connection of another instance to the same cache. Its faults
// and its log are its own.
func (c *Cache) Peer() *Cache { return &Cache{server: c.server} }

// Down makes the operations, or all if there are none, fail with
// [cache.ErrUnavailable].
func (c *Cache) Down(ops ...store.Operation) *fault.Fault {
	return c.Inject(fault.Rule{Err: cache.ErrUnavailable}, ops...)
}

// Flush removes everything, for all connections.
func (c *Cache) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.items)
}

// Get reads an entry.
func (c *Cache) Get(ctx context.Context, id cache.ID) (cache.Entry, error) {
	return fault.Run(ctx, &c.Injector, fault.Call{Op: OpGet, ID: store.ID(id)}, c.entry)
}

// Await reads an entry with more patience.
func (c *Cache) Await(ctx context.Context, id cache.ID) (cache.Entry, error) {
	return fault.Run(ctx, &c.Injector, fault.Call{Op: OpAwait, ID: store.ID(id)}, c.entry)
}

func (c *Cache) entry(_ context.Context, call fault.Call) (cache.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.item(cache.ID(call.ID))
	switch answer, _ := it.slot.Get(); answer {
	case coherence.Hit:
		e := it.entry
		e.Data = bytes.Clone(e.Data) // the caller may change it
		return e, nil
	case coherence.FoundTombstone:
		return cache.Entry{}, cache.ErrTombstone
	}
	return cache.Entry{}, cache.ErrMiss
}

// Fill stores an entry, unless the item is a tombstone or newer.
func (c *Cache) Fill(
	ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration,
) (stored bool, err error) {
	stored, err = fault.Run(ctx, &c.Injector, fault.Call{Op: OpFill, ID: store.ID(id)},
		func(context.Context, fault.Call) (bool, error) { return c.fill(id, e, ttl), nil })
	if errors.Is(err, ErrRefused) {
		err = nil
	}
	return stored, err
}

func (s *server) fill(id cache.ID, e cache.Entry, ttl time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.item(id)
	newer := coherence.Entry{Version: e.Version, ValidatedAt: coherence.At(e.ValidatedAt)}
	if !it.slot.Fill(newer) {
		return false
	}
	e.Data = bytes.Clone(e.Data)
	it.entry, it.ends = e, time.Now().Add(ttl)
	return true
}

// PutTombstones stores tombstones in place of any items.
func (c *Cache) PutTombstones(ctx context.Context, ttl time.Duration, ids ...cache.ID) error {
	call := fault.Call{Op: OpPutTombstones}
	if len(ids) == 1 {
		call.ID = store.ID(ids[0])
	}
	_, err := fault.Run(ctx, &c.Injector, call,
		func(context.Context, fault.Call) (struct{}, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, id := range ids {
				it := c.item(id)
				it.slot.PutTombstone()
				it.ends = time.Now().Add(ttl)
			}
			return struct{}{}, nil
		})
	return err
}

// item returns the item under an id now, an empty one if it has expired.
func (s *server) item(id cache.ID) *item {
	it := s.items[id]
	if it == nil || time.Now().After(it.ends) {
		it = &item{}
		s.items[id] = it
	}
	return it
}
