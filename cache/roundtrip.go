package cache

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/internal/batch"
)

// found is what Redis has for an id. Its value is not checked, and nobody else's.
type found struct {
	value  []byte
	exists bool
}

// buryAtOnce is how many tombstones go to Redis in one exchange, which has one Timeout.
const tombstoneBatch = 256

// noRetry: a Redis that fails a shared exchange is not asked again once per call.
func noRetry(error) bool { return false }

func (c *Cache) batchConfig() batch.Config {
	// It bounds the wait for a turn and the exchange together, without a timer for each call.
	return batch.Config{Retry: noRetry, Timeout: c.timeout}
}

// getMany answers the Gets that came together.
func (c *Cache) getMany(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	if c.skipGets() { // since they came
		return nil, errBreakerOpen
	}
	return roundTrip(ctx, c, true, func(ctx context.Context) ([]batch.Result[found], error) { return c.values(ctx, ids) })
}

// awaitMany is getMany for Awaits.
func (c *Cache) awaitMany(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	if c.breaker.isOpen() {
		return nil, errBreakerOpen
	}
	return roundTrip(ctx, c, false, func(ctx context.Context) ([]batch.Result[found], error) { return c.values(ctx, ids) })
}

// values asks Redis.
func (c *Cache) values(ctx context.Context, ids []ID) ([]batch.Result[found], error) {
	keys := redisKeys(c.namespace, ids)
	if c.single != nil {
		return mget(ctx, c.single, keys)
	}
	return pipelinedGets(ctx, c.client, keys)
}

// fillMany answers the Fills that came together.
func (c *Cache) fillMany(ctx context.Context, fills []write) ([]batch.Result[bool], error) {
	return roundTrip(ctx, c, false, func(ctx context.Context) ([]batch.Result[bool], error) {
		answers := runScript(ctx, c.client, fills)
		c.writes.record(answers)
		results := make([]batch.Result[bool], len(answers))
		var failed error
		for i, a := range answers {
			results[i] = batch.Result[bool]{Value: a.stored, Err: a.err}
			if a.err != nil && !isReply(a.err) {
				failed = a.err // a server that refuses writes still serves reads
			}
		}
		return results, failed
	})
}

// mget asks one server. Where a key holds another type it answers as if there were none.
func mget(ctx context.Context, client *redis.Client, keys []string) ([]batch.Result[found], error) {
	// Pointers spare a copy of each string's header.
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

// pipelinedGets asks the members of a Cluster, each for its keys. The error, if any, is one of those in the results.
func pipelinedGets(ctx context.Context, client redis.UniversalClient, keys []string) ([]batch.Result[found], error) {
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
		case err == redis.Nil: // and not what wraps it
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
		case err != nil:
			results[i].Err, failed = err, err
		default:
			results[i].Value = found{value, true}
		}
	}
	return results, failed
}

// unsent tells whether a pipeline failed as a whole. go-redis does not tell its commands so when it was an error reply that
// kept it from getting a connection, such as one to a password.
func failedAsWhole[C redis.Cmder](cmds []C, err error) bool {
	return err != nil && !slices.ContainsFunc(cmds, func(cmd C) bool { return cmd.Err() != nil })
}

// What became of an exchange.
const (
	inFlight = iota
	settled
	abandoned // its callers were sent away
)

// exchange runs do with the time limit, away from its caller, who leaves when ctx ends: go-redis heeds the deadline of a
// context, but not its end. The breaker is told what came of it, once, at the time limit at the latest, whether or not
// the caller is still there. Those who get something have patience: after it the exchange is overdue, they leave, what
// comes of it goes to the breaker alone, and until then no Get begins another.
//
// do returns the answers it has even with an error, which then is for the breaker.
func roundTrip[R any](ctx context.Context, c *Cache, gets bool, do func(context.Context) ([]R, error)) ([]R, error) {
	type outcome struct {
		results []R
		err     error
	}
	began := time.Now()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	var state atomic.Int32
	done := make(chan outcome, 1)
	giveUp := func() {
		c.getsOverdue.Add(1) // before settle can take it back
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
			// go-redis makes what a reply announces: an absurd length is a panic in it.
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
