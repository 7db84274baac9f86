package db

import (
	"context"
	"database/sql/driver"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// Waiting instances poll at random intervals. With equal ones they would
	// all poll together.
	lockPollMin, lockPollMax = 5 * time.Millisecond, 50 * time.Millisecond

	// A migration takes far less. After this time, and again every such time,
	// the wait is logged.
	lockPatience = 10 * time.Second

	unlockTimeout = 5 * time.Second
)

// lock opens connections that hold the migration lock until they are closed. A
// connection that breaks loses the lock; then the next statement fails, or
// takes the lock again first. So no statement runs without it.
type lock struct {
	driver.Connector
	key    int64
	logger *slog.Logger
}

func newLock(m *migration) *lock {
	return &lock{
		Connector: stdlib.GetPoolConnector(m.pool), key: lockKey(m.schema), logger: m.logger,
	}
}

// lockKey returns a key of our own for each schema. The key of goose is shared
// by all its users in a database.
func lockKey(schemaName string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("github.com/reporadar/pgsession/db " + schemaName))
	return int64(h.Sum64() >> 1) // positive, to be readable in pg_locks
}

// Connect takes a connection from the pool and returns it with the lock.
func (l *lock) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := l.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &lockedConn{dc.(*stdlib.Conn), l}
	if err := l.take(ctx, c.Conn.Conn()); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// take polls for the lock. pg_advisory_lock would block in a statement, and a
// CREATE INDEX CONCURRENTLY of the holder would wait for that statement
// forever. Between two polls the connection is idle and blocks nothing.
func (l *lock) take(ctx context.Context, conn *pgx.Conn) error {
	// If this process is killed during a long statement, or while it waits for
	// a table, the server should notice and release the lock. Servers on some
	// platforms can't, so an error is ignored.
	_, _ = conn.Exec(ctx, `SET client_connection_check_interval = '1s'`)

	var holder int32
	var mention <-chan time.Time
	for {
		var taken bool
		err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_try_advisory_lock($1)`, l.key).Scan(&taken)
		switch {
		case taken:
			return nil
		case ctx.Err() != nil && holder != 0:
			return &lockedError{holder, ctx.Err()}
		case err != nil:
			return err
		case mention == nil:
			holder = l.holder(ctx, conn)
			mention = time.Tick(lockPatience)
		}
		select {
		case <-time.After(lockPollMin + rand.N(lockPollMax-lockPollMin)):
		case <-mention:
			holder = l.holder(ctx, conn)
			l.logger.WarnContext(ctx, "waiting for another migration", "backend", holder)
		case <-ctx.Done():
			return &lockedError{holder, ctx.Err()}
		}
	}
}

// holder returns the process id of the backend that has the lock, or 0.
func (l *lock) holder(ctx context.Context, conn *pgx.Conn) (pid int32) {
	_ = conn.QueryRow(ctx, `
		SELECT l.pid FROM pg_catalog.pg_locks AS l
		WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted AND l.objsubid OPERATOR(pg_catalog.=) 1
			AND ((l.classid::bigint OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.|) l.objid::bigint) OPERATOR(pg_catalog.=) $1::bigint
			AND l.database OPERATOR(pg_catalog.=) (
				SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
			)`,
		l.key).Scan(&pid)
	return pid
}

// lockedError reports that the context ended while another process migrated.
type lockedError struct {
	backend int32
	err     error
}

func (e *lockedError) Error() string {
	text := e.err.Error() + " while another migration holds the lock"
	if e.backend != 0 {
		text += fmt.Sprintf(": if it hangs, run SELECT pg_catalog.pg_terminate_backend(%d)",
			e.backend)
	}
	return text
}

func (e *lockedError) Unwrap() error { return e.err }

// lockedConn is a connection that holds the lock, or is about to take it.
type lockedConn struct {
	*stdlib.Conn
	lock *lock
}

// Close releases the lock and closes the connection instead of returning it to
// the pool, so that neither the lock nor a setting stays on it.
func (c *lockedConn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), unlockTimeout)
	defer cancel()

	conn := c.Conn.Conn()
	if !conn.IsClosed() {
		// Closing releases the lock too, but a pooler would keep its connection
		// to the server, and the lock with it.
		_, _ = conn.Exec(ctx, `SELECT pg_catalog.pg_advisory_unlock($1)`, c.lock.key)
	}
	_ = conn.Close(ctx)
	return c.Conn.Close() // the pool drops a closed connection
}
