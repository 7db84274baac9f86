package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingTimeout leaves time for the first connection, its TLS and its password.
	pingTimeout = 2 * time.Second
	pingTTL     = time.Second

	// So many connections may turn out to be closed, one after the other, before a probe gives up.
	maxClosed = 100
)

// Ping is for start-up. It tells in words why Redis can't be used, with [ErrUnavailable]: that it refuses the
// connection, needs a password or does not accept the one it got, that it is read-only or out of memory, and so on. It
// reaches every master of a Cluster, and buries a random id for a second and reads it back, so it finds out whether
// Redis takes writes and runs scripts. It does not heed the breaker and takes at most two seconds.
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

// tryOut writes and reads.
func (c *Cache) checkReadWrite(ctx context.Context) error {
	if err := c.checkRead(ctx); err != nil {
		return err
	}
	w := c.randomTombstone()
	if a := runScript(ctx, c.client, []write{w})[0]; a.err != nil {
		if isReply(a.err) { // it has just answered a read
			c.writes.setRefusing(a.err, true)
		}
		return a.err
	}
	value, err := c.client.Get(ctx, w.key).Result()
	if err == nil && value != tombstone {
		return fmt.Errorf("%w: it does not keep what it is given", ErrUnavailable)
	}
	return err
}

// randomTombstone stands in nobody's way.
func (c *Cache) randomTombstone() write {
	var id ID
	_, _ = rand.Read(id[:])
	return write{key: redisKey(c.namespace, &id), value: []byte(tombstone), ttl: pingTTL}
}

// probe is what the breaker asks: whether callers would be answered in their time. It only reads, as a Redis that
// refuses writes still serves them.
func (c *Cache) probeRead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return recoverPanic(func() (err error) {
		// After a restart the pool may be full of closed connections, which over TLS show only when they are used.
		for range maxClosed {
			if err = c.checkRead(ctx); !isClosedConn(err) || ctx.Err() != nil {
				break
			}
		}
		return err
	})
}

// reach reads an entry that is not there from the server, or from every master of a Cluster. A PING would not do:
// members of a Cluster that is down answer it.
func (c *Cache) checkRead(ctx context.Context) error {
	var id ID
	_, _ = rand.Read(id[:])
	ask := func(ctx context.Context, client redis.Cmdable) error {
		switch err := client.Get(ctx, redisKey(c.namespace, &id)).Err(); {
		case err == nil:
			return errProtocol
		case err == redis.Nil: // and not what wraps it: a Sentinel that knows no master
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
				return nil // it serves, only not this slot
			}
			return err
		})
	})
}

// sheltered turns a panic of go-redis into an error: it makes what a reply announces, and an absurd length is a panic.
func recoverPanic(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errProtocol
		}
	}()
	return do()
}
