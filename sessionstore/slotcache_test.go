package sessionstore_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
)

// slotCache is a cache in this process: a coherence.Slot for each id, which says what the Redis script does, and the entry in it.
type slotCache struct {
	mu      sync.Mutex
	slots   map[cache.ID]*coherence.Slot
	entries map[cache.ID]cache.Entry
	ends    map[cache.ID]time.Time
	hooks   map[string]func(context.Context) error
	calls   []string
}

func newSlotCache() *slotCache {
	return &slotCache{
		slots: map[cache.ID]*coherence.Slot{}, entries: map[cache.ID]cache.Entry{}, ends: map[cache.ID]time.Time{},
		hooks: map[string]func(context.Context) error{},
	}
}

// on runs hook at the start of every call of a method; an error of its is the call's. A nil hook takes it away.
func (c *slotCache) on(method string, hook func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks[method] = hook
}

// down makes every call fail as one of a Redis does that is away.
func (c *slotCache) down() {
	for _, method := range []string{"Get", "Await", "Fill", "PutTombstones"} {
		c.on(method, func(context.Context) error { return cache.ErrUnavailable })
	}
}

func (c *slotCache) up() {
	for _, method := range []string{"Get", "Await", "Fill", "PutTombstones"} {
		c.on(method, nil)
	}
}

// flush loses everything.
func (c *slotCache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.slots)
	clear(c.entries)
}

func (c *slotCache) called(ctx context.Context, method string) error {
	c.mu.Lock()
	c.calls = append(c.calls, method)
	hook := c.hooks[method]
	c.mu.Unlock()
	if hook != nil {
		return hook(ctx)
	}
	return nil
}

// slot is what stands under an id now.
func (c *slotCache) slot(id cache.ID) *coherence.Slot {
	s := c.slots[id]
	if s == nil || time.Now().After(c.ends[id]) {
		s = &coherence.Slot{}
		c.slots[id] = s
	}
	return s
}

func (c *slotCache) Get(ctx context.Context, id cache.ID) (cache.Entry, error) {
	if err := c.called(ctx, "Get"); err != nil {
		return cache.Entry{}, err
	}
	return c.entry(id)
}

func (c *slotCache) Await(ctx context.Context, id cache.ID) (cache.Entry, error) {
	if err := c.called(ctx, "Await"); err != nil {
		return cache.Entry{}, err
	}
	return c.entry(id)
}

func (c *slotCache) entry(id cache.ID) (cache.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch answer, _ := c.slot(id).Get(); answer {
	case coherence.Hit:
		e := c.entries[id]
		e.Data = bytes.Clone(e.Data) // the caller's own
		return e, nil
	case coherence.Buried:
		return cache.Entry{}, cache.ErrTombstone
	}
	return cache.Entry{}, cache.ErrMiss
}

func (c *slotCache) Fill(ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration) (bool, error) {
	if err := c.called(ctx, "Fill"); errors.Is(err, errRefused) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.slot(id).Fill(coherence.Entry{Version: e.Version, ValidatedAt: coherence.At(e.ValidatedAt)}) {
		return false, nil
	}
	e.Data = bytes.Clone(e.Data)
	c.entries[id], c.ends[id] = e, time.Now().Add(ttl)
	return true, nil
}

func (c *slotCache) PutTombstones(ctx context.Context, ttl time.Duration, ids ...cache.ID) error {
	if err := c.called(ctx, "PutTombstones"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.slot(id).Bury()
		c.ends[id] = time.Now().Add(ttl)
	}
	return nil
}

// errRefused, from a hook, is a fill that is refused without an error, as one of data that is too large.
var errRefused = errors.New("refused")

// failing is the hook of a cache that fails.
func failing(context.Context) error { return cache.ErrUnavailable }

// blocked is the hook of a cache that answers only when its caller has had enough.
func blocked(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// readOnly is a cache as an instance sees it that can't write to it.
type readOnly struct{ *slotCache }

func (readOnly) Fill(context.Context, cache.ID, cache.Entry, time.Duration) (bool, error) {
	return false, cache.ErrUnavailable
}

func (readOnly) PutTombstones(context.Context, time.Duration, ...cache.ID) error {
	return cache.ErrUnavailable
}
