package cache

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/internal/batch"
)

// found is the value of an id in Redis, not authenticated. The caller owns
// value.
type found struct {
	value  []byte
	exists bool
}

// tombstoneBatch is how many tombstones one round trip stores, within one
// Timeout.
const tombstoneBatch = 256

// noRetry keeps a combiner from repeating a failed round trip for each of its
// calls.
func noRetry(error) bool { return false }

func (c *Cache) batchConfig() batch.Config {
	// Timeout bounds the wait for a turn and the round trip together, without a
	// timer for each call.
	return batch.Config{Retry: noRetry, Timeout: c.timeout}
}

// getMany answers Gets that share a round trip.
func (c *Cache) getMany(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	if c.skipGets() { // decided after they were queued
		return nil, errBreakerOpen
	}
	return roundTrip(ctx, c, true,
		func(ctx context.Context) ([]batch.Result[found], error) { return c.values(ctx, ids) })
}

// awaitMany answers Awaits that share a round trip.
func (c *Cache) awaitMany(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	if c.breaker.isOpen() {
		return nil, errBreakerOpen
	}
	return roundTrip(ctx, c, false,
		func(ctx context.Context) ([]batch.Result[found], error) { return c.values(ctx, ids) })
}

// values reads ids from one server or from a Cluster.
func (c *Cache) values(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	keys := redisKeys(c.namespace, ids)
	if c.single != nil {
		return mget(ctx, c.single, keys)
	}
	return pipelinedGets(ctx, c.client, keys)
}

// fillMany performs Fills that share a round trip.
func (c *Cache) fillMany(ctx context.Context, fills []write) ([]batch.Result[bool], error) {
	return roundTrip(ctx, c, false, func(ctx context.Context) ([]batch.Result[bool], error) {
		written := runScript(ctx, c.client, fills)
		c.writes.record(written)
		results := make([]batch.Result[bool], len(written))
		var failed error
		for i, a := range written {
			results[i] = batch.Result[bool]{Value: a.stored, Err: a.err}
			if a.err != nil && !isReply(a.err) {
				failed = a.err // an error reply: reads still work
			}
		}
		return results, failed
	})
}

// mget reads keys from one server. A key of another type counts as absent.
func mget(ctx context.Context, client *redis.Client, keys []string) ([]batch.Result[found], error) {
	// go-redis takes pointers too: they spare a copy of each string header.
	args := make([]any, 1+len(keys))
	args[0] = "mget"
	for i := range keys {
		args[1+i] = &keys[i]
	}
	reply := mgetReply{values: make([]found, len(keys))}
	if err := client.Process(ctx, redis.NewRawWriteToCmd(ctx, &reply, args...)); err != nil {
		return nil, err
	}
	values, err := reply.result()
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[found], len(values))
	for i := range values {
		results[i].Value = values[i]
	}
	return results, nil
}

// pipelinedGets reads keys from the members of a Cluster. It returns results
// with an error too, which is one of theirs.
func pipelinedGets(ctx context.Context, client redis.UniversalClient,
	keys []string,
) ([]batch.Result[found], error) {
	pipe := client.Pipeline()
	cmds := make([]*redis.StringCmd, len(keys))
	for i, key := range keys {
		cmds[i] = pipe.Get(ctx, key)
	}
	if _, err := pipe.Exec(ctx); failedAsWhole(cmds, err) {
		return nil, err
	}
	results := make([]batch.Result[found], len(keys))
	var failed error
	for i, cmd := range cmds {
		value, err := cmd.Bytes()
		switch {
		case err == redis.Nil: // unwrapped: see checkRead
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
		case err != nil:
			results[i].Err, failed = err, err
		default:
			results[i].Value = found{value, true}
		}
	}
	return results, failed
}

// failedAsWhole reports whether a pipeline failed before any of its commands.
// If an error reply, such as one to a password, prevented the connection,
// go-redis leaves the commands without an error.
func failedAsWhole[C redis.Cmder](cmds []C, err error) bool {
	return err != nil && !slices.ContainsFunc(cmds, func(cmd C) bool { return cmd.Err() != nil })
}

// States of a round trip.
const (
	inFlight = iota
	settled
	abandoned // its callers have returned
)

// roundTrip runs do with the timeout in a goroutine of its own, because
// go-redis heeds the deadline of a context but not its cancellation. The caller
// leaves when ctx ends.
//
// The breaker gets each result once, at the timeout at the latest, even if the
// caller has left. If gets is set, the callers leave as soon as the round trip
// is slower than usual. Then the breaker alone gets the result, and no Get
// begins another round trip before that.
//
// do may return results with an error. Then the results are for the callers and
// the error is for the breaker.
func roundTrip[R any](ctx context.Context, c *Cache, gets bool,
	do func(context.Context) ([]R, error),
) ([]R, error) {
	type outcome struct {
		results []R
		err     error
	}
	began := time.Now()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	var state atomic.Int32
	done := make(chan outcome, 1)
	giveUp := func() {
		c.getsOverdue.Add(1) // before settle subtracts it
		if state.CompareAndSwap(inFlight, abandoned) {
			done <- outcome{err: errSlow}
		} else {
			c.getsOverdue.Add(-1)
		}
	}
	var patience *time.Timer
	if gets {
		c.getsInFlight.Add(1)
		patience = time.AfterFunc(c.getTimeout.current(), giveUp)
	}
	settle := func(o outcome) {
		c.breaker.record(o.err)
		if gets {
			patience.Stop()
			c.getsInFlight.Add(-1)
		}
		if state.Swap(settled) == abandoned {
			c.getsOverdue.Add(-1)
			return
		}
		if len(o.results) > 0 {
			o.err = nil
		}
		done <- o
	}
	late := context.AfterFunc(own, func() { settle(outcome{err: own.Err()}) })
	go func() {
		defer cancel()
		var o outcome
		defer func() {
			// go-redis allocates what a reply announces, and panics if that is
			// too much.
			if v := recover(); v != nil {
				o = outcome{err: errProtocol}
			}
			if late() {
				if gets && o.err == nil {
					c.getTimeout.observe(time.Since(began))
				}
				settle(o)
			}
		}()
		o.results, o.err = do(own)
	}()
	select {
	case o := <-done:
		return o.results, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
