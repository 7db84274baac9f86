// Package cached is the store with a cache in front. Package coherence decides
// what it may serve and for how long.
package cached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Alive implements [store.Store]. The cache is not asked: it may not have heard of a revoke.
func (c *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	return c.store.Alive(ctx, ids)
}

const (
	// maxFills bounds the fills that are under way; a load that finds so many leaves filling to the next.
	maxFills = 256
	// cacheTimeout ends a call of a cache that would not end by itself.
	cacheTimeout = 250 * time.Millisecond
)

// Cache is what the cached store needs of a [cache.Cache].
type Cache interface {
	Get(ctx context.Context, id cache.ID) (cache.Entry, error)
	Await(ctx context.Context, id cache.ID) (cache.Entry, error)
	Fill(ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration) (stored bool, err error)
	PutTombstones(ctx context.Context, ttl time.Duration, ids ...cache.ID) error
}

// Store puts a cache in front of a store. The store stays the truth: what the cache says counts for the freshness and no
// longer, and nothing fails when the cache does. What may be served, filled and promised is decided by internal/coherence.
type Store struct {
	store  store.Store
	cache  Cache
	tracer store.Tracer // nil for none
	policy coherence.Policy
	// unavailable reports whether Postgres can't be reached.
	unavailable func() bool

	// clocks reads both clocks of this process.
	clocks  func() coherence.Instant
	touched touched
	ended   *endedHere

	mu     sync.Mutex
	clock  coherence.Clock
	closed bool

	filling chan struct{}
	fills   sync.WaitGroup
	counts  cacheCounts
}

// cacheCounts is what came of asking and telling the cache.
type cacheCounts struct {
	answers  [coherence.Silent + 1]atomic.Int64
	verdicts [coherence.Behind + 1]atomic.Int64 // on what a Hit found

	filled, refused, unfilled, skipped, unburied atomic.Int64
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

// New makes a Store. The caller closes it.
func New(inner store.Store, c Cache, o Options) *Store {
	s := &Store{
		store: inner, cache: c, policy: o.Policy, tracer: o.Tracer, unavailable: o.Unavailable,
		clocks: clocksFrom(time.Now()), ended: newEndedHere(o.Policy.Exposure()),
		touched: touched{every: o.Expiry.TouchInterval()}, filling: make(chan struct{}, maxFills),
	}
	if s.unavailable == nil {
		s.unavailable = func() bool { return false }
	}
	return s
}

// Format writes what the store is, and nothing of what it holds.
func (c *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+c.Name()) }

// Name is that of the store, with the cache in front.
func (c *Store) Name() string { return "redis, " + c.store.Name() }

// Load implements [store.Store].
func (c *Store) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	load := coherence.Load{Policy: c.policy, Floor: floor, Away: c.unavailable()}
	silent := false
	if load.Start() == coherence.AskCache {
		rec, answer, served := c.ask(ctx, id, &load, c.cache.Get)
		if served {
			return rec, nil
		}
		silent = answer == coherence.Silent
	}
	asked := c.clocks()
	rec, err := c.store.Load(ctx, id, floor)
	now := c.heard(&rec, asked)
	if ttl := load.StoreAnswered(entryOf(&rec), err == nil, now); ttl > 0 {
		c.fillLater(ctx, &rec, ttl)
	}
	if silent && errors.Is(err, store.ErrOutage) { // a Get leaves a cache that takes long, for a store that would answer
		if waited, _, served := c.ask(ctx, id, &load, c.cache.Await); served {
			return waited, nil
		}
	}
	return rec, err
}

// Save implements [store.Store]. The cache has the new version when it returns, or the record has a floor.
func (c *Store) Save(ctx context.Context, id store.ID, change store.Change) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Save(ctx, id, change)
	if errors.Is(err, store.ErrRevoked) { // it may have ended the session
		c.bury(ctx, id)
	}
	if err != nil {
		return rec, err
	}
	acknowledged := false
	if ttl := c.policy.Saved(entryOf(&rec), c.heard(&rec, asked)); ttl > 0 {
		switch c.fill(ctx, &rec, ttl) {
		case store.CacheStored:
			acknowledged = true
		case store.CacheRefused:
			acknowledged = c.newer(ctx, &rec) || c.bury(ctx, rec.ID) == nil
		}
	}
	rec.Floor = c.policy.Floor(entryOf(&rec), acknowledged)
	return rec, nil
}

// Create implements [store.Store]. The cache is left out: many sessions are never asked for again.
func (c *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Create(ctx, d)
	c.heard(&rec, asked)
	return rec, err
}

// Rotate implements [store.Store]. It ends the old id, so the cache is told as of a Delete.
func (c *Store) Rotate(ctx context.Context, old, id store.ID, change store.Change) (store.Record, error) {
	asked := c.clocks()
	rec, err := c.store.Rotate(ctx, old, id, change)
	c.heard(&rec, asked)
	if outcomeOf(err).Bury() || errors.Is(err, store.ErrRevoked) { // which may have come after the commit
		c.bury(ctx, old)
	}
	return rec, err
}

// List implements [store.Store].
func (c *Store) List(ctx context.Context, userID string, p store.Page) ([]store.Record, error) {
	return c.store.List(ctx, userID, p)
}

// Touch implements [store.Store]. The cache is not told: what it has only makes a deadline look earlier than it is, and an
// expired entry is a miss. But an entry goes on saying that a touch is due until it is read anew, so a session that
// this process has just touched is passed over. One that is used from a new place is read anew at once: what the entry says of the
// old one would make every further request from the new one look suspicious.
func (c *Store) Touch(ctx context.Context, touches []store.Touch) error {
	now := c.clocks() // before the store is asked: a touch counts from no later than this
	due := c.touched.due(touches, now)
	if len(due) == 0 {
		return nil
	}
	if err := c.store.Touch(ctx, due); err != nil {
		return err
	}
	c.touched.note(due, now)
	for _, t := range due {
		if t.Client != (store.Client{}) {
			c.beside(func() { c.refill(context.WithoutCancel(ctx), t.ID) })
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

// ask says whether what the cache has may be served.
func (c *Store) ask(
	ctx context.Context, id store.ID, load *coherence.Load, get func(context.Context, cache.ID) (cache.Entry, error),
) (rec store.Record, answer coherence.CacheAnswer, served bool) {
	if c.ended.hides(id) { // as a tombstone would
		answer = coherence.Buried
		load.CacheAnswered(answer, coherence.Entry{}, c.now())
		return rec, answer, false
	}
	trace.Run(ctx, c.tracer, store.Call{Layer: store.LayerCache, Operation: store.OpGet}, func(ctx context.Context) store.CallResult {
		e, err := get(ctx, cache.ID(id))
		rec, answer = recordFrom(id, e, err)
		if answer == coherence.Hit && c.ended.hidesUser(rec.UserID) {
			answer = coherence.Buried
		}
		now := c.now()
		step, verdict := load.CacheAnswered(answer, entryOf(&rec), now)
		if c.counts.answers[answer].Add(1); answer == coherence.Hit {
			c.counts.verdicts[verdict].Add(1)
		}
		rec.AnsweredAt = time.UnixMicro(int64(now.Time))
		served = step == coherence.ServeCache
		return store.CallResult{Cache: resultOf(answer, verdict)}
	})
	return rec, answer, served
}

var (
	answerResults  = [...]store.CacheResult{coherence.Miss: store.CacheMiss, coherence.Buried: store.CacheBuried, coherence.Silent: store.CacheUnanswered}
	verdictResults = [...]store.CacheResult{
		coherence.Fresh: store.CacheHit, coherence.Unclear: store.CacheUnclear, coherence.Stale: store.CacheStale, coherence.Expired: store.CacheExpired,
		coherence.Behind: store.CacheBehind,
	}
)

// resultOf is what a Tracer is told of a get.
func resultOf(answer coherence.CacheAnswer, verdict coherence.Verdict) store.CacheResult {
	if answer == coherence.Hit {
		return verdictResults[verdict]
	}
	return answerResults[answer]
}

// recordFrom is what the cache says. A caller whose context has ended gets its error from the store.
func recordFrom(id store.ID, e cache.Entry, err error) (store.Record, coherence.CacheAnswer) {
	switch {
	case errors.Is(err, cache.ErrMiss):
		return store.Record{}, coherence.Miss
	case errors.Is(err, cache.ErrTombstone):
		return store.Record{}, coherence.Buried
	case err != nil:
		return store.Record{}, coherence.Silent
	}
	rec := store.Record{
		ID: id, Version: e.Version,
		ValidatedAt: e.ValidatedAt, ExpiresAt: e.ExpiresAt, AbsoluteExpiresAt: e.AbsoluteExpiresAt,
	}
	if DecodeRecord(&rec, e.Data) != nil {
		return store.Record{}, coherence.Miss
	}
	return rec, coherence.Hit
}

// entry is what the decisions need to know of a record.
func entryOf(r *store.Record) coherence.Entry {
	return coherence.Entry{Version: r.Version, ValidatedAt: coherence.At(r.ValidatedAt), ExpiresAt: coherence.At(r.ExpiresAt)}
}

// heard takes notice of the store's time in a record, and says what time it is there.
func (c *Store) heard(rec *store.Record, asked coherence.Instant) coherence.Bound {
	at := c.clocks()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !rec.ValidatedAt.IsZero() {
		c.clock.Observe(coherence.At(rec.ValidatedAt), asked, at)
	}
	return c.clock.Now(at)
}

func (c *Store) now() coherence.Bound {
	at := c.clocks()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.Now(at)
}

// clocksFrom reads both clocks of this process, counted from start.
func clocksFrom(start time.Time) func() coherence.Instant {
	return func() coherence.Instant { return coherence.InstantAt(start, time.Now()) }
}

// Close waits for what is being filled. Nothing is afterwards.
func (c *Store) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fills.Wait()
}

// Metrics is what there is to know about the cache here.
func (c *Store) Metrics() store.CacheStats {
	answers, verdicts := &c.counts.answers, &c.counts.verdicts
	return store.CacheStats{
		Freshness: c.policy.Freshness, MaxExposure: c.policy.Exposure(),
		Hits:   verdicts[coherence.Fresh].Load(),
		Misses: answers[coherence.Miss].Load(), Buried: answers[coherence.Buried].Load(), Unanswered: answers[coherence.Silent].Load(),
		Unclear: verdicts[coherence.Unclear].Load(), Stale: verdicts[coherence.Stale].Load(),
		Expired: verdicts[coherence.Expired].Load(), Behind: verdicts[coherence.Behind].Load(),
		Fills: c.counts.filled.Load(), FillsRefused: c.counts.refused.Load(),
		FillsFailed: c.counts.unfilled.Load(), FillsSkipped: c.counts.skipped.Load(), BuriesFailed: c.counts.unburied.Load(),
	}
}
