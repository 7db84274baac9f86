package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingTimeout leaves time for the first connection with its TLS and
	// password.
	pingTimeout = 2 * time.Second
	pingTTL     = time.Second

	// A probe gives up after this many closed connections.
	maxClosed = 100
)

// Ping checks at start-up whether Redis can be used. It reads from every master
// of a Cluster, stores a random tombstone for one second and reads it back:
// this finds a Redis that refuses writes or scripts. It ignores the circuit
// breaker and takes at most two seconds.
//
// It returns [ErrUnavailable] with the cause, such as a refused connection, a
// missing or wrong password, a read-only server or one without memory.
func (c *Cache) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- recoverPanic(func() error { return c.checkReadWrite(ctx) }) }()
	select {
	case err := <-done:
		if err != nil {
			return unavailable(err)
		}
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// checkReadWrite reads, writes a tombstone and reads it back.
func (c *Cache) checkReadWrite(ctx context.Context) error {
	if err := c.checkRead(ctx); err != nil {
		return err
	}
	w := c.randomTombstone()
	if a := runScript(ctx, c.client, []write{w})[0]; a.err != nil {
		if isReply(a.err) { // only writes are refused: it has answered a read
			c.writes.setRefusing(a.err, true)
		}
		return a.err
	}
	value, err := c.client.Get(ctx, w.key).Result()
	if err == nil && value != tombstone {
		return fmt.Errorf("%w: a value that was stored is missing", ErrUnavailable)
	}
	return err
}

// randomTombstone returns a tombstone for an id that no session has.
func (c *Cache) randomTombstone() write {
	var id ID
	_, _ = rand.Read(id[:])
	return write{key: redisKey(c.namespace, &id), value: []byte(tombstone), ttl: pingTTL}
}

// probeRead reports whether Redis answers reads within the timeout. It does not
// write: the cache stays useful if Redis refuses writes.
func (c *Cache) probeRead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return recoverPanic(func() (err error) {
		// After a restart of Redis the pool may be full of closed connections.
		// With TLS only their use shows that.
		for range maxClosed {
			if err = c.checkRead(ctx); !isClosedConn(err) || ctx.Err() != nil {
				break
			}
		}
		return err
	})
}

// checkRead reads a random id from the server, or from every master of a
// Cluster. A PING would not do: the members of a Cluster that is down answer
// it.
func (c *Cache) checkRead(ctx context.Context) error {
	var id ID
	_, _ = rand.Read(id[:])
	ask := func(ctx context.Context, client redis.Cmdable) error {
		switch err := client.Get(ctx, redisKey(c.namespace, &id)).Err(); {
		case err == nil:
			return errProtocol
		case err == redis.Nil: // unwrapped: a wrapped one is a Sentinel without a master
			return nil
		default:
			return err
		}
	}
	cluster, ok := c.client.(*redis.ClusterClient)
	if !ok {
		return ask(ctx, c.client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		return recoverPanic(func() error {
			err := ask(ctx, master)
			if redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") {
				return nil // the member answers, but has not this slot
			}
			return err
		})
	})
}

// recoverPanic returns a panic of go-redis as an error. go-redis allocates what
// a reply announces, and panics if that is too much.
func recoverPanic(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errProtocol
		}
	}()
	return do()
}
