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

// Cache stores entries in Redis. Create one with [New]. It is safe for
// concurrent use.
type Cache struct {
	client       redis.UniversalClient
	single       *redis.Client // client, if it is one server and no Cluster
	namespace    string
	timeout      time.Duration
	maxSize      int
	sealer       *sealer
	breaker      *breaker
	writes       *writeState
	getTimeout   adaptiveTimeout
	getsInFlight atomic.Int32 // round trips of Gets
	getsOverdue  atomic.Int32 // those of them whose callers have given up
	counts       counts

	gets   *batch.Combiner[ID, found]
	awaits *batch.Combiner[ID, found] // like gets, but with the whole Config.Timeout
	fills  *batch.Combiner[write, bool]
}

// New creates a Cache on a client, usually one of [Dial]. It does not connect.
//
// The client needs ContextTimeoutEnabled: without it a round trip that timed
// out keeps its connection. The caller owns the client and closes it after the
// Cache.
//
// New returns an error for an invalid Config and for a client that reads from
// replicas.
func New(client redis.UniversalClient, cfg Config) (*Cache, error) {
	if err := checkClient(client); err != nil {
		return nil, err
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	sealer, err := newSealer(cfg.Namespace, cfg.Keys)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		client: client, namespace: cfg.Namespace, timeout: cfg.Timeout,
		maxSize: cfg.MaxSize, sealer: sealer,
	}
	c.single, _ = client.(*redis.Client)
	c.getTimeout.timeout = cfg.Timeout
	c.breaker = newBreaker(c.probeRead, cfg.Logger)
	c.writes = newWriteState(c.probeWrite, cfg.Logger)
	c.gets = batch.New(c.getMany, c.batchConfig())
	c.awaits = batch.New(c.awaitMany, c.batchConfig())
	c.fills = batch.New(c.fillMany, c.batchConfig())
	return c, nil
}

// Get returns the newest entry that Redis has for id. The caller owns its data.
//
// The entry is authentic, but an attacker who controls Redis can put an older
// one back. The caller decides from its times and its version whether to use
// it.
//
// Gets that arrive while others wait for Redis share a round trip. If it takes
// longer than usual, all of them return before Config.Timeout, and so do later
// Gets until it ends: Postgres answers them sooner. Get returns at once when
// ctx ends.
//
// Errors:
//   - [ErrMiss]: Redis has no usable entry.
//   - [ErrTombstone]: the id has a tombstone.
//   - [ErrUnavailable]: Redis did not answer, or the circuit breaker is open.
func (c *Cache) Get(ctx context.Context, id ID) (Entry, error) {
	return c.read(ctx, id, c.skipGets(), c.gets)
}

// Await is [Cache.Get] for a caller that can't ask Postgres. It waits for the
// whole Config.Timeout. With an open circuit breaker it returns at once, as Get
// does.
func (c *Cache) Await(ctx context.Context, id ID) (Entry, error) {
	return c.read(ctx, id, c.breaker.isOpen(), c.awaits)
}

func (c *Cache) read(
	ctx context.Context, id ID, skip bool, from *batch.Combiner[ID, found],
) (Entry, error) {
	if skip {
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
		if e, ok := c.sealer.open(&id, f.value); ok {
			c.counts.hits.Add(1)
			return e, nil
		}
	}
	c.counts.unopened.Add(1)
	return Entry{}, ErrMiss
}

// Fill stores an entry for ttl, rounded up to a whole millisecond and at least
// one.
//
// It returns false and no error if Redis refuses the entry: there is a
// tombstone, an entry of a higher version, or one of the same version whose
// ValidatedAt is not earlier. It does the same for more data than
// Config.MaxSize.
//
// It returns an error for a version that is not positive, and [ErrUnavailable]
// if Redis did not answer: the entry may be stored or not.
//
// Fill returns at once when ctx ends; the entry may be stored nevertheless. It
// does not use e.Data after it returned.
func (c *Cache) Fill(
	ctx context.Context, id ID, e Entry, ttl time.Duration,
) (stored bool, err error) {
	if e.Version <= 0 {
		return false, errors.New("cache: fill: version must be positive")
	}
	if len(e.Data) > c.maxSize {
		c.counts.fillsRefused.Add(1)
		return false, nil
	}
	if c.breaker.isOpen() {
		c.counts.skipped.Add(1)
		return false, errBreakerOpen
	}
	value, err := c.sealer.seal(&id, &e)
	if err != nil {
		return false, fmt.Errorf("cache: seal: %w", err)
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

// PutTombstones stores a tombstone for each id for ttl, whatever is there. No
// Fill replaces a tombstone, and nothing removes one before its end: ids are
// never reused. If an id has a tombstone already, the longer of both times
// counts.
//
// It asks Redis even if the circuit breaker is open, with Config.Timeout for
// each 256 ids. It returns nil only if Redis has acknowledged every tombstone.
// With [ErrUnavailable] some of them may be stored; repeating the call is safe.
// It returns at once when ctx ends; a round trip under way continues.
func (c *Cache) PutTombstones(ctx context.Context, ttl time.Duration, ids ...ID) error {
	for len(ids) > 0 {
		if err := ctx.Err(); err != nil {
			return c.failed(ctx, err)
		}
		n := min(len(ids), tombstoneBatch)
		writes := make([]write, n)
		for i := range writes {
			key := redisKey(c.namespace, &ids[i])
			writes[i] = write{key: key, value: []byte(tombstone), ttl: ttl}
		}
		if err := c.putTombstones(ctx, writes); err != nil {
			return c.failed(ctx, err)
		}
		ids = ids[n:]
	}
	return nil
}

func (c *Cache) putTombstones(ctx context.Context, writes []write) error {
	results, err := roundTrip(ctx, c, false, func(ctx context.Context) ([]writeResult, error) {
		results := runScript(ctx, c.client, writes)
		c.writes.record(results)
		for _, a := range results {
			if a.err != nil && !isReply(a.err) {
				return results, a.err
			}
		}
		return results, nil
	})
	for _, a := range results {
		if a.err != nil {
			return a.err
		}
		if !a.stored {
			return errProtocol
		}
	}
	return err
}

// skipGets reports whether Gets must not ask Redis: the breaker is open, a
// round trip is slower than usual, or the last one failed and another Get is
// asking already.
func (c *Cache) skipGets() bool {
	return c.breaker.isOpen() || c.getsOverdue.Load() > 0 ||
		c.breaker.lastFailed.Load() && c.getsInFlight.Load() > 0
}

// failed counts a failure of Redis and returns its error. If the caller's
// context has ended, Redis is not to blame and nothing is counted.
func (c *Cache) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: context ended: %w", ErrUnavailable, context.Cause(ctx))
	}
	c.counts.errors.Add(1)
	return unavailable(err)
}

// Close ends the probes of a failing Redis. Afterwards every method but
// PutTombstones and Ping returns [ErrUnavailable]. It does not close the
// client. It returns nil.
func (c *Cache) Close() error {
	c.breaker.stop()
	c.writes.stop()
	return nil
}

// Format writes the namespace for every verb, so that no format shows the keys.
func (c *Cache) Format(f fmt.State, _ rune) {
	if c == nil {
		_, _ = fmt.Fprint(f, "<nil>")
		return
	}
	_, _ = fmt.Fprintf(f, "cache.Cache(namespace %q)", c.namespace)
}
