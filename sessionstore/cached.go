package sessionstore

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
)

// maxFills bounds the fills that are under way; a load that finds so many leaves filling to the next.
const maxFills = 256

// sealed is what the cached store needs of a [cache.Cache].
type sealed interface {
	Get(ctx context.Context, id cache.ID) (cache.Entry, error)
	Fill(ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration) (stored bool, err error)
	Bury(ctx context.Context, ttl time.Duration, ids ...cache.ID) error
}

// cached puts a cache in front of a store. The store stays the truth: what the cache says counts for the freshness and no
// longer, and nothing fails when the cache does. What may be served, filled and promised is decided by internal/coherence.
type cached struct {
	store  Store
	cache  sealed
	policy coherence.Policy
	// away says that the store can't be reached; nil for never.
	away func() bool

	start   time.Time
	mu      sync.Mutex
	clock   coherence.Clock
	touched touched
	doubt   time.Time // until when a revoke may have left entries behind that nobody knows

	filling chan struct{}
	fills   sync.WaitGroup
	counts  [coherence.Behind + 1]atomic.Int64 // by verdict, of the entries that were found
}

var _ Store = (*cached)(nil)

func newCached(store Store, c sealed, policy coherence.Policy, expiry Expiry) *cached {
	return &cached{
		store: store, cache: c, policy: policy, start: time.Now(),
		touched: touched{every: expiry.TouchInterval()}, filling: make(chan struct{}, maxFills),
	}
}

// Format writes what the store is, and nothing of what it holds.
func (c *cached) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore."+c.Name()) }

// Name is that of the store, with the cache in front.
func (c *cached) Name() string { return "redis, " + c.store.Name() }

// Load implements [Store].
func (c *cached) Load(ctx context.Context, id ID, floor int64) (Record, error) {
	load := coherence.Load{Policy: c.policy, Floor: floor, Away: c.away != nil && c.away()}
	if load.Start() == coherence.AskCache {
		rec, answer := c.get(ctx, id)
		now := c.now()
		step, verdict := load.CacheAnswered(answer, rec.entry(), now)
		if answer == coherence.Hit {
			c.counts[verdict].Add(1)
		}
		if step == coherence.ServeCache {
			rec.AnsweredAt = time.UnixMicro(int64(now.Time))
			return rec, nil
		}
	}
	asked := c.instant()
	rec, err := c.store.Load(ctx, id, floor)
	now := c.heard(&rec, asked)
	if ttl := load.StoreAnswered(rec.entry(), err == nil, now); ttl > 0 {
		c.fillLater(&rec, ttl)
	}
	return rec, err
}

// Save implements [Store]. The cache has the new version when it returns, or the record has a floor.
func (c *cached) Save(ctx context.Context, id ID, change Change) (Record, error) {
	asked := c.instant()
	rec, err := c.store.Save(ctx, id, change)
	if err != nil {
		return rec, err
	}
	acknowledged := true
	if ttl := c.policy.Saved(rec.entry(), c.heard(&rec, asked)); ttl > 0 {
		acknowledged = c.fill(ctx, &rec, ttl) == nil
	}
	rec.Floor = c.policy.Floor(rec.entry(), acknowledged)
	return rec, nil
}

// Create implements [Store]. The cache is left out: many sessions are never asked for again.
func (c *cached) Create(ctx context.Context, d Draft) (Record, error) {
	asked := c.instant()
	rec, err := c.store.Create(ctx, d)
	c.heard(&rec, asked)
	return rec, err
}

// Rotate implements [Store]. It ends the old id, so the cache is told as of a Delete.
func (c *cached) Rotate(ctx context.Context, old, id ID, change Change) (Record, error) {
	asked := c.instant()
	rec, err := c.store.Rotate(ctx, old, id, change)
	c.heard(&rec, asked)
	if outcomeOf(err).Bury() {
		c.bury(ctx, old)
	}
	return rec, err
}

// Delete implements [Store].
func (c *cached) Delete(ctx context.Context, id ID) (Revocation, error) {
	_, err := c.store.Delete(ctx, id)
	outcome := outcomeOf(err)
	return c.revoked(ctx, outcome, id), err
}

// Revoke implements [Store]. Who asks again after an answer was lost is not told the sessions that are gone already, so
// nothing better than the bound is promised for a while after that.
func (c *cached) Revoke(ctx context.Context, s Selection) ([]ID, Revocation, error) {
	ids, r, err := c.store.Revoke(ctx, s)
	outcome := outcomeOf(err)
	acknowledged := !c.doubtful(outcome) && !s.All && outcome == coherence.Committed
	if len(ids) > 0 {
		acknowledged = c.bury(ctx, ids...) == nil && acknowledged
	}
	count := r.Count
	r = c.promise(outcome, acknowledged)
	r.Count = count
	return ids, r, err
}

// doubtful says whether the cache may have missed a revoke of which nobody knows the sessions.
func (c *cached) doubtful(outcome coherence.Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if outcome == coherence.Uncertain {
		c.doubt = now.Add(c.policy.Exposure())
	}
	return now.Before(c.doubt)
}

// List implements [Store].
func (c *cached) List(ctx context.Context, userID string, p Page) ([]Record, error) {
	return c.store.List(ctx, userID, p)
}

// revoked tells the cache of sessions that have ended, and says what that comes to.
func (c *cached) revoked(ctx context.Context, outcome coherence.Outcome, ids ...ID) Revocation {
	acknowledged := outcome.Bury() && c.bury(ctx, ids...) == nil
	return c.promise(outcome, acknowledged)
}

func (c *cached) promise(outcome coherence.Outcome, acknowledged bool) Revocation {
	r := c.policy.Revoked(outcome, acknowledged)
	return Revocation{Committed: r.Committed, CacheAcked: r.CacheAcked, MaxExposure: r.MaxExposure}
}

func outcomeOf(err error) coherence.Outcome {
	switch {
	case err == nil:
		return coherence.Committed
	case errors.Is(err, ErrUncertain):
		return coherence.Uncertain
	}
	return coherence.Refused
}

// Touch implements [Store]. The cache is not told: what it has only makes a deadline look earlier than it is, and an
// expired entry is a miss. But an entry goes on saying that a touch is due until it is read anew, so a session that
// this process has just touched is passed over.
func (c *cached) Touch(ctx context.Context, touches []Touch) error {
	due := c.touched.due(touches, time.Now())
	if len(due) == 0 {
		return nil
	}
	if err := c.store.Touch(ctx, due); err != nil {
		return err
	}
	c.touched.note(due, time.Now())
	return nil
}

// Prune implements [Store].
func (c *cached) Prune(ctx context.Context, max int) (int, bool, error) {
	return c.store.Prune(ctx, max)
}

// Stats implements [Store].
func (c *cached) Stats(ctx context.Context, exact bool) (Stats, error) {
	return c.store.Stats(ctx, exact)
}

// get asks the cache. A caller whose context has ended gets its error from the store.
func (c *cached) get(ctx context.Context, id ID) (Record, coherence.CacheAnswer) {
	e, err := c.cache.Get(ctx, cache.ID(id))
	switch {
	case errors.Is(err, cache.ErrMiss):
		return Record{}, coherence.Miss
	case errors.Is(err, cache.ErrBuried):
		return Record{}, coherence.Buried
	case err != nil:
		return Record{}, coherence.Silent
	}
	rec := Record{
		ID: id, Version: e.Version,
		ValidatedAt: e.ValidatedAt, ExpiresAt: e.ExpiresAt, AbsoluteExpiresAt: e.AbsoluteExpiresAt,
	}
	if rec.decode(e.Data) != nil {
		return Record{}, coherence.Miss
	}
	return rec, coherence.Hit
}

func (c *cached) fill(ctx context.Context, rec *Record, ttl time.Duration) error {
	// Whoever hung up has still changed the session, and the next reader is somebody else.
	_, err := c.cache.Fill(context.WithoutCancel(ctx), cache.ID(rec.ID), cache.Entry{
		Version: rec.Version, ValidatedAt: rec.ValidatedAt, ExpiresAt: rec.ExpiresAt, AbsoluteExpiresAt: rec.AbsoluteExpiresAt,
		Data: rec.encode(),
	}, ttl)
	return err
}

// fillLater fills beside the request that has its answer already.
func (c *cached) fillLater(rec *Record, ttl time.Duration) {
	select {
	case c.filling <- struct{}{}:
	default:
		return
	}
	filler := *rec
	c.fills.Go(func() {
		defer func() { <-c.filling }()
		_ = c.fill(context.Background(), &filler, ttl)
	})
}

func (c *cached) bury(ctx context.Context, ids ...ID) error {
	keys := make([]cache.ID, len(ids))
	for i, id := range ids {
		keys[i] = cache.ID(id)
	}
	return c.cache.Bury(context.WithoutCancel(ctx), c.policy.BuryTTL(), keys...)
}

// entry is what the decisions need to know of a record.
func (r *Record) entry() coherence.Entry {
	return coherence.Entry{Version: r.Version, ValidatedAt: coherence.At(r.ValidatedAt), ExpiresAt: coherence.At(r.ExpiresAt)}
}

// heard takes notice of the store's time in a record, and says what time it is there.
func (c *cached) heard(rec *Record, asked coherence.Instant) coherence.Bound {
	at := c.instant()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !rec.ValidatedAt.IsZero() {
		c.clock.Observe(coherence.At(rec.ValidatedAt), asked, at)
	}
	return c.clock.Now(at)
}

func (c *cached) now() coherence.Bound {
	at := c.instant()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.Now(at)
}

// instant reads both clocks of this process.
func (c *cached) instant() coherence.Instant {
	now := time.Now()
	return coherence.Instant{Mono: now.Sub(c.start), Wall: now.Round(0).Sub(c.start.Round(0))}
}

// close waits for what is being filled.
func (c *cached) close() { c.fills.Wait() }
