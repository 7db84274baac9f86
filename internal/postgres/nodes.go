package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// nodeLimit bounds the connections that wait for one node of a Citus cluster.
// It reads which node has which shard when Citus is found, once a minute, and
// again after an error. It is nil for a plain table.
type nodeLimit struct {
	*nodes.Limit
	schema string
	read   atomic.Int64 // when the shards were read last, in nanoseconds since 1970
	failed atomic.Bool  // a statement, since then
}

func newNodeLimit(p *pool) *nodeLimit {
	return &nodeLimit{Limit: nodes.New(p.size()), schema: p.schema}
}

// shardsAge is how long the nodes of the shards count.
const shardsAge = time.Minute

// at returns the place of a statement for the sessions of these ids.
func (l *nodeLimit) at(ids ...store.ID) nodes.Place {
	if l == nil {
		return nodes.Place{}
	}
	raw := make([][]byte, len(ids))
	for i := range ids {
		raw[i] = ids[i][:]
	}
	return l.At(raw...)
}

// atUser returns the place of a statement for the entries of a user.
func (l *nodeLimit) atUser(userID string) nodes.Place {
	if l == nil {
		return nodes.Place{}
	}
	return l.At([]byte(userID))
}

// drop ends the turn of a statement that got no connection.
func (l *nodeLimit) drop(p nodes.Place) {
	if l != nil {
		l.Leave(p)
	}
}

// enter waits for the turn of a statement, before it takes a connection.
func (l *nodeLimit) enter(ctx context.Context, p nodes.Place) error {
	if l == nil {
		return nil
	}
	switch err := l.Enter(ctx, p); {
	case errors.Is(err, nodes.ErrFull):
		return errBusy
	case errors.Is(err, context.DeadlineExceeded):
		return errNodeBusy
	default:
		return err
	}
}

// release releases the connection of a statement and ends its turn. The pool
// counts a connection until it is closed, so the turn lasts as long.
func (l *nodeLimit) release(conn *pgxpool.Conn, p nodes.Place) {
	if l == nil || p == (nodes.Place{}) {
		conn.Release()
		return
	}
	var closing <-chan struct{}
	if pc := conn.Conn().PgConn(); pc.IsClosed() {
		closing = pc.CleanupDone()
	}
	conn.Release()
	if closing == nil {
		l.Leave(p)
		return
	}
	go func() {
		<-closing
		l.Leave(p)
	}()
}

// learn reads the shards.
func (l *nodeLimit) learn(ctx context.Context, db querier) error {
	l.read.Store(time.Now().UnixNano())
	l.failed.Store(false)
	shards, err := schema.Shards(ctx, db, l.schema)
	if err == nil {
		l.Learn(shards)
	}
	return err
}

// noteFailure has the shards read again: a node may have been replaced.
func (l *nodeLimit) noteFailure() {
	if l != nil {
		l.failed.Store(true)
	}
}

// due reports whether the shards are to be read again, to one caller.
func (l *nodeLimit) due() bool {
	if l == nil {
		return false
	}
	read, now := l.read.Load(), time.Now().UnixNano()
	age := time.Duration(now - read)
	return (age >= shardsAge || age >= time.Second && l.failed.Load()) &&
		l.read.CompareAndSwap(read, now)
}

// errNodeBusy: no turn came in time for a statement that one node of Citus has
// to answer. It had no effect.
var errNodeBusy = fmt.Errorf("%w: too many statements wait for one node of Citus:"+
	" restart the worker that does not reply, or raise pool_max_conns in DATABASE_URL (%w)",
	store.ErrUnavailable, context.DeadlineExceeded)
