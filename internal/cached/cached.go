// Package cached is the store with a cache in front. Package coherence decides
// what it may serve and for how long.
package cached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/local"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// maxFills bounds the fills that run in the background. Beyond it a load
	// does not fill, and the next one may.
	maxFills = 256
	// cacheTimeout bounds a write of Redis, which has no timeout of its own.
	cacheTimeout = 250 * time.Millisecond
)

// records is a cache as a Store uses it.
type records interface {
	name() string
	// get returns a record. Its data may be shared.
	get(ctx context.Context, id store.ID) (store.Record, coherence.CacheAnswer)
	// await is get with more patience.
	await(ctx context.Context, id store.ID) (store.Record, coherence.CacheAnswer)
	// put returns false if the cache refused the record.
	put(ctx context.Context, rec *store.Record, ttl time.Duration) (stored bool, err error)
	// end drops records, and keeps others from taking their place if it can.
	end(ctx context.Context, ids []store.ID, ttl time.Duration) error
}

// Store puts a cache in front of a store. The store stays the truth: an entry
// of the cache is served for the freshness and not longer, and no call fails
// because the cache does. A Store is safe for concurrent use.
type Store struct {
	store  store.Store
	cache  records
	tracer store.Tracer // nil for none
	policy coherence.Policy
	// unavailable reports whether Postgres can't be reached.
	unavailable func() bool

	// clocks reads both clocks of this process.
	clocks     func() coherence.Instant
	touches    touchFilter
	tombstones *localTombstones
	refreshes  *refreshes // nil without a local cache

	mu     sync.Mutex
	clock  coherence.Clock // of Postgres
	closed bool

	filling    chan struct{} // has an element for each fill in the background
	background sync.WaitGroup
	counts     counts
}

var _ store.Store = (*Store)(nil)

// Options are what a Store needs beside the store and the cache.
type Options struct {
	// Policy says for how long the cache may serve a session.
	Policy coherence.Policy
	// Expiry has the timeouts of the sessions.
	Expiry store.Expiry
	// Tracer is called for each call of the cache; nil for none.
	Tracer store.Tracer
	// Unavailable reports whether the store can't be reached, so that the grace
	// of the policy counts. nil is never.
	Unavailable func() bool
}

// New makes a Store with a cache that all processes share. The caller closes
// it.
func New(inner store.Store, c Cache, o Options) *Store {
	o.Policy.Local = false
	return newStore(inner, sealed{c}, o)
}

// NewLocal makes a Store with a cache of this process, which has room for so
// many bytes. The caller closes the Store.
func NewLocal(inner store.Store, bytes int, o Options) *Store {
	o.Policy.Local = true
	c := newStore(inner, near{local.New(bytes, o.Policy.Freshness+o.Policy.Grace)}, o)
	c.refreshes = newRefreshes(o.Policy.Freshness, c.refresh)
	return c
}

func newStore(inner store.Store, c records, o Options) *Store {
	if o.Unavailable == nil {
		o.Unavailable = func() bool { return false }
	}
	return &Store{
		store: inner, cache: c, tracer: o.Tracer, policy: o.Policy, unavailable: o.Unavailable,
		clocks:     clocksFrom(time.Now()),
		touches:    touchFilter{interval: o.Expiry.TouchInterval()},
		tombstones: newLocalTombstones(o.Policy),
		filling:    make(chan struct{}, maxFills),
	}
}

// Close waits for the fills in the background, and keeps others from starting.
func (c *Store) Close() {
	if c.refreshes != nil {
		c.refreshes.close()
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.background.Wait()
}

// Format writes the store's name, so that no log line has what it holds.
func (c *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+c.Name()) }

// Name returns the name of the store, and that a cache is in front.
func (c *Store) Name() string { return c.cache.name() + ", " + c.store.Name() }

// Load implements [store.Store].
func (c *Store) Load(
	ctx context.Context, id store.ID, minVersion int64,
) (store.Record, error) {
	load := coherence.Load{Policy: c.policy, MinVersion: minVersion, Unavailable: c.unavailable()}
	timeout := false
	if load.Start() == coherence.AskCache {
		rec, answer, served := c.get(ctx, id, &load, c.cache.get)
		if served {
			return rec, nil
		}
		timeout = answer == coherence.Timeout
	}
	asked := c.clocks()
	rec, err := c.store.Load(ctx, id, minVersion)
	now := c.observe(&rec, asked)
	if ttl := load.StoreAnswered(entryOf(&rec), err == nil, now); ttl > 0 {
		c.fillAfterLoad(ctx, &rec, ttl)
	}
	c.dropIfEnded(ctx, id, err)
	if timeout && errors.Is(err, store.ErrOutage) {
		// Get gave up early, for a store that would have replied.
		if waited, _, served := c.get(ctx, id, &load, c.cache.await); served {
			return waited, nil
		}
	}
	return rec, err
}

// Save implements [store.Store]. When it returns, the cache has the new
// version, or the record has a minimum version.
func (c *Store) Save(
	ctx context.Context, id store.ID, change store.Change,
) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Save(ctx, id, change)
	c.dropIfEnded(ctx, id, err)
	if errors.Is(err, store.ErrRevoked) { // it may have ended the session
		_ = c.putTombstones(ctx, id)
	}
	if err != nil {
		return rec, err
	}
	acknowledged := false
	if ttl := c.policy.Saved(entryOf(&rec), c.observe(&rec, asked)); ttl > 0 {
		switch c.fill(ctx, &rec, ttl) {
		case store.CacheStored:
			acknowledged = true
		case store.CacheRefused:
			acknowledged = c.hasNewer(ctx, &rec) || c.putTombstones(ctx, rec.ID) == nil
		}
	}
	rec.MinVersion = c.policy.MinVersionAfterSave(entryOf(&rec), acknowledged)
	return rec, nil
}

// Create implements [store.Store]. It does not fill: many sessions are never
// loaded.
func (c *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Create(ctx, d)
	c.observe(&rec, asked)
	return rec, err
}

// Rotate implements [store.Store]. It ends the session under the old id, as a
// Delete does.
func (c *Store) Rotate(
	ctx context.Context, old, id store.ID, change store.Change,
) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Rotate(ctx, old, id, change)
	c.dropIfEnded(ctx, old, err)
	c.observe(&rec, asked)
	// ErrRevoked may follow the commit.
	if outcomeOf(err).NeedsTombstone() || errors.Is(err, store.ErrRevoked) {
		_ = c.putTombstones(ctx, old)
	}
	return rec, err
}

// List implements [store.Store].
func (c *Store) List(
	ctx context.Context, userID string, p store.Page,
) ([]store.Record, error) {
	return c.store.List(ctx, userID, p)
}

// Touch implements [store.Store]. It leaves the cache as it is: an entry's
// deadline is only too early, and an expired entry is a miss. But an entry says
// that a touch is due until it is read again, so touches of sessions that this
// process has just touched are dropped. A session that is used from a new place
// is read again at once. With the old place in the entry, each further request
// from the new one would look suspicious.
func (c *Store) Touch(ctx context.Context, touches []store.Touch) error {
	now := c.clocks() // before the store's own time
	due := c.touches.due(touches, now)
	if len(due) == 0 {
		return nil
	}
	if err := c.store.Touch(ctx, due); err != nil {
		return err
	}
	c.touches.add(due, now)
	for _, t := range due {
		if t.Client != (store.Client{}) {
			c.inBackground(func() { c.refill(context.WithoutCancel(ctx), t.ID) })
		}
	}
	return nil
}

// Prune implements [store.Store].
func (c *Store) Prune(ctx context.Context, max int) (int, bool, error) {
	return c.store.Prune(ctx, max)
}

// Stats implements [store.Store].
func (c *Store) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	return c.store.Stats(ctx, exact)
}

// Alive implements [store.Store]. It does not ask the cache, which may miss a
// tombstone.
func (c *Store) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	return c.store.Alive(ctx, ids)
}

// get gets an entry, and reports whether it may be served.
func (c *Store) get(
	ctx context.Context, id store.ID, load *coherence.Load,
	get func(context.Context, store.ID) (store.Record, coherence.CacheAnswer),
) (rec store.Record, answer coherence.CacheAnswer, served bool) {
	if c.tombstones.covers(id) {
		answer = coherence.FoundTombstone
		load.CacheAnswered(answer, coherence.Entry{}, c.now())
		return rec, answer, false
	}
	call := store.Call{Layer: store.LayerCache, Operation: store.OpGet}
	trace.Run(ctx, c.tracer, call, func(ctx context.Context) store.CallResult {
		rec, answer = get(ctx, id)
		now, e := c.now(), entryOf(&rec)
		load.Watermark = c.tombstones.watermark(&rec, now)
		step, verdict := load.CacheAnswered(answer, e, now)
		if c.counts.answers[answer].Add(1); answer == coherence.Hit {
			c.counts.verdicts[verdict].Add(1)
		}
		rec.AnsweredAt = time.UnixMicro(int64(now.Time))
		served = step == coherence.ServeCache
		if served && !load.Unavailable && c.policy.Due(e, now) {
			c.refreshes.add(id)
		}
		return store.CallResult{Cache: resultOf(answer, verdict)}
	})
	return rec, answer, served
}

var (
	answerResults = [...]store.CacheResult{
		coherence.Miss: store.CacheMiss, coherence.FoundTombstone: store.CacheTombstone,
		coherence.Timeout: store.CacheUnavailable,
	}
	verdictResults = [...]store.CacheResult{
		coherence.Fresh: store.CacheHit, coherence.ClockUnknown: store.CacheClockUnknown,
		coherence.Stale: store.CacheStale, coherence.Expired: store.CacheExpired,
		coherence.BelowMinimum: store.CacheBelowMinimum, coherence.Revoked: store.CacheTombstone,
	}
)

// resultOf returns the result of a get for a Tracer.
func resultOf(answer coherence.CacheAnswer, verdict coherence.Verdict) store.CacheResult {
	if answer == coherence.Hit {
		return verdictResults[verdict]
	}
	return answerResults[answer]
}

// entryOf returns what package coherence needs of a record.
func entryOf(r *store.Record) coherence.Entry {
	return coherence.Entry{
		Version: r.Version, ValidatedAt: coherence.At(r.ValidatedAt),
		ExpiresAt: coherence.At(r.ExpiresAt),
	}
}

// observe feeds the time of Postgres in a record to the clock, and returns the
// bound of that time now. asked is when the store was called.
func (c *Store) observe(rec *store.Record, asked coherence.Instant) coherence.Bound {
	at := c.clocks()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !rec.ValidatedAt.IsZero() {
		c.clock.Observe(coherence.At(rec.ValidatedAt), asked, at)
	}
	return c.clock.Now(at)
}

// now returns the bound of the time of Postgres.
func (c *Store) now() coherence.Bound {
	at := c.clocks()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.Now(at)
}

// clocksFrom returns a function that reads both clocks, counted from start.
func clocksFrom(start time.Time) func() coherence.Instant {
	return func() coherence.Instant { return coherence.InstantAt(start, time.Now()) }
}
