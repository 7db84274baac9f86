package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/internal/batch"
)

// Cache keeps entries in Redis. It must come from [New] and is safe for concurrent use.
type Cache struct {
	client       redis.UniversalClient
	single       *redis.Client // the same, when it is no Cluster
	namespace    string
	timeout      time.Duration
	maxSize      int
	ring         *keyring
	breaker      *breaker
	writes       *writeState
	getTimeout   adaptiveTimeout
	getsInFlight atomic.Int32 // exchanges for Gets
	getsOverdue  atomic.Int32 // those of them that are waited for no longer
	counts       counts

	gets   *batch.Combiner[ID, found]
	awaits *batch.Combiner[ID, found] // until the timeout
	fills  *batch.Combiner[write, bool]
}

// New makes a Cache over a client, best one of [Dial]; it does not connect. The client should have
// ContextTimeoutEnabled: without it an exchange that is given up goes on holding a connection. The client stays the
// caller's, who closes it after the Cache.
func New(client redis.UniversalClient, cfg Config) (*Cache, error) {
	if err := checkClient(client); err != nil {
		return nil, err
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	ring, err := newKeyring(cfg.Namespace, cfg.Keys)
	if err != nil {
		return nil, err
	}
	c := &Cache{client: client, namespace: cfg.Namespace, timeout: cfg.Timeout, maxSize: cfg.MaxSize, ring: ring}
	c.single, _ = client.(*redis.Client)
	c.getTimeout.timeout = cfg.Timeout
	c.breaker = newBreaker(c.probeRead, cfg.Logger)
	c.writes = newWriteState(c.probeWrite, cfg.Logger)
	c.gets = batch.New(c.getMany, c.batchConfig())
	c.awaits = batch.New(c.awaitMany, c.batchConfig())
	c.fills = batch.New(c.fillMany, c.batchConfig())
	return c, nil
}

// Get returns the entry that was last filled under id, its data the caller's own, or [ErrMiss], [ErrBuried] or
// [ErrUnavailable]. The entry is genuine but may be an older one, put back by whoever controls Redis: whether it may be
// used is to be told from its times and its version.
//
// Get returns at once when ctx ends. Gets that come while others wait for Redis share an exchange with one another. When
// that takes unusually long, by what exchanges have taken, all of them get [ErrUnavailable] before Config.Timeout, and
// so do those that come until it is over: what they want to know is better asked elsewhere.
func (c *Cache) Get(ctx context.Context, id ID) (Entry, error) {
	return c.read(ctx, id, c.skipGets(), c.gets)
}

// Await is [Cache.Get] for who has nobody else to ask: it waits for Config.Timeout, whatever is usual. Where Redis fails and is
// left alone it answers at once, too.
func (c *Cache) Await(ctx context.Context, id ID) (Entry, error) {
	return c.read(ctx, id, c.breaker.isOpen(), c.awaits)
}

func (c *Cache) read(ctx context.Context, id ID, kept bool, from *batch.Combiner[ID, found]) (Entry, error) {
	if kept {
		c.counts.skipped.Add(1)
		return Entry{}, errBreakerOpen
	}
	f, err := from.Do(ctx, id)
	switch {
	case err == errBreakerOpen:
		c.counts.skipped.Add(1)
		return Entry{}, err
	case err != nil:
		return Entry{}, c.failed(ctx, err)
	case !f.exists:
		c.counts.misses.Add(1)
		return Entry{}, ErrMiss
	case string(f.value) == tombstone:
		c.counts.tombstones.Add(1)
		return Entry{}, ErrTombstone
	}
	if len(f.value) <= sealedBytes+c.maxSize {
		if e, ok := c.ring.open(&id, f.value); ok {
			c.counts.hits.Add(1)
			return e, nil
		}
	}
	c.counts.unopened.Add(1)
	return Entry{}, ErrMiss
}

// Fill keeps an entry for ttl, which is rounded up to a millisecond and at least one. It reports false without an error
// when the fill is refused: where a tombstone stands, a higher version, or the same one with the same or a later
// ValidatedAt, and for an entry with more data than Config.MaxSize. The error is [ErrUnavailable], except for a version that is not positive; whether the entry was
// stored is not known then.
//
// Fill returns at once when ctx ends, and the entry may be stored all the same. e.Data is not used after it returns.
func (c *Cache) Fill(ctx context.Context, id ID, e Entry, ttl time.Duration) (stored bool, err error) {
	if e.Version <= 0 {
		return false, errors.New("cache: an entry's version must be positive")
	}
	if len(e.Data) > c.maxSize {
		c.counts.fillsRefused.Add(1)
		return false, nil
	}
	if c.breaker.isOpen() {
		c.counts.skipped.Add(1)
		return false, errBreakerOpen
	}
	value, err := c.ring.seal(&id, &e)
	if err != nil {
		return false, fmt.Errorf("cache: sealing: %w", err)
	}
	stored, err = c.fills.Do(ctx, write{key: redisKey(c.namespace, &id), value: value, ttl: ttl})
	switch {
	case err != nil:
		return false, c.failed(ctx, err)
	case stored:
		c.counts.fillsStored.Add(1)
	default:
		c.counts.fillsRefused.Add(1)
	}
	return stored, nil
}

// Bury puts a tombstone under each id for ttl, whatever stands there, and no Fill gets past it. A tombstone that is
// there already stays for the longer of both times. Ids are never used again, so there is no way to undo it.
//
// It is tried also while the breaker is open, with Config.Timeout for each 256 ids. A nil error means that Redis has
// acknowledged them all. With [ErrUnavailable] some may be buried nonetheless, and it is safe to try again. Bury returns
// at once when ctx ends; what is under way by then goes on.
func (c *Cache) PutTombstones(ctx context.Context, ttl time.Duration, ids ...ID) error {
	for len(ids) > 0 {
		if err := ctx.Err(); err != nil {
			return c.failed(ctx, err)
		}
		n := min(len(ids), tombstoneBatch)
		writes := make([]write, n)
		for i := range writes {
			writes[i] = write{key: redisKey(c.namespace, &ids[i]), value: []byte(tombstone), ttl: ttl}
		}
		if err := c.putTombstones(ctx, writes); err != nil {
			return c.failed(ctx, err)
		}
		ids = ids[n:]
	}
	return nil
}

func (c *Cache) putTombstones(ctx context.Context, writes []write) error {
	answers, err := roundTrip(ctx, c, false, func(ctx context.Context) ([]writeResult, error) {
		answers := runScript(ctx, c.client, writes)
		c.writes.record(answers)
		for _, a := range answers {
			if a.err != nil && !isReply(a.err) {
				return answers, a.err
			}
		}
		return answers, nil
	})
	for _, a := range answers {
		if a.err != nil {
			return a.err
		}
		if !a.stored {
			return errProtocol
		}
	}
	return err
}

// kept tells whether Gets are kept away from Redis: because it fails, because one has waited for it unusually long, or
// because the last exchange failed and one finds out whether the next does.
func (c *Cache) skipGets() bool {
	return c.breaker.isOpen() || c.getsOverdue.Load() > 0 || c.breaker.lastFailed.Load() && c.getsInFlight.Load() > 0
}

// failed counts a failure of Redis and puts it into words. That a caller has left is not one.
func (c *Cache) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the caller left: %w", ErrUnavailable, context.Cause(ctx))
	}
	c.counts.errors.Add(1)
	return unavailable(err)
}

// Close ends the probing of a Redis that fails. The Cache answers [ErrUnavailable] from then on, except to Bury. It does
// not close the client.
func (c *Cache) Close() error {
	c.breaker.stop()
	c.writes.stop()
	return nil
}

// Format writes the namespace, whatever the verb: there are keys inside.
func (c *Cache) Format(f fmt.State, _ rune) {
	if c == nil {
		_, _ = fmt.Fprint(f, "<nil>")
		return
	}
	_, _ = fmt.Fprintf(f, "cache.Cache(namespace %q)", c.namespace)
}
